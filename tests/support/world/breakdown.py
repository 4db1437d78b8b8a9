"""Decisions that break down half-way, as a fault of the engine's own would make them: it costs one run and no other.

Effects: none beyond the server that it is laid upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.run import events as ev
    from engine.run.state import Run
    from engine.storage.port import Batch
    from tests.support.world.server import Server

WORDS = "a decision breaks down, as the seed will have it"


class BreakDownError(RuntimeError):
    """See `WORDS`."""


class Breakdown:
    """Raises once in the middle of a decision of one server, after some events."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._left = 0
        self._run: Run | None = None
        live_runs = server.engine.live_runs
        self._follow = live_runs._requests.follow
        live_runs._requests.follow = self._follow_or_break  # type: ignore[method-assign]
        live_runs.on_fault.append(self._let_go)

    def lay(self, after: int) -> None:
        """Break down at the *after*-th event from now on; 0: not at all."""
        self._left = after

    def _follow_or_break(self, run: Run, event: ev.Event, batch: Batch) -> None:
        self._follow(run, event, batch)
        self._left = max(0, self._left - 1) if self._left != 1 else -1
        if self._left < 0:
            self._left, self._run = 0, run
            self._server.world.tell(f"{self._server.name}: a decision about {run.id} breaks down")
            raise BreakDownError(WORDS)

    def _let_go(self, runs: Sequence[Run]) -> None:
        if self._run is not None and list(runs) != [self._run]:
            names = [run.id for run in runs]
            self._server.world.breaks(f"a decision about {self._run.id} broke down, and {names} are let go")
        self._run = None
