"""The actions on a run from its page, by the same calls as on the command line.

Effects: cancels, resumes and answers runs. Each action opens the project as a command would, so that a page that only
shows runs never records or ends anything; a run that an action takes over is owned until it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from mcp_server.project.project import open_project
from mcp_server.project.runs import nothing_to_cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.ids import RunId
    from mcp_server.project.project import Project

REASON = "on its page"
OWNED_SECONDS = 5.0
"""How often a run that an action took over is looked at; changes of it wake earlier."""

log = logging.getLogger(__name__)


class Actions:
    """The actions on the runs of one project."""

    def __init__(self, root: Path, *, home: Path | None = None) -> None:
        """On the runs of the project at *root*; *home* is the user's home directory."""
        self._root = root
        self._home = home
        self._tasks: set[asyncio.Task[None]] = set()

    async def cancel(self, run_id: RunId, *, compensate: bool = True) -> None:
        """Ask a run to end. Raises `NotFound` (RUN_NOT_FOUND, NOTHING_TO_CANCEL), `StateError`."""

        async def act(project: Project) -> None:
            engine = await project.engine()
            run = (await engine.view(run_id)).run
            if run.ended and run.status is not RunStatus.INTERRUPTED:
                raise nothing_to_cancel(run)
            await engine.cancel(run_id, reason=REASON, compensate=compensate)

        await self._do(run_id, act)

    async def resume(self, run_id: RunId, *, failed: bool = False) -> None:
        """Resume an interrupted run, or retry a failed one, in a process of its own. Raises as `Project.resume`."""

        async def act(project: Project) -> None:
            engine = await project.reader()
            await project.resume_in_background((await engine.view(run_id)).run.id, failed=failed)

        await self._do(run_id, act)

    async def decide(self, run_id: RunId, node: str, answer: str) -> None:
        """Answer a question of a run. Raises `StateError`, `NotFound`."""
        await self._do(run_id, lambda project: project.decide(run_id, node, answer))

    async def close(self) -> None:
        """End what is under way: a run that an action took over is recorded as interrupted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self, run_id: RunId, act: Callable[[Project], Awaitable[None]]) -> None:
        """Do *act* with the project open; it stays open, in the background, as long as the run is owned by it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._hold(run_id, act, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(done)  # an action goes on when its page has gone

    async def _hold(self, run_id: RunId, act: Callable[[Project], Awaitable[None]], done: asyncio.Future[None]) -> None:
        try:
            async with open_project(self._root, home=self._home) as project:
                await act(project)
                done.set_result(None)
                engine = await project.reader()
                while run_id in engine.live_runs.runs and not engine.live_runs.runs[run_id].ended:
                    await engine.wait(run_id, OWNED_SECONDS)
        except asyncio.CancelledError:
            done.cancel()
            raise
        except Exception as error:
            if done.done():
                log.exception("a run that an action took over was lost")
            else:
                done.set_exception(error)
