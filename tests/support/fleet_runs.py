"""Runs on a fleet, as tests follow them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.ids import NodeId, RunId
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.fleet import Yard, command, node, until
from tests.support.real_agents import ended
from tests.support.real_agents import until as until_run
from tests.support.workers import kill_worker, lives

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.run.state import Run
    from mcp_server.project.project import Project


def opened(yard: Yard) -> AbstractAsyncContextManager[Project]:
    return open_project(yard.project, home=yard.home)


async def started(yard: Yard, count: int) -> None:
    await asyncio.to_thread(until, lambda: len(yard.traced()) >= count, f"{count} programs have started")


async def at_work(yard: Yard, project: Project) -> tuple[RunId, list[int]]:
    """A run whose one agent is at work; the processes of the agent and of what it has started."""
    run = await project.start(RunRequest(source=command(node("a", "wait"))))
    await asyncio.to_thread(until, lambda: bool(yard.traced("child")), "the grandchild runs")
    return run, [yard.traced()[-1][2], yard.traced("child")[-1][2]]


async def gone(numbers: list[int]) -> None:
    await asyncio.to_thread(until, lambda: not any(map(lives, numbers)), f"{numbers} have ended")


def workers_of(run: Run, name: str) -> list[tuple[str, str]]:
    return [(one.worker, one.lost_worker) for one in run.nodes[NodeId(name)].attempts]


async def until_never(engine: Any, run: Any, seconds: float) -> None:  # noqa: ANN401 - as they are
    async with asyncio.timeout(seconds):
        await until_run(engine, run, lambda seen: seen.ended)


async def resumed_from_an_old_copy(yard: Yard, *nodes: dict[str, Any]) -> Run:
    """A run whose coordinator dies while the last of *nodes* waits, resumed from a journal copied at the second one."""
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start_in_background(RunRequest(source=command(*nodes)))
        await started(yard, 2)
        journal = engine.location.state.journal
        copy = yard.folder / "copy.sqlite3"
        with closing(sqlite3.connect(journal)) as now, closing(sqlite3.connect(copy)) as then:
            now.backup(then)
        await started(yard, len(nodes))
        await kill_worker(engine, run)
    for path in journal.parent.glob(f"{journal.name}-*"):
        path.unlink()
    journal.write_bytes(copy.read_bytes())
    async with opened(yard) as project:
        engine = await project.engine()
        await until_run(engine, run, lambda seen: seen.status is RunStatus.INTERRUPTED)
        await project.resume(run)
        yard.open()
        return await ended(engine, run)
