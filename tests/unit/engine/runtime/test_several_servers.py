"""Two engines on one project: what one takes over of another that has died, and what they cannot both have."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from engine.errors import EnvironmentFault, NotFound, StateError
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.ids import AttemptId, NodeId, OwnerId, RunId
from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.run.state import Run
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from engine.storage.port import Message, RunSummary, RunUnreadable
from engine.tables.locks import Claim
from engine.views.status import snapshot
from tests.support.by_hand import locks, rollback
from tests.support.definitions import command, node, phase, plan

LONG = 10_000.0
"""Virtual seconds that bound every wait."""
WORKER = Agent(id="worker", kind=AgentKind.CUSTOM)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Named:
    """An owner by name, alive as long as it stands in *alive*."""

    def __init__(self, name: str, alive: set[OwnerId], seen: dict[OwnerId, datetime]) -> None:
        self.id = OwnerId(name)
        self._alive = alive
        self._seen = seen
        alive.add(self.id)

    def is_alive(self, owner: OwnerId) -> bool:
        return owner in self._alive

    def last_seen(self, owner: OwnerId) -> datetime | None:
        return self._seen.get(owner)

    def renew(self, now: datetime) -> None:
        pass

    def close(self) -> None:
        self._alive.discard(self.id)


class Slow(MemoryStorage):
    """A way to the project on which something may happen before or after one of its operations."""

    def __init__(self, project: MemoryStorage) -> None:
        super().__init__()
        self._tables = project._tables
        self.after_summary: Callable[[], Awaitable[None]] | None = None
        self.after_events: Callable[[], Awaitable[None]] | None = None
        self.no_claims = False
        self.damaged: set[RunId] = set()

    async def summary(self, run: RunId) -> RunSummary | None:
        row = await super().summary(run)
        await self._once("after_summary")
        return row

    async def events(self, run: RunId, since: int = 0) -> list[ev.Event]:
        if run in self.damaged:
            raise RunUnreadable(run, "an event is damaged")
        found = await super().events(run, since)
        await self._once("after_events")
        return found

    async def _once(self, name: str) -> None:
        then = getattr(self, name)
        setattr(self, name, None)
        if then is not None:
            await then()

    async def claims(self) -> list[Claim]:
        if self.no_claims:
            self.no_claims = False
            message = "not now"
            raise EnvironmentFault(message, code="DATABASE_LOCKED")
        return await super().claims()


class Project:
    """Engines on one storage in memory, whose agents hang until they are told to end."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.storage = MemoryStorage()
        self.alive: set[OwnerId] = set()
        self.seen: dict[OwnerId, datetime] = {}
        """When those were last heard of that were killed."""
        self.ended: list[tuple[list[AttemptId], list[str]]] = []
        """Attempts whose orphans were ended, and who held locks then."""
        self.began: list[str] = []
        self._stack = stack
        self._names: Iterator[str] = iter(("o-1", "o-2", "o-3"))

    async def engine(self, *, hang: bool = False) -> Engine:
        """One more server."""
        storage = Slow(self.storage)

        async def work(order: WorkOrder) -> Outcome:
            self.began.append(order.node)
            if hang:
                await asyncio.get_running_loop().create_future()
            return Outcome()

        async def end_orphans(project: Path, *, lost: Collection[AttemptId] = ()) -> int:
            assert project == Path()
            holders = [str(claim.holder.node) for claim in await self.storage.claims() if claim.granted]
            self.ended.append((sorted(lost), holders))
            return 0

        clock = VirtualClock(asyncio.get_running_loop(), random.Random(len(self.alive)))  # noqa: S311 - repeatable by intent
        engine = Engine(
            Path(),
            storage=storage,
            owner=Named(next(self._names), self.alive, self.seen),
            clock=clock,
            executors={AgentKind.CUSTOM: InlineExecutor({"worker": work})},
            orphans=end_orphans,
        )
        return await self._stack.enter_async_context(engine.serving())

    async def begins(self, node: str) -> None:
        """Wait until an agent works on *node*."""
        for _ in range(100):
            if node in self.began:
                return
            await checkpoint()
        pytest.fail(f"nobody works on {node}")

    def kill(self, engine: Engine) -> None:
        """*engine* counts as dead from now on; what it still does is its own affair."""
        self.alive.discard(engine._owner_id)
        self.seen[engine._owner_id] = engine.clock.now()
        engine.live_runs.stop_timer()
        engine.live_runs.runs.clear()


@pytest.fixture
async def project() -> AsyncIterator[Project]:
    async with AsyncExitStack() as stack:
        yield Project(stack)


def slow(engine: Engine) -> Slow:
    assert isinstance(engine.storage, Slow)
    return engine.storage


