"""Whether agents may run: checked when a run starts or resumes, and again for each attempt.

Effects: none of its own. The server knows what the user agreed to; this module knows until when agents of a run were
at work: a change in that time may be theirs, a later one is somebody else's.
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
    """Checks agents before they run. By default all may."""

    def __init__(
        self, runs: Mapping[RunId, Run], clock: Clock, warn: Callable[[RunId, NodeId | None, str], None]
    ) -> None:
        """*runs* are the live ones of this process; *warn* takes a warning about one, or a node of it."""
        self.begin: Callable[[Iterable[Agent]], None] = lambda _agents: None
        """Raises `OrchestrationError` if one of the agents may not run."""
        self.again: Callable[[RunId, Agent, WhenAtWork], str | None] = lambda *_: None
        """The same for one attempt; may ask until when agents of the run were at work, and return a warning."""
        self.accepts: Callable[[TrustItem], bool] = lambda _item: False
        """Whether the user trusts another item of the project as it is now."""
        self.whole: Callable[[RunId], bool] = lambda _run: False
        """Whether Claude Code may, in a run, use everything that the project configures for it, including programs."""
        self._runs = runs
        self._clock = clock
        self._warn = warn
        self._last: dict[RunId, datetime] = {}
        self._busy: set[RunId] = set()
        self._refused: dict[RunId, set[NodeId]] = {}

    def attempt(self, run_id: RunId, agent: Agent, node: NodeId | None = None) -> None:
        """Raise if *agent* may not run: its program was changed, and not by agents at work beside that of *node*."""
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
        """Note a commit of *run*."""
        if run.id in self._busy:
            self._last[run.id] = self._clock.now()
        if run.id in self._refused:
            self._refused[run.id] &= run.live
        self._note(run)
        if run.ended:
            self._last.pop(run.id, None)
            self._refused.pop(run.id, None)

    def _at_work_until(self, run: Run, node: NodeId | None) -> datetime | None:
        """When an agent of *run*, other than that of *node*, was last at work; None: never in this process."""
        return self._clock.now() if self._is_at_work(run, beside=node) else self._last.get(run.id)

    def _is_at_work(self, run: Run, *, beside: NodeId | None = None) -> bool:
        """Whether an attempt of any node but *beside* is live; one that was refused never began."""
        refused = self._refused.get(run.id, ())
        if not refused and beside is None:
            return bool(run.live)
        return any(node != beside and node not in refused for node in run.live)  # usually the first or second

    def _note(self, run: Run) -> None:
        (self._busy.add if self._is_at_work(run) else self._busy.discard)(run.id)
