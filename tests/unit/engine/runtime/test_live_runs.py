"""The one write path: what is decided is durable before anybody is told, and a fault reaches everybody who waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from engine.errors import EnvironmentFault, InternalError, OrchestrationError, StateError
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.executors.simulate import Fault, SimulateExecutor
from engine.ids import AttemptId, NodeId, OwnerId, RunId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.run.state import Run
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.runtime.live_runs import RETRY_SECONDS
from engine.runtime.owner import Owner
from engine.runtime.projections import samples
from engine.scheduling import decide
from engine.scheduling.step import Step
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from engine.storage.port import Batch
from engine.views.status import snapshot
from tests.support.by_hand import locks, rollback
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


class JumpingClock(VirtualClock):
    """The clock of a machine that may sleep, or that somebody sets, of which its event loop knows nothing."""

    wall = known = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.known

    def jump(self) -> timedelta:
        by, self.known = self.wall - self.known, self.wall
        return by


def jump(engine: Engine, **time: float) -> None:
    """The machine's clock leaves lived time (arguments of `timedelta`)."""
    cast("JumpingClock", engine.clock).wall += timedelta(**time)


class TickingClock(VirtualClock):
    """A clock that no two looks find at the same time, as real ones."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return super().now() + timedelta(microseconds=self.looks)


@asynccontextmanager
async def engine_on(
    storage: MemoryStorage,
    executor: Any = None,  # noqa: ANN401 - any executor
    *,
    clocked: type[VirtualClock] = VirtualClock,
    owner: Owner | None = None,
) -> AsyncIterator[Engine]:
    """An engine in virtual time."""
    clock = clocked(asyncio.get_running_loop(), random.Random(0))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.CUSTOM: executor or SimulateExecutor()}

    async def end_orphans(project: Path, *, lost: Collection[AttemptId] = ()) -> int:
        assert (project, lost) is not None
        return 0

    engine = Engine(Path(), storage=storage, owner=owner, clock=clock, executors=executors, orphans=end_orphans)
    async with engine.serving():
        yield engine


async def ended(engine: Engine, run: RunId) -> Run:
    """The run once it is over."""

    async def over() -> Run:
        while not (view := await engine.view(run)).run.ended:
            await engine.wait(run, 60)
        return view.run

    return await asyncio.wait_for(over(), LONG)


WORKER = Agent(id="worker", kind=AgentKind.CUSTOM)
TWO = command(phase("p", node("a"), node("b", "a")))


async def pause(seconds: float) -> None:
    """Let virtual time pass."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), seconds)


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
        engine.live_runs.listeners.insert(0, broken)
        engine.live_runs.listeners.append(lambda run, events: told.extend(events))  # noqa: ARG005
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
            await engine.live_runs.committed()
    kinds = {type(event).__name__ for event in await storage.events(run)}
    assert "RunStopping" not in kinds


class Alone:
    """An owner that knows of no other."""

    id = OwnerId("o-alone")

    def is_alive(self, owner: OwnerId) -> bool:
        return owner == self.id

    def last_seen(self, owner: OwnerId) -> datetime | None:
        assert owner
        return None

    def renew(self, now: datetime) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", [EnvironmentFault, RuntimeError])
