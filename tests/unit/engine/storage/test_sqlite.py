from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.storage import sqlite
from engine.storage.codec import encode_value
from engine.storage.database import connect
from engine.storage.memory import MemoryStorage
from engine.storage.port import SHORT, SHORT_BYTES, Batch, RunSummary, Sample, Storage, TableOutcome
from engine.storage.sqlite import SqliteStorage
from tests.support.databases import of_sqlite, open_at_once
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = OwnerId("o-1")


@pytest.fixture(params=["sqlite", "memory"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    made: Storage = SqliteStorage(tmp_path) if request.param == "sqlite" else MemoryStorage()
    yield made
    await made.close()


def summary(name: str, status: RunStatus, *, minute: int = 0, executor: str = "native") -> RunSummary:
    return RunSummary(
        id=RunId(name),
        command="/build",
        status=status,
        executor=executor,
        owner=OWNER,
        created_at=NOW + timedelta(minutes=minute),
    )


async def stored(storage: Storage, *rows: RunSummary) -> None:
    await storage.commit(Batch(summaries={row.id: row for row in rows}), OWNER)


async def test_the_last_status_is_that_of_the_newest_ended_real_run(storage: Storage) -> None:
    assert storage.last_status("/build") is None
    await stored(storage, summary("r-1", RunStatus.FAILED), summary("r-2", RunStatus.COMPLETED, minute=1))
    assert storage.last_status("/build") is RunStatus.COMPLETED
    await stored(
        storage,
        summary("r-3", RunStatus.RUNNING, minute=2),
        summary("r-4", RunStatus.FAILED, minute=3, executor="simulate"),
    )
    assert storage.last_status("/build") is RunStatus.COMPLETED
    await stored(storage, summary("r-3", RunStatus.COMPENSATED, minute=2))
    assert storage.last_status("/build") is RunStatus.COMPENSATED
    assert storage.last_status("/other") is None


def created(run: str, value: object) -> tuple[ev.RunCreated, dict[str, bytes]]:
    ref, data = encode_value(value)
    compiled = plan(command(phase("work", node("first-node"))))
    event = ev.RunCreated(NOW, RunId(run), compiled, OWNER, "native", {"key": ref}, "", ev.Limits())
    return event, {ref.digest: data}


async def test_removing_a_run_keeps_the_values_that_other_runs_refer_to(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    kept, shared = created("r-1", "both"), created("r-2", "both")
    gone = created("r-3", "only mine")
    for event, values in (kept, shared, gone):
        row = summary(event.run, RunStatus.COMPLETED)
        await storage.commit(Batch(events=[(event.run, 0, event)], values=values, summaries={row.id: row}), OWNER)
    await storage.remove([row for row in await storage.summaries() if row.id != "r-1"], OWNER)
    assert [row.id for row in await storage.summaries()] == ["r-1"]
    assert await storage.events(RunId("r-3")) == []
    [digest], [lost] = kept[1], gone[1]
    assert storage.value(digest) is not None
    assert storage.value(lost) is None
    await storage.close()


async def test_a_commit_waits_for_another_programs_transaction(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path, busy_seconds=0)
    other = sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    refusals = 0
    guarded = storage._guarded

    def counted(*args: object) -> object:
        nonlocal refusals
        try:
            return guarded(*args)  # type: ignore[arg-type]
        except EnvironmentFault:
            refusals += 1
            if refusals == 3:
                other.execute("ROLLBACK")
            raise

    storage._guarded = counted  # type: ignore[method-assign, assignment]
    await stored(storage, summary("r-1", RunStatus.COMPLETED))
    assert refusals == 3
    assert storage.last_status("/build") is RunStatus.COMPLETED
    await storage.close()
    other.close()


class Held(dict[str, Any]):
    """Learned durations that nobody sees before the gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate

    def get(self, _key: str, _default: object = None) -> None:
        self._gate.wait()


async def made_at_once(storage: SqliteStorage, batch: Batch) -> bool:
    """Commit *batch*; whether the event loop was held until it was durable."""
    committing = asyncio.ensure_future(storage.commit(batch, OWNER))
    await checkpoint()
    at_once = committing.done()
    await committing
    return at_once


async def test_short_commits_on_a_quick_disk_are_made_without_leaving_the_loop_and_others_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "perf_counter", lambda: 0.0)  # no commit takes time
    storage = SqliteStorage(tmp_path)
    short = Batch(summaries={RunId("r-1"): summary("r-1", RunStatus.RUNNING)})
    ref, data = encode_value("x" * SHORT_BYTES)
    samples = [Sample(command="/build", node="a", seconds=1.0)] * (SHORT + 1)
    assert await made_at_once(storage, short)
    assert not await made_at_once(storage, replace(short, values={ref.digest: data}))
    assert not await made_at_once(storage, replace(short, samples=samples))
    storage._commit_seconds = 1.0
    assert not await made_at_once(storage, short)
    for _ in range(100):
        await stored(storage, summary("r-1", RunStatus.RUNNING))
    assert await made_at_once(storage, short)  # the disk is quick again
    await storage.close()


async def test_the_loop_does_not_wait_for_another_programs_transaction(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path, busy_seconds=5)
    waits = []
    begin = storage._begin

    def observed(batch: Batch, owner: OwnerId, followed: bool) -> list[TableOutcome]:  # noqa: FBT001
        waits.append(storage._db.execute("PRAGMA busy_timeout").fetchone()[0])
        return begin(batch, owner, followed)

    storage._begin = observed  # type: ignore[method-assign]
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        committing = asyncio.ensure_future(stored(storage, summary("r-1", RunStatus.COMPLETED)))
        await checkpoint()
        other.execute("ROLLBACK")
    await committing
    assert waits == [0, 5000]  # in the loop, then in the thread
    assert storage.last_status("/build") is RunStatus.COMPLETED
    await storage.close()


async def test_a_commit_waits_for_what_the_thread_still_does_for_a_caller_that_is_gone(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    gate = threading.Event()
    storage._learned = Held(gate)
    looking = asyncio.ensure_future(storage.estimates("/build"))
    await checkpoint()
    looking.cancel()
    committing = asyncio.ensure_future(stored(storage, summary("r-1", RunStatus.COMPLETED)))
    for _ in range(3):
        await checkpoint()
    assert not committing.done()
    gate.set()
    await committing
    await storage.close()


async def test_a_commit_gives_up_when_its_patience_ends_and_nothing_is_written(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path, busy_seconds=0, patience_seconds=0.2)
    other = sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EnvironmentFault) as caught:
        await stored(storage, summary("r-1", RunStatus.COMPLETED))
    assert caught.value.code == "DATABASE_LOCKED"
    other.execute("ROLLBACK")
    other.close()
    assert await storage.summaries() == []
    await storage.close()


def test_many_programs_may_make_the_same_database_at_once(tmp_path: Path) -> None:
    assert open_at_once(tmp_path) == []


def test_a_database_that_can_be_opened_only_once_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []

    def connect_once(*args: Any) -> sqlite3.Connection:  # noqa: ANN401 - as `connect`
        if opened:
            raise of_sqlite(sqlite3.SQLITE_CANTOPEN)
        opened.append(connect(*args))
        return opened[0]

    monkeypatch.setattr("engine.storage.sqlite.connect", connect_once)
    with pytest.raises(EnvironmentFault):
        SqliteStorage(tmp_path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
