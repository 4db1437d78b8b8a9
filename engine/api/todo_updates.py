"""Sends a program the todo list of its runs as they change, no more often than it wants.

Effects: sets timers on the event loop. The todos view makes the list, `hooks.Caller` calls the hook.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.run import events as ev
from engine.views.status import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.api.hooks import Caller, Hook
    from engine.api.options import TodoWriteConfig
    from engine.ids import RunId
    from engine.run.state import Run
    from engine.runtime.clock import Clock

AT_ONCE = (
    ev.PhaseOpened,
    ev.IterationOpened,
    ev.PhaseEnded,
    ev.NodeFailed,
    ev.RunEnded,
    ev.RunInterrupted,
    ev.CompensationFailed,
)
"""Events that are reported without waiting for the delay (SPEC 10)."""


class TodoUpdates:
    """Calls `on_todo_write(todos)` at most once per delay, but at once for important events."""

    def __init__(self, caller: Caller, hook: Hook, clock: Clock, config: Callable[[], TodoWriteConfig]) -> None:
        """*config* returns the current settings."""
        self._caller = caller
        self._hook = hook
        self._clock = clock
        self._config = config
        self._sent_at: dict[RunId, float] = {}
        """When each run was last reported, in seconds of the loop."""
        self._due: dict[RunId, asyncio.TimerHandle] = {}

    def listen(self, run: Run, events: Sequence[ev.Event]) -> None:
        """See `engine.runtime.decided.Listener`."""
        loop = asyncio.get_running_loop()
        since = loop.time() - self._sent_at.get(run.id, float("-inf"))
        delay = self._config().batch_delay / 1000
        if since >= delay or any(isinstance(event, AT_ONCE) for event in events):
            self._send(run)
        elif run.id not in self._due:
            self._due[run.id] = loop.call_later(delay - since, self._send, run)
        if run.ended:
            self._forget(run.id)
            self._sent_at.pop(run.id, None)

    def close(self) -> None:
        """Cancel all pending calls."""
        for run in list(self._due):
            self._forget(run)

    def _send(self, run: Run) -> None:
        self._forget(run.id)
        self._sent_at[run.id] = asyncio.get_running_loop().time()
        shown = snapshot(run, self._clock.now(), options=self._config().options)
        self._caller.ask("on_todo_write", self._hook, list(shown.todos))

    def _forget(self, run: RunId) -> None:
        timer = self._due.pop(run, None)
        if timer is not None:
            timer.cancel()
