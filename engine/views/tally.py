"""The nodes of a run's file by phase and standing, kept as events change them: a look need not go through all of them.

Pure, but for what it keeps with the run. Theory of operation. The first look at a run counts its nodes, and leaves the
count with the run. From then on each event names the nodes that it may have changed, and the next look asks for the
standing of these only. Events that change many nodes at once (the run ends, is resumed, is opened again) have the next
look count afresh. So a look costs what has changed since the one before, and a run that is not looked at costs nothing.

Nodes are known by their position in the file. Each change is also written down (`changes`), so that other views and
clients follow from wherever they stand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.run import events as ev
from engine.run.nesting import outer
from engine.run.state import NodeStatus
from engine.scheduling.readiness import standing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from engine.ids import NodeId
    from engine.run.state import NodeState, Run

OVER = frozenset(
    {
        NodeStatus.COMPLETED,
        NodeStatus.SKIPPED,
        NodeStatus.FAILED,
        NodeStatus.COMPENSATED,
        NodeStatus.COMPENSATION_FAILED,
    }
)
"""States that count as done: that of a cancelled node does not."""
WIDE = (ev.RunEnded, ev.RunInterrupted, ev.RunResumed, ev.RunReopened)
"""Events that change nodes which they do not name."""
OF_PHASES = (ev.PhaseOpened, ev.PhaseEnded)
_STATES = tuple(NodeStatus)
_CODES = {status: code for code, status in enumerate(_STATES)}


class Tally:
    """The nodes of one run."""

    __slots__ = ("_codes", "_phases", "_touched", "changes", "is_stale", "lines", "moved", "numbers", "outlook", "over")

    def __init__(self, run: Run) -> None:
        """Count all nodes of *run*."""
        self.changes = array("I")
        """The nodes that changed, oldest first, by their position in the file."""
        self.over = 0
        """Nodes that count as done."""
        self.is_stale = False
        self.outlook: object | None = None
        """The remaining time, kept by `engine/views/outlook.py`."""
        self.lines: list[Any] = []
        """The progress of each phase, kept by `engine/views/status.py`."""
        self.moved = set(range(len(run.plan.phases)))
        """The phases that may have changed since it was kept."""
        self.numbers = array("I", accumulate(phase.group is None for phase in run.plan.phases))
        """The number of each phase: that of the phase at the top to which it belongs, from 1."""
        self._touched: set[NodeId] = set()
        self._phases: list[dict[NodeStatus, array[int]]] = [{} for _ in run.plan.phases]
        self._codes = bytearray(len(run.plan.nodes))
        for node in run.plan.nodes:
            status = standing(run.nodes[node.id])
            self._codes[node.index] = _CODES[status]
            self._phases[node.phase].setdefault(status, array("I")).append(node.index)
            self.over += status in OVER

    def follow(self, event: ev.Event) -> None:
        """Remember which nodes *event* may have changed."""
        name = getattr(event, "node", None)
        if name is not None:
            self._touched.add(name)
        elif isinstance(event, WIDE):
            self.is_stale = True
        elif isinstance(event, OF_PHASES) and event.phase < len(self._phases):
            self.moved.add(event.phase)

    def touch(self, name: NodeId) -> None:
        """Remember that the node *name* may have changed."""
        self._touched.add(name)

    def catch_up(self, run: Run) -> None:
        """Count the nodes that changed since the last look."""
        if not self._touched:
            return
        for node in {place.plan.index: place for name in self._touched for place in _of_file(run, name)}.values():
            self._move(node)
        self._touched.clear()

    def _move(self, node: NodeState) -> None:
        index, status = node.plan.index, standing(node)
        before = _STATES[self._codes[index]]
        self.changes.append(index)
        self.moved.add(node.plan.phase)
        if status is before:
            return
        self._codes[index] = _CODES[status]
        self.over += (status in OVER) - (before in OVER)
        found = self._phases[node.plan.phase]
        places = found[before]
        del places[bisect_left(places, index)]
        if not places:
            del found[before]
        places = found.setdefault(status, array("I"))
        places.insert(bisect_left(places, index), index)

    def standings(self, phase: int) -> Mapping[NodeStatus, array[int]]:
        """The positions of the nodes of *phase* by their standing, in file order; without standings that none has."""
        return self._phases[phase]

    def counts(self, phase: int, without: Collection[int] = ()) -> dict[NodeStatus, int]:
        """How many nodes of *phase* have each standing, apart from those at *without*; that of the first node first."""
        standings = self._phases[phase]
        if len(standings) == 1 and not without:
            return {status: len(places) for status, places in standings.items()}
        found: list[tuple[int, NodeStatus, int]] = []
        for status, places in standings.items():
            first = next((place for place in places if place not in without), None)
            if first is not None:
                less = sum(self._codes[place] == _CODES[status] for place in without)
                found.append((first, status, len(places) - less))
        return {status: count for _first, status, count in sorted(found)}

    def counted(self, phases: Iterable[int]) -> dict[NodeStatus, int]:
        """How many nodes of *phases* together have each standing; that of the first node first."""
        found: dict[NodeStatus, int] = {}
        for phase in phases:
            standings = self._phases[phase]
            order = standings if len(standings) == 1 else self.counts(phase)
            for status in order:
                found[status] = found.get(status, 0) + len(standings[status])
        return found


def tally_of(run: Run) -> Tally:
    """The tally of *run* as it is now."""
    tally = run.follower
    if not isinstance(tally, Tally) or tally.is_stale:
        tally = run.follower = Tally(run)
    else:
        tally.catch_up(run)
    return tally


def _of_file(run: Run, name: NodeId) -> Iterable[NodeState]:
    """The node *name* and those around it, as far as they are of the file: these show how its instances stand."""
    for one in (name, *outer(name)):
        node = run.nodes.get(one)
        if node is not None and not node.plan.turn:
            yield node
