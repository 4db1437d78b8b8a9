"""Runs on a fleet, as tests follow them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil

from engine.ids import NodeId
from mcp_server.project.project import open_project
from tests.support.fleet import Yard, until
from tests.support.real_agents import until as until_run

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from engine.run.state import Run
    from mcp_server.project.project import Project


def opened(yard: Yard) -> AbstractAsyncContextManager[Project]:
    return open_project(yard.project, home=yard.home)


async def started(yard: Yard, count: int) -> None:
    await asyncio.to_thread(until, lambda: len(yard.traced()) >= count, f"{count} programs have started")


def lives(number: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    return False


async def gone(numbers: list[int]) -> None:
    await asyncio.to_thread(until, lambda: not any(map(lives, numbers)), f"{numbers} have ended")


def workers_of(run: Run, name: str) -> list[tuple[str, str]]:
    return [(one.worker, one.lost_worker) for one in run.nodes[NodeId(name)].attempts]


async def until_never(engine: Any, run: Any, seconds: float) -> None:  # noqa: ANN401 - as they are
    async with asyncio.timeout(seconds):
        await until_run(engine, run, lambda seen: seen.ended)
