"""The ordinary engine of a project: state on disk, real clock, real agents.

Effects: opens the state folder, with all effects of the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.executors.orphans import end_left
from engine.executors.scratch import remove_abandoned
from engine.executors.worktrees.outbox import FileOutbox
from engine.model.agent import AgentKind
from engine.runtime.attempt_logs import AttemptLogs
from engine.runtime.clock import SystemClock
from engine.runtime.owner import FileOwner, Reader, has_lock
from engine.service import Engine
from engine.statefolder.guard import found_state, open_state
from engine.statefolder.links import state_of
from engine.statefolder.location import locate
from engine.statefolder.mounts import network_file_system
from engine.statefolder.owners import FOLDER
from engine.storage.attempt_logs import remove_logs, runs_with_logs
from engine.storage.database import faults
from engine.storage.memory import MemoryStorage
from engine.storage.read_only import CopiedStorage
from engine.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from engine.executors.port import Executor, WorkOrder
    from engine.executors.worktrees.git import Allows
    from engine.git_rules import Driver
    from engine.ids import RunId
    from engine.storage.port import Storage

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_engine(
    project: Path,
    *,
    claude_program: str | None = None,
    agent_environment: Mapping[str, str] | None = None,
    home: Path | None = None,
    reads: bool = False,
) -> AsyncIterator[Engine]:
    """The engine of *project*, with its state in its state folder, for the length of the block.

    *agent_environment* is added to the variables of every agent; `$NAME` in it stands for a variable of this process.
    *home* is that of the user (default: of the process). Raises `EnvironmentFault` if the state folder cannot be used,
    if this user did not make it (STATE_NOT_OURS), and if another machine uses it (PROJECT_ON_ANOTHER_HOST). An engine
    that only *reads* ends nothing, and leaves orphans of dead processes alone.
    """
    location = await asyncio.to_thread(locate, project)
    with faults(location.state.folder):
        folder = await asyncio.to_thread(open_state, location.root, home=home)
    if location.worktree:  # data about its files stays with it: inputs of agents, notes on their worktrees
        with faults(state_of(project).folder):
            await asyncio.to_thread(open_state, project, home=home)
    storage = SqliteStorage(folder, is_alive=lambda owner: has_lock(folder / FOLDER, owner))
    try:
        with faults(folder / FOLDER):
            owner = Reader(folder) if reads else FileOwner(folder)
    except BaseException:
        await storage.close()
        raise

    def allows(driver: Driver, top: Path) -> bool:
        return engine.allows(driver, top)

    clock = SystemClock()
    engine = Engine(
        project,
        storage=storage,
        owner=owner,
        clock=clock,
        executors={} if reads else _executors(lambda: engine, allows, claude_program, agent_environment),
        orphans=partial(end_left, allows=allows),
        outbox=FileOutbox(project),
        location=location,
        logs=AttemptLogs(location.state, clock),
    )
    async with engine.serving():
        upkeep = () if isinstance(owner, Reader) else (_clean_up(engine, owner), _tell_place(engine))
        tasks = [asyncio.create_task(work) for work in upkeep]
        try:
            yield engine
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _executors(
    engine: Callable[[], Engine], allows: Allows, claude_program: str | None, environment: Mapping[str, str] | None
) -> dict[AgentKind, Executor]:
    """The executors for *engine*, a function since it is made from them."""
    from engine.executors.claude.executor import ClaudeExecutor  # noqa: PLC0415 - who only reads starts nothing
    from engine.executors.process import ProcessExecutor  # noqa: PLC0415
    from engine.executors.python import PythonExecutor  # noqa: PLC0415
    from engine.executors.worktrees.isolated import IsolatedExecutor  # noqa: PLC0415

    def permit(order: WorkOrder) -> None:
        engine().permits.attempt(order.run, order.agent, order.node)

    def whole(run: RunId) -> bool:
        return engine().permits.whole(run)

    isolated = partial(IsolatedExecutor, permit=permit, allows=allows, whole=whole, journaled=True)
    return {
        AgentKind.PROCESS: isolated(ProcessExecutor(environment)),
        AgentKind.PYTHON: isolated(PythonExecutor(environment)),
        AgentKind.CLAUDE: isolated(ClaudeExecutor(claude_program, environment=environment, whole=whole)),
    }


@contextlib.asynccontextmanager
async def open_reader(project: Path, *, home: Path | None = None) -> AsyncIterator[Engine]:
    """An engine for queries about *project*, which sees the records of other processes and keeps changes to itself.

    It needs no write access, and leaves nothing behind. It does not see a state folder created later. Raises
    `EnvironmentFault` like `open_engine`.
    """
    location = await asyncio.to_thread(locate, project)
    found = partial(found_state, location.root, home=home)
    with contextlib.ExitStack() as stack:
        with faults(location.state.journal):
            folder = await asyncio.to_thread(found)
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            owner = None if folder is None else Reader(folder)
        storage: Storage = (
            MemoryStorage() if folder is None else CopiedStorage(place, location.state.journal, found=found)
        )
        engine = Engine(project, storage=storage, owner=owner, clock=SystemClock(), executors={}, location=location)
        async with engine.serving():
            yield engine


async def _clean_up(engine: Engine, owner: FileOwner) -> None:
    await engine.clean_up()
    await _remove_left_logs(engine)
    owner.remove_dead()
    await asyncio.to_thread(remove_abandoned, engine.project)


async def _remove_left_logs(engine: Engine) -> None:
    """Remove the logs of runs that were removed by a process that died before it got to them."""
    state = engine.location.state
    kept = await asyncio.to_thread(runs_with_logs, state)  # first: a run is in the journal before it has a log
    known = {row.id for row in await engine.storage.summaries()} if kept else set()
    await asyncio.to_thread(remove_logs, state, [run for run in kept if run not in known])


async def _tell_place(engine: Engine) -> None:
    folder = engine.location.state.folder
    kind = await asyncio.to_thread(network_file_system, folder)
    if kind is not None:
        text = (
            f"{folder} is on a network file system ({kind}). Runs are safe there as long as only one machine works on "
            "the project; another one is rejected while this one is at work."
        )
        log.warning(text)
        engine.notices.append(text)
