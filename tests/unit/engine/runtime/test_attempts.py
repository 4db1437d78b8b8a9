"""Attempts that end before they begin, or wait for their turn."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import structs

from engine.executors.inline import InlineExecutor
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.state import NodeStatus, Run
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from tests.support.by_hand import rollback
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
            engine.live_runs.send(run.id, sig.RequestCancel("too soon"))
        if run.ended:
            ended.set()

    clock = VirtualClock(asyncio.get_running_loop(), random.Random(1))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.CUSTOM: InlineExecutor({"worker": work})}
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors=executors)
    engine.live_runs.listeners.append(listen)
    async with engine.serving():
        one = node("a", compensation=rollback())
        run_id = await engine.start(plan(command(phase("one", one)), agents=(WORKER,)))
        await ended.wait()
        return (await engine.view(run_id)).run, called


class _Machine:
    """An executor with one place, for which attempts wait; each takes a minute there, in silence."""

    def __init__(self) -> None:
        self._place = asyncio.Lock()
        self.timeouts: list[timedelta] = []

    def queues(self, agent: Agent) -> bool:
        return agent.id == WORKER.id

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        self.timeouts.append(order.timeout)
        async with self._place:
            heartbeat.started("machine-1")
            heartbeat.started("machine-1")
            await asyncio.sleep(60)  # noqa: TID251 - of virtual time
            return Outcome()


def test_an_attempt_that_is_cancelled_while_it_waits_for_its_place_is_not_undone() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        run = runner.run(_cancelled_in_the_queue())
    assert run.status is ev.RunStatus.CANCELLED
    assert {name: item.status for name, item in run.nodes.items()} == {
        "a": NodeStatus.COMPENSATED,
        "b": NodeStatus.CANCELLED,
    }


async def _cancelled_in_the_queue() -> Run:
    """A run whose first node has the only place when it is cancelled, so that the second one waits for it."""

    def listen(run: Run, events: Sequence[ev.Event]) -> None:
        if any(isinstance(event, ev.AttemptStarted) for event in events) and run.stop is None:
            engine.live_runs.send(run.id, sig.RequestCancel("changed my mind"))
        if events and run.ended:
            ended.set()

    ended = asyncio.Event()
    clock = VirtualClock(asyncio.get_running_loop(), random.Random(1))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.PROCESS: _Machine()}
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors=executors)
    engine.live_runs.listeners.append(listen)
    both = (node(name, compensation=rollback()) for name in ("a", "b"))
    worker = structs.replace(WORKER, kind=AgentKind.PROCESS)
    async with engine.serving():
        run_id = await engine.start(plan(command(phase("one", *both)), agents=(worker,)))
        await ended.wait()
        return (await engine.view(run_id)).run


def test_attempts_that_wait_for_a_place_longer_than_their_limits_are_done() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        run, machine = runner.run(_one_place(idle=timedelta(seconds=70)))
    assert run.status is ev.RunStatus.COMPLETED
    begun = [record.started_at for item in run.nodes.values() for record in item.attempts]
    assert [(at - run.created_at).total_seconds() // 60 for at in begun if at is not None] == [0, 1, 2]
    assert [record.worker for item in run.nodes.values() for record in item.attempts] == ["machine-1"] * 3
    assert machine.timeouts == [timedelta(seconds=90)] * 3


def test_what_has_its_place_may_be_silent_for_its_limit_and_no_longer() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        run, _machine = runner.run(_one_place(idle=timedelta(seconds=50)))
    failures = [record.failure.code for item in run.nodes.values() for record in item.attempts if record.failure]
    assert failures == ["IDLE_TIMEOUT"] * 3
    assert run.ended_at is not None
    assert (run.ended_at - run.created_at).total_seconds() == 150


async def _one_place(*, idle: timedelta) -> tuple[Run, _Machine]:
    ended, machine = asyncio.Event(), _Machine()

    def listen(run: Run, events: Sequence[ev.Event]) -> None:
        if events and run.ended:
            ended.set()

    clock = VirtualClock(asyncio.get_running_loop(), random.Random(1))  # noqa: S311 - repeatable by intent
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors={AgentKind.PROCESS: machine})
    engine.idle_timeout = idle
    engine.live_runs.listeners.append(listen)
    nodes = [node(name, timeout=90_000) for name in ("a", "b", "c")]
    async with engine.serving():
        silent = structs.replace(WORKER, kind=AgentKind.PROCESS)
        run_id = await engine.start(plan(command(phase("one", *nodes, continueOnError=True)), agents=(silent,)))
        await ended.wait()
        return (await engine.view(run_id)).run, machine
