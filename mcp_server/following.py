"""Waits for a run and tells the client meanwhile how it goes on.

Effects: sends progress messages. It asks the engine and changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.views.status import snapshot
from mcp_server.guidance import progress_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ids import RunId
    from engine.run.state import Run
    from engine.service import Engine, View
    from engine.views.status import Snapshot
    from mcp_server.project import Project

HEARTBEAT_SECONDS = 20.0
"""A client is told that its call lives at least this often."""
SMALLEST_STEP = 0.001
"""By how much the number of a progress message grows where nothing was finished: clients want it to grow."""


class Tell(Protocol):
    """Sends one progress message."""

    async def __call__(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """*message* is one line."""


class Teller:
    """Tells a line at each change, not more often than every *interval* seconds, and as a sign of life."""

    def __init__(self, tell: Tell, *, interval: float, time: Callable[[], float]) -> None:
        """*time* are seconds of a steady clock."""
        self._tell = tell
        self._interval = interval
        self._time = time
        self._line = ""
        self._shape: tuple[object, ...] = ()
        self._progress = -1.0
        self._at = float("-inf")

    async def show(self, view: View, now: Snapshot) -> float:
        """Tell how *view* stands where that is due; gives the seconds until it should be asked again."""
        line = progress_line(now, view.run, view.actions)
        shape = (*((phase.id, phase.state) for phase in now.phases), len(now.failures), now.state)
        since = self._time() - self._at
        changed = line != self._line
        urgent = shape != self._shape and changed
        if urgent or (changed and since >= self._interval) or since >= HEARTBEAT_SECONDS:
            self._line, self._shape = line, shape
            self._progress = max(self._progress + SMALLEST_STEP, float(now.progress.done))
            await self._tell(self._progress, max(float(now.progress.total), self._progress), line)
            self._at = self._time()
            return HEARTBEAT_SECONDS
        return (self._interval if changed else HEARTBEAT_SECONDS) - since


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Until when a run is followed."""

    seconds: float
    seen: int | None = None
    """Return as soon as the run has another number of events; None: not before it needs somebody or has ended."""


async def follow(project: Project, run_id: RunId, wait: Wait, tell: Tell) -> View:
    """Wait for a run as *wait* says, and give its view then; a run that waits for a person only is not waited for."""
    engine = await project.engine()
    time = asyncio.get_running_loop().time
    end = time() + wait.seconds
    teller = Teller(tell, interval=project.settings.todos.batch_delay_ms / 1000, time=time)
    while True:
        view = await engine.view(run_id)
        events, run = view.run.events, view.run
        now = snapshot(run, view.now, view.estimates, project.todo_options)
        pause = 0.0
        if wait.seconds > 0:
            pause = await teller.show(view, now)
        if now.ended or _needs_a_person(run, now) or (wait.seen is not None and events != wait.seen):
            return view
        left = end - time()
        if left <= 0:
            return view
        if run.events == events:  # nothing came while the message was sent
            await engine.wait(run_id, max(0.0, min(left, pause)))


async def until_calm(engine: Engine, run_id: RunId, seconds: float) -> View:
    """The run once no attempt of it runs forward any more, or as it stands after *seconds*."""
    time = asyncio.get_running_loop().time
    end = time() + seconds
    while True:
        view = await engine.view(run_id)
        left = end - time()
        if view.run.ended or view.run.saga is not None or left <= 0:
            return view
        await engine.wait(run_id, left)


def _needs_a_person(run: Run, now: Snapshot) -> bool:
    return bool(now.questions) and not run.live