async def until(engine: Engine, run: RunId, *states: RunStatus) -> Run:
    """The run once it is recorded as in one of *states*."""

    async def reached() -> Run:
        while True:
            status, seen = await engine.read(run, lambda view: (view.run.status, view.run))
            if status in states:
                return seen
            await engine.wait(run, 1)

    return await asyncio.wait_for(reached(), LONG)


TWO = plan(command(phase("p", node("a"), node("b", "a"))), agents=(WORKER,))
LOCKED = plan(command(phase("p", node("a", resources=locks("db")))), agents=(WORKER,))


async def test_the_locks_of_a_dead_owner_are_free_only_when_what_it_left_running_has_ended(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(LOCKED)
    await project.begins("a")
    project.kill(one)
    assert (await other.view(run)).run.status is RunStatus.INTERRUPTED
    assert project.ended == [([f"{run}:a#1"], ["a"])]
    assert await other.storage.claims() == []


async def test_a_run_whose_process_was_killed_has_run_for_as_long_as_that_lived(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    await project.begins("a")
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=100)
    project.kill(one)
    await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=1000)
    view = await other.view(run)
    assert view.run.status is RunStatus.INTERRUPTED
    now = snapshot(view.run, view.now)
    assert round(now.elapsed.total_seconds()) == 100
    assert [round(node.duration.total_seconds()) for node in now.nodes if node.duration is not None] == [100]
    await other.resume(run)
    done = await until(other, run, RunStatus.COMPLETED)
    assert round(snapshot(done, other.clock.now()).elapsed.total_seconds()) == 100


async def test_who_was_slower_at_taking_up_a_run_does_not_take_it_from_its_new_owner(project: Project) -> None:
    one, other, third = [await project.engine(hang=True) for _ in range(3)]
    run = await one.start(TWO)
    project.kill(one)
    assert (await other.view(run)).run.status is RunStatus.INTERRUPTED

    async def faster() -> None:
        await third.resume(run)
        assert (await other.view(run)).run.status is RunStatus.RUNNING

    slow(other).after_events = faster
    with pytest.raises(StateError) as caught:
        await other.resume(run)
    assert caught.value.code == "NOT_RESUMABLE"
    row = await other.storage.summary(run)
    assert row is not None
    assert row.owner == third._owner_id
    assert run in third.live_runs.runs
    assert run not in other.live_runs.runs


