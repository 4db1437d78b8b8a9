"""The ordinary engine of a project: state on disk, real clock, real agents.

Effects: opens the state folder and whatever the engine does in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from engine.executors.claude import ClaudeExecutor
from engine.executors.isolated import IsolatedExecutor
from engine.executors.left import end_left
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.executors.scratch import remove_abandoned
from engine.model.agent import AgentKind
from engine.runtime.clock import SystemClock
from engine.runtime.owner import FileOwner, has_lock
from engine.service import Engine
from engine.statefolder.guard import open_state
from engine.statefolder.links import STATE
from engine.storage.database import faults
from engine.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from engine.executors.port import Executor
    from engine.gitrules import Driver
    from engine.model.agent import Agent


@contextlib.asynccontextmanager
async def open_engine(
    project: Path,
    *,
    claude_program: str | None = None,
    agent_environment: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> AsyncIterator[Engine]:
    """The engine of *project*, whose state is in `.claude/orchestration`, for the length of the block.

    *agent_environment* is added to the variables of every agent; `$NAME` in it stands for a variable of this process.
    *home* is that of the user, by default of the process. Raises `EnvironmentFault` where the state folder cannot be
    used, and where this user did not make it (STATE_NOT_OURS).
    """
    with faults(project / STATE):
        folder = await asyncio.to_thread(open_state, project, home=home)
    storage = SqliteStorage(folder, is_alive=lambda owner: has_lock(folder / "owners", owner))
    try:
        with faults(folder / "owners"):
            owner = FileOwner(folder / "owners")
    except BaseException:
        await storage.close()
        raise

    def permit(agent: Agent) -> None:
        engine.permit((agent,))

    def allows(driver: Driver, top: Path) -> bool:
        return engine.allows(driver, top)

    executors: dict[AgentKind, Executor] = {
        AgentKind.PROCESS: IsolatedExecutor(ProcessExecutor(agent_environment), permit=permit, allows=allows),
        AgentKind.PYTHON: IsolatedExecutor(PythonExecutor(agent_environment), permit=permit, allows=allows),
        AgentKind.CLAUDE: IsolatedExecutor(
            ClaudeExecutor(claude_program, environment=agent_environment), permit=permit, allows=allows
        ),
    }
    orphans = partial(end_left, allows=allows)
    engine = Engine(project, storage=storage, owner=owner, clock=SystemClock(), executors=executors, orphans=orphans)
    async with engine.serving():
        cleaning = asyncio.create_task(_clean_up(engine, owner))
        try:
            yield engine
        finally:
            cleaning.cancel()
            await asyncio.gather(cleaning, return_exceptions=True)


async def _clean_up(engine: Engine, owner: FileOwner) -> None:
    await engine.clean_up()
    owner.remove_dead()
    await asyncio.to_thread(remove_abandoned, engine.project)
