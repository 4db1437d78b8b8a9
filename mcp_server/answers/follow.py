"""Waits for a run and tells the client meanwhile how it goes on.

Effects: sends progress messages. It asks the engine and changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.views.status import snapshot, works
from mcp_server.answers.guidance import progress_line
from mcp_server.answers.work_orders import new_work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.ids import AttemptId, RunId
    from engine.run.state import Run
    from engine.service import Engine, View
    from mcp_server.project.project import Project

HEARTBEAT_SECONDS = 20.0
"""A client is told that its call lives at least this often."""
SMALLEST_STEP = 0.001
"""By how much the number of a progress message grows where nothing was finished: clients want it to grow."""


class Tell(Protocol):
    """Sends one progress message."""

    async def __call__(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """*message* is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What a wait has to know of a run."""

    events: int
    line: str
    shape: tuple[object, ...]
    """What is told at once: phases, failures, the run's state."""
    done: int
    total: int
    over: bool
    """It has ended, has work for the client that it was not given yet, or waits for a person and nothing else."""
    run: Run
    """The run itself, for seeing that it has moved on."""


def glimpse(view: View, handed: Collection[AttemptId] = ()) -> Glimpse:
    """What a wait has to know of *view*; *handed* are attempts whose work orders the client has."""
    run = view.run
    now = snapshot(run, view.now, view.estimates, locks=view.locks)
    return Glimpse(
        events=run.events,
        line=progress_line(now, run, view.actions),
        shape=(*((phase.id, phase.state) for phase in now.phases), len(now.failures), now.state),
        done=now.progress.done,
        total=now.progress.total,
        over=now.ended or bool(new_work(view, handed)) or (bool(now.questions) and not works(run)),
        run=run,
    )


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

    async def show(self, seen: Glimpse) -> float:
        """Tell how the run stands where that is due; gives the seconds until it should be asked again."""
        since = self._time() - self._at
        changed = seen.line != self._line
        urgent = changed and seen.shape != self._shape
        if urgent or (changed and since >= self._interval) or since >= HEARTBEAT_SECONDS:
            self._line, self._shape = seen.line, seen.shape
            self._progress = max(self._progress + SMALLEST_STEP, float(seen.done))
            await self._tell(self._progress, max(float(seen.total), self._progress), seen.line)
            self._at = self._time()
            return HEARTBEAT_SECONDS
        return (self._interval if changed else HEARTBEAT_SECONDS) - since


async def follow(
    project: Project,
    run_id: RunId,
    tell: Tell,
    *,
    seconds: float,
    seen: int | None = None,
    handed: Collection[AttemptId] = (),
) -> None:
    """Wait until a run has ended or waits for the client or a person only, at most *seconds*; tell how it goes on.

    With *seen*, a number of events, the wait ends as soon as the run has another. *handed* are attempts whose work
    orders the client has: those are not waited with.
    """
    engine = await project.reader()
    time = asyncio.get_running_loop().time
    end = time() + seconds
    teller = Teller(tell, interval=project.settings.todos.batch_delay_ms / 1000, time=time)
    while (left := end - time()) > 0:
        now = await engine.read(run_id, lambda view: glimpse(view, handed))
        pause = await teller.show(now)
        if now.over or (seen is not None and now.events != seen):
            return
        if now.run.events == now.events:  # nothing came while the message was sent
            await engine.wait(run_id, max(0.0, min(left, pause)))


async def until_calm(engine: Engine, run_id: RunId, *, seconds: float) -> None:
    """Wait until no attempt of a cancelled run runs forward any more, at most *seconds*."""
    time = asyncio.get_running_loop().time
    end = time() + seconds
    while (left := end - time()) > 0:
        calm, events, run = await engine.read(
            run_id, lambda view: (view.run.ended or view.run.saga is not None, view.run.events, view.run)
        )
        if calm:
            return
        if run.events == events:
            await engine.wait(run_id, left)
