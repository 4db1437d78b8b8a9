"""Attempts that end before they begin."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.state import NodeStatus, Run
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from tests.support.definitions import command, node, phase, plan

WORKER = Agent(id="worker", kind=AgentKind.CUSTOM)


def test_an_attempt_that_is_cancelled_before_its_first_step_is_reported_and_never_called() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        run, called = runner.run(_cancelled_at_once())
    assert called == []
    assert run.status is ev.RunStatus.CANCELLED
    assert [item.status for item in run.nodes.values()] == [NodeStatus.CANCELLED]


async def _cancelled_at_once() -> tuple[Run, list[str]]:
    """A run that is cancelled between the commit of its first attempt and the attempt's first step."""
    called: list[str] = []
    ended = asyncio.Event()

    async def work(order: WorkOrder) -> Outcome:
        called.append(order.node)
        return Outcome()

    def listen(run: Run, events: Sequence[ev.Event]) -> None:
        if any(isinstance(event, ev.AttemptScheduled) for event in events):
            engine.store.send(run.id, sig.RequestCancel("too soon"))
        if run.ended:
            ended.set()

    clock = VirtualClock(asyncio.get_running_loop(), random.Random(1))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.CUSTOM: InlineExecutor({"worker": work})}
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors=executors)
    engine.store.listeners.append(listen)
    async with engine.serving():
        run_id = await engine.start(plan(command(phase("one", node("a"))), agents=(WORKER,)))
        await ended.wait()
        return (await engine.view(run_id)).run, called
