"""The knowledge that a client has of the nodes of a run, so that the next answer is about what is new to it.

Pure, but for what it remembers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.scheduling.readiness import standing
from engine.views.progress import BUSY, changes_inside, nodes_of_file
from engine.views.tally import tally_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ids import NodeId
    from engine.run.events import WaitReason
    from engine.run.state import NodeState, Run
    from engine.views.tally import Tally

Mark = tuple[NodeStatus, int, "WaitReason | None", bool]
"""A node but for its times: its status, its attempts, the reason why it waits, whether it was cut off."""
NEW: Mark = (NodeStatus.PENDING, 0, None, False)
"""The mark of a node of which there is nothing to say yet."""


class Known:
    """The nodes of one run as a client was shown them."""

    def __init__(self) -> None:
        """It knows nothing."""
        self._marks: dict[NodeId, Mark] = {}
        """Those of nodes that are not new."""
        self._tally: Tally | None = None
        self._seen = 0
        """How many changes of that tally it knows."""

    def __bool__(self) -> bool:
        """Whether it knows anything of the run."""
        return self._tally is not None

    def clear(self) -> None:
        """Know nothing."""
        self._marks.clear()
        self._tally = None

    def learn(self, run: Run) -> list[NodeId]:
        """Know *run* as it is now; returns the nodes, in no order, of which there was something new to say."""
        tally = tally_of(run)
        fresh = []
        for node in self._changed(run, tally):
            mark = _mark_of(run, node)
            if self._marks.get(node.plan.id, NEW) != mark:
                self._marks[node.plan.id] = mark
                fresh.append(node.plan.id)
        self._tally, self._seen = tally, len(tally.changes)
        return fresh

    def _changed(self, run: Run, tally: Tally) -> Iterable[NodeState]:
        """The nodes that may have changed since the last look."""
        if tally is not self._tally:
            return nodes_of_file(run)
        places = set(tally.changes[self._seen :])
        return (run.nodes[run.plan.nodes[place].id] for place in places)


def _mark_of(run: Run, node: NodeState) -> Mark:
    return (
        standing(node),
        len(node.attempts) + changes_inside(run, node),
        node.waiting.reason if node.waiting is not None else None,
        run.status is RunStatus.INTERRUPTED and node.status in BUSY,
    )