async def test_when_storage_works_again_what_had_to_be_let_go_is_interrupted_and_can_be_resumed(
    kind: type[Exception],
) -> None:
    storage = FailingStorage()
    hanging = True

    class Hanging:
        async def execute(self, _order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
            return await asyncio.get_running_loop().create_future() if hanging else Outcome()

    async with engine_on(storage, Hanging(), owner=Alone()) as engine:
        run = await engine.start(plan(TWO, agents=(WORKER,)))
        storage.error = kind("the disk is gone")
        waiting = asyncio.ensure_future(engine.wait(run, LONG))
        with pytest.raises(OrchestrationError):
            await engine.cancel(run)
        assert await asyncio.wait_for(waiting, LONG) is True
        storage.error = None
        with pytest.raises(OrchestrationError):
            await engine.view(run)
        await pause(RETRY_SECONDS)
        seen = await ended(engine, run)
        assert seen.status is RunStatus.INTERRUPTED
        assert "RunStopping" not in {type(event).__name__ for event in await storage.events(run)}
        hanging = False
        await engine.resume(run)
        assert (await ended(engine, run)).status is RunStatus.COMPLETED


async def test_a_server_whose_storage_fails_does_not_keep_its_processor_busy() -> None:
    storage = FailingStorage()
    async with engine_on(storage, owner=Alone()) as engine:
        told: list[datetime] = []
        engine.live_runs.on_tick.append(told.append)
        raw = plan(command(phase("p", node("a", timeout=60_000))), agents=(WORKER,))
        run, _other = [await engine.start(raw, executor="host") for _ in range(2)]
        storage.error = EnvironmentFault("the disk is full", code="DISK_FULL")
        with pytest.raises(EnvironmentFault):
            await engine.cancel(run)
        await pause(600)
        assert len(told) < 10
        storage.error = None


async def test_who_waits_for_locks_over_its_time_is_refused_once_while_the_disk_is_slow() -> None:
    operations: list[int] = []

    class SlowStorage(MemoryStorage):
        async def commit(self, batch: Batch, owner: Any, follow: Any = None) -> Any:  # noqa: ANN401 - as the port
            operations.append(len(batch.lock_ops))
            await pause(0.5)
            return await super().commit(batch, owner, follow)

    async with engine_on(SlowStorage(), clocked=TickingClock) as engine:
        raw = command(phase("p", node("a", minutes=5)), resources=locks("db", maxWaitTime=2000))
        await engine.start(plan(raw), executor="simulate")
        second = await engine.start(plan(raw), executor="simulate")
        assert (await ended(engine, second)).status is RunStatus.FAILED
    assert max(operations) < 5


async def test_a_sub_command_behind_a_circuit_breaker_starts_though_time_goes_on_while_it_is_looked_at() -> None:
    raw = command(phase("p", {"id": "g", "agentId": "command", "task": "/sub", "circuitBreaker": "api"}))
    sub = command(phase("s", node("x")), name="/sub")
    async with engine_on(MemoryStorage(), clocked=TickingClock) as engine:
        run = await engine.start(plan(raw, sub), executor="simulate")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED


async def test_a_decision_that_breaks_down_half_way_leaves_no_gap_in_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()

    def broken(step: Step, signal: sig.Decide) -> None:
        step.emit(ev.NodeReady(step.now, signal.node))
        raise ZeroDivisionError

    asked = plan(command(phase("p", node("a", approval={"message": "?"}))), agents=(WORKER,))
    async with engine_on(storage, owner=Alone()) as engine:
        run = await engine.start(asked)
        table: dict[type[Any], Any] = {**decide._DECIDE, sig.Decide: broken}
        with monkeypatch.context() as patched:
            patched.setattr(decide, "_DECIDE", table)
            with pytest.raises(InternalError, match=run):
                await engine.decide(run, NodeId("a"), "yes")
        assert (await ended(engine, run)).status is RunStatus.INTERRUPTED
        await engine.resume(run)
        await engine.decide(run, NodeId("a"), "yes")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED


class Hanging:
    """Works until it is told to end."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.answers = False

    async def execute(self, order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
        self.began.append(order.attempt)
        try:
            return Outcome() if self.answers else await asyncio.get_running_loop().create_future()
        finally:
            self.ended.append(order.attempt)


def breaks_down(patch: pytest.MonkeyPatch, signal: type[Any], run: RunId | None = None) -> None:
    """Have each decision about a *signal*, to *run* alone where one is named, raise when it has changed the state."""
    ordinary = decide._DECIDE[signal]

    def broken(step: Step, given: Any) -> None:  # noqa: ANN401 - any signal
        ordinary(step, given)
        if run in {None, step.run.id}:
            raise ZeroDivisionError

    patch.setattr(decide, "_DECIDE", {**decide._DECIDE, signal: broken})


async def test_a_decision_that_breaks_down_costs_its_own_run_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    storage, work = FailingStorage(), Hanging()
    async with engine_on(storage, work, owner=Alone()) as engine:
        runs = [await engine.start(plan(TWO, agents=(WORKER,))) for _ in range(3)]
        while len(work.began) < 3:
            await pause(1)
        with monkeypatch.context() as patched:
            breaks_down(patched, sig.RequestCancel)
            waiting = asyncio.ensure_future(engine.wait(runs[1], LONG))
            with pytest.raises(InternalError, match=runs[1]):
                await engine.cancel(runs[1])
            assert await asyncio.wait_for(waiting, LONG)
        assert (await ended(engine, runs[1])).status is RunStatus.INTERRUPTED
        assert work.ended == [f"{runs[1]}:a#1"]
        assert list(engine.live_runs.runs) == [runs[0], runs[2]]
        work.answers = True
        await engine.resume(runs[1])
        assert (await ended(engine, runs[1])).status is RunStatus.COMPLETED
        assert [(await engine.view(run)).run.status for run in runs[::2]] == [RunStatus.RUNNING] * 2
        for run in runs[::2]:
            await engine.cancel(run)
            assert (await ended(engine, run)).status is RunStatus.CANCELLED


async def test_what_was_decided_before_a_decision_broke_down_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FailingStorage()
    async with engine_on(storage, owner=Alone()) as engine:
        run = await engine.start(plan(TWO), executor="host")
        breaks_down(monkeypatch, sig.RequestCancel)
        engine.live_runs.send(run, sig.ReportOutcome(NodeId("a"), 1))
        with pytest.raises(InternalError):
            await engine.cancel(run)
        found = await ended(engine, run)
        assert found.status is RunStatus.INTERRUPTED
        assert found.nodes[NodeId("a")].status.value == "completed"
        assert found.live == {"b"}


async def test_a_run_whose_first_decision_breaks_down_has_never_been(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()
    raw = plan(command(phase("p", node("a", circuitBreaker="api", resources=locks("db")))), agents=(WORKER,))
    async with engine_on(storage, Hanging(), owner=Alone()) as engine:
        other = await engine.start(plan(TWO, agents=(WORKER,)))
        with monkeypatch.context() as patched:
            patched.setattr(
                engine.live_runs._requests,
                "follow",
                broken_after(engine.live_runs._requests.follow, ev.NodeWaiting),
            )
            with pytest.raises(InternalError):
                await engine.start(raw)
        await pause(1)
        assert [row.id for row in await storage.summaries()] == [other]
        assert await storage.claims() == []
        assert list(engine.live_runs.runs) == [other]


async def test_a_run_that_breaks_down_before_it_was_durable_is_recorded_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()
    async with engine_on(storage, Hanging(), owner=Alone()) as engine:
        breaks_down(monkeypatch, sig.RequestCancel)
        request = sig.StartRun(run=RunId("r-new"), plan=plan(TWO, agents=(WORKER,)), owner=Alone.id)
        engine.live_runs.start(request)
        with pytest.raises(InternalError):
            engine.live_runs.send(RunId("r-new"), sig.RequestCancel())
        await pause(1)  # nobody asks for it
        assert [(row.id, row.status) for row in await storage.summaries()] == [("r-new", RunStatus.INTERRUPTED)]


def broken_after(follow: Any, kind: type[ev.Event]) -> Any:  # noqa: ANN401 - as the guards have it
    """*follow*, which raises after an event of *kind*."""

    def broken(run: Run, event: ev.Event, batch: Batch) -> None:
        follow(run, event, batch)
        if isinstance(event, kind):
            raise ZeroDivisionError

    return broken


async def test_a_decision_that_breaks_down_inside_a_commit_costs_its_own_run_and_the_commit_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()
    raw = plan(command(phase("p", node("a", resources=locks("db")))), agents=(WORKER,))
    async with engine_on(storage, Hanging(), owner=Alone()) as engine:
        breaks_down(monkeypatch, sig.GrantLocks)
        other, run = await asyncio.gather(engine.start(plan(TWO, agents=(WORKER,))), engine.start(raw))
        assert (await ended(engine, run)).status is RunStatus.INTERRUPTED
        assert (await engine.view(other)).run.status is RunStatus.RUNNING
        assert list(engine.live_runs.runs) == [other]


async def test_a_run_whose_resume_breaks_down_stays_interrupted_with_its_locks_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()
    async with engine_on(storage, owner=Alone()) as engine:
        raw = command(phase("p", node("a", resources=locks("db"), compensation=rollback())))
        run = await engine.start(plan(raw), executor="host")
        engine.live_runs.send(run, sig.Interrupt())
        await engine.live_runs.committed()
        with monkeypatch.context() as patched:
            breaks_down(patched, sig.Resume)
            with pytest.raises(InternalError):
                await engine.resume(run)
        assert (await ended(engine, run)).status is RunStatus.INTERRUPTED
        assert [claim.reserved for claim in await storage.claims()] == [True]
        await engine.resume(run)
        assert (await engine.view(run)).run.status is RunStatus.RUNNING


async def test_a_run_that_had_to_be_let_go_is_recorded_as_soon_as_a_full_disk_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FailingStorage()
    async with engine_on(storage, Hanging(), owner=Alone()) as engine:
        run = await engine.start(plan(TWO, agents=(WORKER,)))
        with monkeypatch.context() as patched:
            breaks_down(patched, sig.RequestCancel)
            storage.error = EnvironmentFault("the disk is full", code="DISK_FULL")
            with pytest.raises(InternalError):
                await engine.cancel(run)
        await pause(2 * RETRY_SECONDS)
        storage.error = None
        await pause(2 * RETRY_SECONDS)
        row = await storage.summary(run)
        assert row is not None
        assert row.status is RunStatus.INTERRUPTED


async def test_a_signal_to_a_run_that_is_not_here_is_refused() -> None:
    async with engine_on(MemoryStorage()) as engine:
        with pytest.raises(StateError) as caught:
            engine.live_runs.send(RunId("r-nobody"), sig.Tick())
        assert caught.value.code == "NOT_OWNED"


async def test_an_attempt_that_is_ended_before_it_began_has_ended_too() -> None:
    async with engine_on(MemoryStorage()) as engine:
        run = await engine.start(plan(TWO), executor="simulate")
        engine.live_runs.send(run, sig.RequestCancel())
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


HOURS = pytest.mark.parametrize("hours", [8.0, -8.0], ids=["a sleep", "set back"])
LIMITED = node("a", timeout=120_000, minutes=1)


@HOURS
async def test_a_report_after_a_jump_of_the_clock_is_in_time_where_its_time_was_not_lived(hours: float) -> None:
    async with engine_on(MemoryStorage(), clocked=JumpingClock) as engine:
        run = await engine.start(plan(command(phase("p", LIMITED))), executor="host")
        jump(engine, hours=hours)
        await engine.report(f"{run}:a#1", Outcome())
        assert (await ended(engine, run)).status is RunStatus.COMPLETED


@HOURS
async def test_a_jump_of_the_clock_ends_nothing_and_is_told(hours: float) -> None:
    storage = MemoryStorage()
    one = command(phase("p", LIMITED, timeout=150_000))
    limits = ev.Limits(max_duration_seconds=180)
    async with engine_on(storage, clocked=JumpingClock) as engine:
        run = await engine.start(plan(one), executor="simulate", limits=limits)
        await pause(30)
        jump(engine, hours=hours)
        done = await ended(engine, run)
        seen = snapshot((await engine.view(run)).run, engine.clock.now())
        assert [type(event).__name__ for event in await storage.events(run)].count("ClockJumped") == 1
    assert done.status is RunStatus.COMPLETED
    assert seen.elapsed == timedelta(minutes=1)
    assert seen.nodes[0].duration == timedelta(minutes=1)
    assert len([line for line in seen.warnings if "clock" in line]) == 1
    assert [sample.seconds for sample in samples(done)] == [60]


@HOURS
async def test_a_limit_is_reached_after_a_jump_when_as_much_was_lived(hours: float) -> None:
    hang: dict[tuple[NodeId, int | None], Fault] = {(NodeId("a"), None): Fault(FailureKind.TIMEOUT, "TIMEOUT")}
    async with engine_on(MemoryStorage(), SimulateExecutor(faults=hang), clocked=JumpingClock) as engine:
        begun = asyncio.get_running_loop().time()
        run = await engine.start(plan(command(phase("p", LIMITED))), executor="simulate")
        await pause(30)
        jump(engine, hours=hours)
        done = await ended(engine, run)
        assert asyncio.get_running_loop().time() - begun == 120
    failure = done.nodes[NodeId("a")].failure
    assert failure is not None
    assert failure.code == "TIMEOUT"


class Pulse:
    """An owner that notes when it has shown that it lives."""

    id = OwnerId("o-1")

    def __init__(self) -> None:
        self.shown: list[datetime] = []

    def is_alive(self, owner: OwnerId) -> bool:
        return owner == self.id

    def last_seen(self, owner: OwnerId) -> datetime | None:
        return self.shown[-1] if owner == self.id and self.shown else None

    def renew(self, now: datetime) -> None:
        self.shown.append(now)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("hours", "shown"), [(-8.0, True), (8.0, False)], ids=["set back", "a sleep"])
async def test_a_clock_that_was_set_back_is_shown_before_the_runs_record_it(hours: float, *, shown: bool) -> None:
    owner = Pulse()
    async with engine_on(MemoryStorage(), clocked=JumpingClock, owner=owner) as engine:
        run = await engine.start(plan(command(phase("p", LIMITED))), executor="host")
        before = list(owner.shown)
        jump(engine, hours=hours)
        await engine.report(f"{run}:a#1", Outcome())
        assert (owner.shown[len(before) :] == [engine.clock.now()]) is shown


@HOURS
async def test_the_time_of_a_whole_run_counts_what_was_lived(hours: float) -> None:
    limits = ev.Limits(max_duration_seconds=600)
    two = command(phase("p", node("a", timeout=24 * 3_600_000), node("b", "a")))
    async with engine_on(MemoryStorage(), clocked=JumpingClock) as engine:
        run = await engine.start(plan(two), executor="host", limits=limits)
        jump(engine, hours=hours)
        await pause(599)
        await engine.report(f"{run}:a#1", Outcome())
        await pause(1)
        with pytest.raises(StateError):
            await engine.report(f"{run}:b#1", Outcome())
        done = await ended(engine, run)
    assert done.message.startswith("the run reached its time limit of 600 s")


@HOURS
@pytest.mark.parametrize("whole", [False, True], ids=["a node", "a run"])
async def test_who_waits_for_a_lock_waits_its_time_and_no_other_process_says_that_it_is_over(
    hours: float, *, whole: bool
) -> None:
    storage, needs = MemoryStorage(), locks("db", maxWaitTime=60_000)
    of_run: dict[str, Any] = {"resources": needs if whole else None}
    of_node: dict[str, Any] = {} if whole else {"resources": needs}
    second = command(phase("p", node("b", **of_node)), **of_run)
    async with engine_on(storage, clocked=JumpingClock) as engine:
        first = command(phase("p", node("a", minutes=60, resources=locks("db"))))
        await engine.start(plan(first), executor="simulate")
        mine = await engine.start(plan(second), executor="simulate")
        begun = asyncio.get_running_loop().time()
        jump(engine, hours=hours)
        stranger, late = OwnerId("o-stranger"), engine.clock.now() + timedelta(days=1)
        assert await storage.commit(Batch(lock_ops=[lambda table: table.expire(late, stranger)]), stranger) == []
        done = await ended(engine, mine)
        assert asyncio.get_running_loop().time() - begun == 60
    failed = done.stop.failure if done.stop is not None else None
    assert failed is not None
    assert failed.code == "LOCK_TIMEOUT"
    assert "waited 60 s for its locks" in failed.message


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