async def test_two_who_read_a_run_at_once_fold_no_event_twice(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    await other.view(run)
    await one.cancel(run)
    await until(one, run, RunStatus.CANCELLED)

    async def reads_too() -> None:
        await other.view(run)

    slow(other).after_events = reads_too
    seen = (await other.view(run)).run
    assert seen.events == len(await other.storage.events(run))


async def test_a_run_that_is_forgotten_while_somebody_reads_it_is_not_found(project: Project) -> None:
    one, other = await project.engine(), await project.engine()
    run = await one.start(TWO)
    await until(one, run, RunStatus.COMPLETED)

    async def forget() -> None:
        assert [row.id for row in await one.prune(keep=0)] == [run]

    slow(other).after_summary = forget
    with pytest.raises(NotFound):
        await other.view(run)


async def test_who_forgets_runs_keeps_the_one_that_somebody_takes_up_meanwhile(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(LOCKED)
    project.kill(one)
    assert (await other.view(run)).run.status is RunStatus.INTERRUPTED
    rows = await other.storage.summaries()
    third = await project.engine(hang=True)
    project.began.clear()
    await third.resume(run)
    await project.begins("a")
    assert await other.storage.remove(rows, OwnerId("o-2")) == ([], [])
    assert [str(claim.holder.node) for claim in await other.storage.claims()] == ["a"]


async def test_cancelling_a_run_that_does_not_get_its_locks_back_asks_for_them_once(project: Project) -> None:
    undone = node("a", compensation=rollback(), resources=locks("db.a"))
    first = plan(command(phase("p", undone)), agents=(WORKER,))
    second = plan(command(phase("p", node("b", compensation=rollback())), resources=locks("db")), agents=(WORKER,))
    one, other = await project.engine(hang=True), await project.engine()
    waiting = await one.start(second)
    await project.begins("b")
    project.kill(one)
    assert (await other.view(waiting)).run.status is RunStatus.INTERRUPTED
    await other.release_locks(waiting)
    third = await project.engine(hang=True)
    holding = await third.start(first)
    await project.begins("a")
    project.kill(third)
    assert (await other.view(holding)).run.status is RunStatus.INTERRUPTED
    before = len(await other.storage.events(waiting))
    await other.cancel(waiting)
    seen = (await other.view(waiting)).run
    assert seen.status is RunStatus.INTERRUPTED
    assert seen.message.startswith("it did not get its locks back")
    assert seen.stop is not None
    assert len(await other.storage.events(waiting)) - before <= 10


async def test_a_run_of_which_a_call_was_given_up_half_way_through_taking_it_up_is_not_stuck(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    project.kill(one)
    assert (await other.view(run)).run.status is RunStatus.INTERRUPTED
    taken = await other.storage.take_over(run, other._owner_id, other._owner_id, ended=RunStatus.INTERRUPTED)
    assert taken, "and then the call was given up"
    assert (await other.view(run)).run.status is RunStatus.INTERRUPTED
    await other.resume(run)
    assert (await until(other, run, RunStatus.COMPLETED)).status is RunStatus.COMPLETED


async def test_a_message_is_obeyed_though_storage_fails_while_it_is_looked_at(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    slow(one).no_claims = True
    await one.storage.post(Message(run=run, kind="granted", payload={"node": NodeId("b")}))
    await other.cancel(run, reason="enough")
    assert (await until(other, run, RunStatus.CANCELLED)).message == "cancelled: enough"
    assert not slow(one).no_claims


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("noop", {}), ("cancel", {}), ("granted", {}), ("refused", {"node": "a"}), ("decide", {"answer": "yes"})],
)
async def test_a_message_that_nobody_understands_is_logged_and_the_next_one_is_obeyed(
    project: Project, caplog: pytest.LogCaptureFixture, kind: str, payload: dict[str, Any]
) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    await one.storage.post(Message(run=run, kind=kind, payload=payload))
    await other.cancel(run, reason="enough")
    assert (await until(other, run, RunStatus.CANCELLED)).message == "cancelled: enough"
    assert kind in caplog.text


async def test_an_answer_for_no_node_at_all_does_not_cost_the_run(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    await one.storage.post(Message(run=run, kind="decide", payload={"node": [], "answer": 1}))
    await other.cancel(run, reason="enough")
    assert (await until(other, run, RunStatus.CANCELLED)).message == "cancelled: enough"


async def test_who_fails_at_looking_for_messages_looks_again(
    project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    inbox = one.storage.inbox

    async def broken(_runs: object) -> list[Message]:
        monkeypatch.setattr(one.storage, "inbox", inbox)
        message = "a fault of ours"
        raise KeyError(message)

    monkeypatch.setattr(one.storage, "inbox", broken)
    await other.cancel(run, reason="enough")
    assert (await until(other, run, RunStatus.CANCELLED)).message == "cancelled: enough"
    assert "a fault of ours" in caplog.text


async def test_a_run_whose_journal_is_damaged_keeps_nobody_from_the_others(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    healthy, damaged = await one.start(TWO), await one.start(LOCKED)
    await until(one, damaged, RunStatus.RUNNING)
    project.kill(one)
    slow(other).damaged.add(damaged)
    await other.clean_up()
    rows = {row.id: row for row in await other.archive.look_after_all()}
    assert rows[healthy].status is RunStatus.INTERRUPTED
    assert rows[damaged].status is RunStatus.FAILED
    assert rows[damaged].ended_at == other.clock.now()
    assert f"the journal of run {damaged} cannot be read" in rows[damaged].message
    assert f"the journal of run {damaged} cannot be read" in caplog.text
    with pytest.raises(EnvironmentFault) as caught:
        await other.view(damaged)
    assert caught.value.code == "RUN_UNREADABLE"
    assert [row.id for row in await other.prune(keep=0)] == [damaged]
    assert await other.locks() == []


async def test_what_a_run_with_a_damaged_journal_had_locked_is_reserved_until_a_person_releases_it(
    project: Project,
) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(LOCKED)
    await project.begins("a")
    project.kill(one)
    slow(other).damaged.add(run)
    assert [(line.run, line.state) for line in await other.locks()] == [(run, "reserved")]
    assert len(await other.release_locks(run)) == 1
    assert await other.locks() == []


async def test_a_run_whose_events_do_not_fit_together_counts_as_damaged(project: Project) -> None:
    one, other = await project.engine(hang=True), await project.engine()
    run = await one.start(TWO)
    project.kill(one)
    project.storage._tables.events[run].pop(0)
    assert [row.status for row in await other.archive.look_after_all()] == [RunStatus.FAILED]


async def test_orphans_are_ended_though_runs_cannot_be_looked_after(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await project.engine()

    async def unreadable_table(_limit: int | None = None) -> list[RunSummary]:
        message = "the disk is broken"
        raise EnvironmentFault(message, code="STORAGE_FAILED")

    monkeypatch.setattr(engine.storage, "summaries", unreadable_table)
    with pytest.raises(EnvironmentFault):
        await engine.clean_up()
    assert project.ended == [([], [])]
