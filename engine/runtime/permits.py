"""Whether agents may run: asked when a run begins or goes on, and again for each attempt.

Effects: none of its own. What the user agreed to is the server's to know; here it is known until when agents of a run
were at work, since what changes meanwhile may be their doing, and what changes later is somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from engine.errors import OrchestrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.ids import NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.trust import TrustItem
    from engine.run.events import Event
    from engine.run.state import Run
    from engine.runtime.clock import Clock

WhenAtWork: TypeAlias = "Callable[[], datetime | None]"
"""When agents of a run were last at work in this process; None: never."""


class Permits:
    """Asks before agents run. Without anybody to ask, all may."""

    def __init__(
        self, runs: Mapping[RunId, Run], clock: Clock, warn: Callable[[RunId, NodeId | None, str], None]
    ) -> None:
        """*runs* are the live ones of this process; *warn* takes what is to be said about one, or a node of it."""
        self.begin: Callable[[Iterable[Agent]], None] = lambda _agents: None
        """Raises `OrchestrationError` where one of the agents may not run."""
        self.again: Callable[[RunId, Agent, WhenAtWork], str | None] = lambda *_: None
        """The same for one attempt; may ask until when agents of the run were at work, and answer a warning."""
        self.accepts: Callable[[TrustItem], bool] = lambda _item: False
        """Whether the user has said yes to something else of the project as it is now."""
        self.whole: Callable[[RunId], bool] = lambda _run: False
        """Whether Claude Code may take, in a run, all that the project configures for it, programs too."""
        self._runs = runs
        self._clock = clock
        self._warn = warn
        self._last: dict[RunId, datetime] = {}
        self._busy: set[RunId] = set()
        self._refused: dict[RunId, set[NodeId]] = {}

    def attempt(self, run_id: RunId, agent: Agent, node: NodeId | None = None) -> None:
        """Raise where *agent* may not run: its program was changed, and not by agents at work beside that of *node*."""
        run = self._runs.get(run_id)
        try:
            warning = self.again(run_id, agent, lambda: None if run is None else self._at_work_until(run, node))
        except OrchestrationError:
            if run is not None and node is not None:
                self._refused.setdefault(run_id, set()).add(node)
                self._note(run)
            raise
        if warning is not None:
            self._warn(run_id, node, warning)

    def committed(self, run: Run, events: Sequence[Event]) -> None:  # noqa: ARG002 - as listeners are called
        """Take note of a commit of *run*."""
        if run.id in self._busy:
            self._last[run.id] = self._clock.now()
        if run.id in self._refused:
            self._refused[run.id] &= run.live
        self._note(run)
        if run.ended:
            self._last.pop(run.id, None)
            self._refused.pop(run.id, None)

    def _at_work_until(self, run: Run, node: NodeId | None) -> datetime | None:
        """When an agent of *run* was last at work, but for that of *node*; None: none was in this process."""
        return self._clock.now() if self._is_at_work(run, beside=node) else self._last.get(run.id)

    def _is_at_work(self, run: Run, *, beside: NodeId | None = None) -> bool:
        """Whether the attempt of any node but *beside* goes on; one that was refused never began."""
        refused = self._refused.get(run.id, ())
        return any(node != beside and node not in refused for node in run.live)  # mostly the first or the second

    def _note(self, run: Run) -> None:
        (self._busy.add if self._is_at_work(run) else self._busy.discard)(run.id)
