"""A real run of a command is what the next one is ordered by."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.model.agent import Agent, AgentKind
from engine.model.plan import Plan
from engine.run.events import Limits
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from tests.support.definitions import command, node, phase, plan

MINUTE = 60.0
TRUTH = {"a": 4 * MINUTE, "b": 1 * MINUTE}


def _plan() -> Plan:
    """Two nodes, one at a time; the file thinks that b is the longer one."""
    work = phase("one", node("a", minutes=1), node("b", minutes=5), parallel=True)
    return plan(command(work), agents=(Agent(id="worker", kind=AgentKind.CUSTOM),))


def _orders(executors: list[str]) -> list[list[str]]:
    """The order in which nodes start in runs by each of *executors*, one run after the other in one project."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_runs(executors))


async def _runs(executors: list[str]) -> list[list[str]]:
    started: list[list[str]] = []

    async def work(order: WorkOrder) -> Outcome:
        started[-1].append(order.node)
        await asyncio.sleep(TRUTH[order.node])  # noqa: TID251 - of virtual time
        return Outcome()

    clock = VirtualClock(asyncio.get_running_loop(), random.Random(1))  # noqa: S311 - repeatable by intent
    inline = InlineExecutor({"worker": work})
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors={AgentKind.CUSTOM: inline})
    async with engine.serving():
        for executor in executors:
            started.append([])
            run_id = await engine.start(_plan(), executor=executor, limits=Limits(max_parallelism=1))
            while not (await engine.view(run_id)).run.ended:
                await engine.wait(run_id, 3600)
    return started


def test_the_longer_node_by_experience_starts_first_from_the_second_run_on() -> None:
    assert _orders(["native"] * 3) == [["b", "a"]] + [["a", "b"]] * 2


def test_simulated_runs_neither_teach_nor_learn() -> None:
    assert _orders(["simulate"] * 3 + ["native", "simulate"]) == [["b", "a"]] * 5
