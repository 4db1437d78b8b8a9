"""The one write path: what is decided is durable before anybody is told, and a fault reaches everybody who waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EnvironmentFault, InternalError, OrchestrationError, StateError
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.executors.simulate import SimulateExecutor
from engine.ids import RunId
from engine.model.agent import AgentKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.run.state import Run
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from engine.storage.port import Batch
from tests.support.by_hand import locks
from tests.support.definitions import command, node, phase, plan

LONG = 10_000.0
"""Virtual seconds that bound every wait."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"loop_factory": VirtualLoop})


class FailingStorage(MemoryStorage):
    """Commits until it is told not to."""

    error: Exception | None = None
    commits = 0

    async def commit(self, batch: Batch, owner: Any, follow: Any = None) -> Any:  # noqa: ANN401 - as the port
        if self.error is not None:
            raise self.error
        self.commits += 1
        return await super().commit(batch, owner, follow)


@asynccontextmanager
async def engine_on(storage: MemoryStorage, executor: Any = None) -> AsyncIterator[Engine]:  # noqa: ANN401 - any executor
    """An engine in virtual time."""
    clock = VirtualClock(asyncio.get_running_loop(), random.Random(0))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.CUSTOM: executor or SimulateExecutor()}
    engine = Engine(Path(), storage=storage, owner=None, clock=clock, executors=executors)
    async with engine.serving():
        yield engine


async def ended(engine: Engine, run: RunId) -> Run:
    """The run once it is over."""

    async def over() -> Run:
        while not (view := await engine.view(run)).run.ended:
            await engine.wait(run, 60)
        return view.run

    return await asyncio.wait_for(over(), LONG)


TWO = command(phase("p", node("a"), node("b", "a")))


async def test_what_is_decided_in_one_moment_is_one_commit() -> None:
    storage = FailingStorage()
    async with engine_on(storage) as engine:
        runs = await asyncio.gather(*(engine.start(plan(TWO), executor="simulate") for _ in range(5)))
        assert storage.commits == 1
        assert {(await ended(engine, run)).status for run in runs} == {RunStatus.COMPLETED}


async def test_a_lock_that_nobody_else_wants_and_a_closed_breaker_cost_no_commit_of_their_own() -> None:
    storage = FailingStorage()
    guarded: dict[str, Any] = {"resources": {"locks": [{"resource": "db"}]}, "circuitBreaker": "api"}
    async with engine_on(storage) as engine:
        run = await engine.start(plan(command(phase("p", node("a", **guarded)))), executor="simulate")
        assert storage.commits == 1
        assert [claim.granted for claim in await storage.claims()] == [True]
        assert (await engine.view(run)).run.live == {"a"}
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
        assert storage.commits == 2


async def test_listeners_are_told_in_order_after_the_commit_and_one_that_fails_harms_nobody() -> None:
    storage = FailingStorage()
    told: list[ev.Event] = []

    def broken(run: Run, events: Sequence[ev.Event]) -> None:  # noqa: ARG001 - as listeners are called
        raise RuntimeError

    async with engine_on(storage) as engine:
        engine.store.listeners.insert(0, broken)
        engine.store.listeners.append(lambda run, events: told.extend(events))  # noqa: ARG005
        run = await engine.start(plan(TWO), executor="simulate")
        await ended(engine, run)
        assert told == await storage.events(run)


@pytest.mark.parametrize("kind", [EnvironmentFault, RuntimeError])
async def test_a_fault_of_storage_reaches_who_waits_ends_what_runs_and_lets_nothing_new_begin(
    kind: type[Exception],
) -> None:
    storage = FailingStorage()
    stopped = asyncio.Event()

    class Hanging:
        async def execute(self, _order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                stopped.set()
            return Outcome()

    async with engine_on(storage, Hanging()) as engine:
        run = await engine.start(plan(TWO), executor="simulate")
        storage.error = kind("the disk is gone")
        with pytest.raises(OrchestrationError) as caught:
            await asyncio.wait_for(engine.cancel(run), LONG)
        assert isinstance(caught.value, EnvironmentFault if kind is EnvironmentFault else InternalError)
        await asyncio.wait_for(stopped.wait(), LONG)
        with pytest.raises(OrchestrationError):
            await engine.start(plan(TWO), executor="simulate")
        with pytest.raises(OrchestrationError):
            await engine.store.committed()
    kinds = {type(event).__name__ for event in await storage.events(run)}
    assert "RunStopping" not in kinds


async def test_a_signal_to_a_run_that_is_not_here_is_refused() -> None:
    async with engine_on(MemoryStorage()) as engine:
        with pytest.raises(StateError) as caught:
            engine.store.send(RunId("r-nobody"), sig.Tick())
        assert caught.value.code == "NOT_OWNED"


async def test_an_attempt_that_is_ended_before_it_began_has_ended_too() -> None:
    async with engine_on(MemoryStorage()) as engine:
        run = await engine.start(plan(TWO), executor="simulate")
        engine.store.send(run, sig.RequestCancel())
        assert (await ended(engine, run)).status is RunStatus.CANCELLED


async def test_timeouts_and_waits_for_locks_come_due_in_time() -> None:
    held = command(phase("p", node("a", minutes=30, resources=locks("db"))))
    wanting = command(phase("p", node("b", resources=locks("db", maxWaitTime=5000))))
    async with engine_on(MemoryStorage()) as engine:
        first = await engine.start(plan(held), executor="simulate")
        second = await engine.start(plan(wanting), executor="simulate")
        done = await ended(engine, second)
        assert done.status is RunStatus.FAILED
        assert done.ended_at is not None
        assert 5 <= (done.ended_at - done.created_at).total_seconds() < 6
        failure = done.nodes[next(iter(done.nodes))].failure
        assert failure is not None
        assert failure.code == "LOCK_TIMEOUT"
        assert (await ended(engine, first)).status is RunStatus.COMPLETED


async def test_a_run_waits_for_its_own_locks_until_the_holder_has_ended() -> None:
    raw = command(phase("p", node("a", minutes=1)), resources=locks("db", maxWaitTime=600_000))
    async with engine_on(MemoryStorage()) as engine:
        first = await engine.start(plan(raw), executor="simulate")
        second = await engine.start(plan(raw), executor="simulate")
        one, other = await ended(engine, first), await ended(engine, second)
        assert (one.status, other.status) == (RunStatus.COMPLETED, RunStatus.COMPLETED)
        assert one.ended_at is not None
        assert other.started_at is not None
        assert other.started_at >= one.ended_at


async def test_a_persisted_value_whose_parts_do_not_join_is_left_out_and_the_run_completes() -> None:
    def give(order: Any) -> dict[str, Any]:  # noqa: ANN401 - a work order
        return {"outputs": {"k": {"a": 1} if order.node == "a" else [2]}}

    merging = {"outputs": [{"key": "k", "merge": "merge", "persist": True}]}
    raw = command(phase("p", node("a", context=merging), node("b", "a", context=merging)))
    storage = MemoryStorage()
    async with engine_on(storage) as engine:
        engine.custom_executors["worker"] = InlineExecutor({"worker": give})
        run = await engine.start(plan(raw), executor="native")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
        assert await storage.session_values(engine.clock.now()) == []
