"""Both storages keep the promises of the port; the one on disk says clearly what the disk does not let it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from engine.errors import EnvironmentFault
from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import LockSpec
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.storage.codec import encode_value
from engine.storage.database import faults
from engine.storage.memory import SAMPLES_KEPT, MemoryStorage
from engine.storage.port import Batch, Message, RunSummary, Sample, SessionValue, Storage, TableOutcome
from engine.storage.sqlite import MAX_LEARNED, SqliteStorage
from engine.tables.claims import Claim, Holder
from engine.tables.locks import Granted, LockOutcome, LockTable
from tests.support.by_hand import NOON, OWNER, RUN, ByHand
from tests.support.databases import of_sqlite
from tests.support.definitions import review_code

OTHER = RunId("r-111111111111")
STRANGER = OwnerId("o-3")


@pytest.fixture(params=["memory", "sqlite"])
async def connect(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Storage]]:
    """Each implementation: what it gives are ways to one project, as several processes have them."""
    opened: list[Storage] = []
    project = MemoryStorage()

    def connect_once_more() -> Storage:
        opened.append(project.connect() if request.param == "memory" else SqliteStorage(tmp_path / "state"))
        return opened[-1]

    yield connect_once_more
    for storage in opened:
        await storage.close()
        await storage.close()


@pytest.fixture
def storage(connect: Callable[[], Storage]) -> Storage:
    """The only process that works on its project."""
    return connect()


def a_run(run: RunId = RUN) -> list[tuple[RunId, int, ev.Event]]:
    """The rows of a run's journal."""
    return [(run, place, event) for place, event in enumerate(ByHand(review_code()).events)]


def a_summary(run: RunId = RUN, *, owner: OwnerId = OWNER, minute: int = 0) -> RunSummary:
    """The row of a run."""
    return RunSummary(
        id=run,
        command="/test",
        status=RunStatus.RUNNING,
        executor="native",
        owner=owner,
        created_at=NOON + timedelta(minutes=minute),
        cost_usd=0.25,
        message="so far, so good",
        idle=timedelta(seconds=90),
    )


def claim_of(run: RunId, node_id: str | None, owner: OwnerId = OWNER) -> Callable[[LockTable], list[LockOutcome]]:
    """A lock operation that asks for the database."""
    holder = Holder(run, NodeId(node_id) if node_id else None)
    claim = Claim.of(holder, owner, [LockSpec("db")], now=NOON, max_wait=timedelta(minutes=1))
    return lambda table: table.request(claim, NOON)


async def test_events_come_back_as_they_were_written_from_any_place_on(storage: Storage) -> None:
    rows = a_run()
    await storage.commit(Batch(events=rows[:2], summaries={RUN: a_summary()}), OWNER)
    await storage.commit(Batch(events=rows[2:]), OWNER)
    events = [event for _run, _place, event in rows]
    assert await storage.events(RUN) == events
    assert await storage.events(RUN, 2) == events[2:]
    assert await storage.events(OTHER) == []


async def test_a_commit_whose_lock_operation_fails_leaves_nothing(storage: Storage) -> None:
    def broken(_table: LockTable) -> list[LockOutcome]:
        raise RuntimeError

    ref, data = encode_value("x")
    batch = Batch(events=a_run(), values={ref.digest: data}, summaries={RUN: a_summary()})
    batch.lock_ops = [claim_of(RUN, "a"), broken]
    batch.session = [SessionValue(key="k", digest=ref.digest, size=ref.size, run=RUN, produced_at=NOON)]
    with pytest.raises(RuntimeError):
        await storage.commit(batch, OWNER)
    assert await storage.events(RUN) == []
    assert await storage.summary(RUN) is None
    assert storage.value(ref.digest) is None
    assert await storage.claims() == []
    assert await storage.session_values(NOON) == []
    assert await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER) == []


async def test_what_follows_from_the_answers_of_locks_is_part_of_the_commit(storage: Storage) -> None:
    rows, answers = a_run(), []

    def follow(outcomes: list[TableOutcome]) -> Batch:
        answers.append(outcomes)
        return Batch(events=rows[1:]) if len(answers) > 1 else Batch(events=rows[:1], lock_ops=[claim_of(RUN, "b")])

    batch = Batch(summaries={RUN: a_summary()}, lock_ops=[claim_of(RUN, "a"), lambda table: table.release_run(RUN)])
    assert await storage.commit(batch, OWNER, follow) == []
    assert answers == [[Granted(Holder(RUN, NodeId(name)))] for name in ("a", "b")]
    assert await storage.events(RUN) == [event for _run, _place, event in rows]
    assert [claim.holder.node for claim in await storage.claims()] == ["b"]


async def test_a_commit_during_which_the_following_fails_leaves_nothing_on_disk(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "state")

    def broken(_outcomes: list[TableOutcome]) -> Batch:
        raise RuntimeError

    batch = Batch(summaries={RUN: a_summary()}, lock_ops=[claim_of(RUN, "a")])
    with pytest.raises(RuntimeError):
        await storage.commit(batch, OWNER, broken)
    assert (await storage.summary(RUN), await storage.claims()) == (None, [])
    assert await storage.commit(batch, OWNER) == [Granted(Holder(RUN, NodeId("a")))]
    await storage.close()


async def test_a_commit_that_is_cancelled_between_its_steps_leaves_no_transaction_open(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "state")
    storage._commit_seconds = 1.0  # a slow disk: each step is made in the thread
    committing: asyncio.Task[list[TableOutcome]]

    def cancelled(_outcomes: list[TableOutcome]) -> Batch:
        committing.cancel()
        return Batch(events=a_run(), lock_ops=[lambda table: table.release_run(RUN), claim_of(RUN, "b")])

    batch = Batch(summaries={RUN: a_summary()}, lock_ops=[claim_of(RUN, "a")])
    committing = asyncio.ensure_future(storage.commit(batch, OWNER, cancelled))
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert (await storage.events(RUN), await storage.claims()) == ([], [])
    assert await storage.commit(batch, OWNER) == [Granted(Holder(RUN, NodeId("a")))]
    await storage.close()


async def test_small_and_large_values_come_back_to_the_byte(storage: Storage) -> None:
    values: dict[str, bytes] = {}
    for value in ("small", "large" * 10_000, {"b": [1, None], "a": "ü"}):
        ref, data = encode_value(value)
        values[ref.digest] = data
    await storage.commit(Batch(events=a_run(), values=values, summaries={RUN: a_summary()}), OWNER)
    await storage.commit(Batch(summaries={RUN: a_summary()}, values=values), OWNER)
    assert {digest: storage.value(digest) for digest in values} == values
    assert storage.value("0" * 40) is None


async def test_a_message_is_given_once_and_only_to_the_runs_it_is_for(storage: Storage) -> None:
    first = Message(run=RUN, kind="cancel", payload={"reason": "enough", "compensate": True})
    second = Message(run=OTHER, kind="decide", payload={"node": "a", "answer": "yes"})
    third = Message(run=RUN, kind="decide", payload={"node": "b", "answer": "no"})
    for message in (first, second, third):
        await storage.post(message)
    assert await storage.changed() in {True, False}
    assert [await storage.unread(run) for run in (RUN, OTHER)] == [True, True]
    assert await storage.inbox([RUN]) == [first, third]
    assert [await storage.unread(run) for run in (RUN, OTHER)] == [False, True]
    assert await storage.inbox([RUN]) == []
    assert await storage.inbox([OTHER, RUN]) == [second]


async def test_a_message_that_cannot_be_read_does_not_cost_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SqliteStorage(tmp_path)
    good = Message(run=RUN, kind="cancel", payload={"reason": "enough", "compensate": True})
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)) as db:
        db.execute("INSERT INTO inbox(run, kind, payload) VALUES (?, 'cut off', '{')", (RUN,))
        db.execute("INSERT INTO inbox(run, kind, payload) VALUES (?, 'a list', '[]')", (RUN,))
    await storage.post(good)
    assert await storage.inbox([RUN]) == [good]
    assert "cut off" in caplog.text
    assert "a list" in caplog.text
    await storage.close()


async def test_a_run_is_taken_over_only_from_the_owner_that_is_named(storage: Storage) -> None:
    await storage.commit(Batch(summaries={RUN: a_summary()}), OWNER)
    assert await storage.take_over(RUN, STRANGER, OwnerId("o-2")) is False
    assert await storage.take_over(OTHER, OWNER, OwnerId("o-2")) is False
    assert await storage.take_over(RUN, OWNER, OwnerId("o-2")) is True
    assert await storage.take_over(RUN, OWNER, STRANGER) is False
    row = await storage.summary(RUN)
    assert row is not None
    assert row.owner == "o-2"


async def test_runs_are_listed_newest_first(storage: Storage) -> None:
    for minute, run in ((1, RUN), (3, OTHER), (2, RunId("r-2"))):
        await storage.commit(Batch(summaries={run: a_summary(run, minute=minute)}), OWNER)
    assert [row.id for row in await storage.summaries()] == [OTHER, "r-2", RUN]
    assert [row.id for row in await storage.summaries(1)] == [OTHER]
    assert await storage.summary(RUN) == a_summary(minute=1)
    assert await storage.summary(RunId("r-none")) is None


async def test_session_values_last_until_they_expire_and_the_newest_of_a_key_counts(storage: Storage) -> None:
    old, new, brief = encode_value("old")[0], encode_value("new")[0], encode_value("brief")[0]

    def row(key: str, ref: ev.ValueRef, minutes: int | None = None) -> SessionValue:
        until = None if minutes is None else NOON + timedelta(minutes=minutes)
        return SessionValue(key=key, digest=ref.digest, size=ref.size, run=RUN, produced_at=NOON, expires_at=until)

    await storage.commit(Batch(summaries={RUN: a_summary()}, session=[row("a", old), row("b", brief, 5)]), OWNER)
    await storage.commit(Batch(summaries={RUN: a_summary()}, session=[row("a", new)]), OWNER)
    assert await storage.session_values(NOON) == [row("a", new), row("b", brief, 5)]
    assert await storage.session_values(NOON + timedelta(minutes=5)) == [row("a", new)]


async def test_an_estimate_is_the_median_of_all_samples_from_the_first_on(storage: Storage) -> None:
    def sample(name: str, seconds: float, of: str = "/test") -> Sample:
        return Sample(command=of, node=name, seconds=seconds)

    assert await storage.estimates("/test") == {}
    rows = [sample("a", 10), sample("b", 5), sample("b", 6), sample("a", 20, "/other")]
    await storage.commit(Batch(summaries={RUN: a_summary()}, samples=rows), OWNER)
    assert await storage.estimates("/test") == {"a": 10, "b": 5.5}
    await storage.commit(Batch(summaries={RUN: a_summary()}, samples=[sample("a", 90), sample("a", 20)]), OWNER)
    assert await storage.estimates("/test") == {"a": 20, "b": 5.5}


async def test_estimates_are_taken_from_the_newest_samples_of_each_node(storage: Storage) -> None:
    old = [Sample(command="/test", node=name, seconds=1) for name in "ab" for _ in range(SAMPLES_KEPT)]
    new = [Sample(command="/test", node="a", seconds=9) for _ in range(SAMPLES_KEPT)]
    for rows in (old, new[:-1], new[-1:]):
        await storage.commit(Batch(summaries={RUN: a_summary()}, samples=rows), OWNER)
    assert await storage.estimates("/test") == {"a": 9, "b": 1}


async def test_removing_a_run_gives_the_disk_back_what_it_took(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "state")
    dice = Random(0)  # noqa: S311 - repeatable by intent
    encoded = [encode_value(dice.randbytes(50_000).hex()) for _ in range(20)]  # nothing of it can be compressed away
    values = {ref.digest: data for ref, data in encoded}
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}, values=values), OWNER)
    await storage.commit(Batch(events=a_run(OTHER), summaries={OTHER: a_summary(OTHER)}), OWNER)
    full = size_of(tmp_path / "state")
    await storage.remove([a_summary()], OWNER)
    assert size_of(tmp_path / "state") < full / 4
    assert await storage.events(OTHER) == [event for _run, _place, event in a_run()]
    await storage.close()


def size_of(folder: Path) -> int:
    """Bytes of a state folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


async def test_removing_a_run_drops_its_journal_and_the_values_that_nothing_else_refers_to(storage: Storage) -> None:
    shared, own, kept = (encode_value(text) for text in ("shared", "own", "kept"))

    def giving(run: RunId, *values: tuple[ev.ValueRef, bytes]) -> Batch:
        outputs = {f"k{place}": ref for place, (ref, _data) in enumerate(values)}
        rows = a_run(run)
        rows.append((run, len(rows), ev.AttemptSucceeded(NOON, NodeId("analyzer"), 1, outputs)))
        return Batch(events=rows, summaries={run: a_summary(run)}, values={ref.digest: data for ref, data in values})

    await storage.commit(giving(RUN, shared, own), OWNER)
    batch = giving(OTHER, shared)
    batch.values[kept[0].digest] = kept[1]
    batch.session = [SessionValue(key="k", digest=kept[0].digest, size=1, run=OTHER, produced_at=NOON)]
    await storage.commit(batch, OWNER)
    row = await storage.summary(RUN)
    assert row is not None
    assert await storage.remove([row], OWNER) == ([RUN], [])
    assert await storage.events(RUN) == []
    assert await storage.summary(RUN) is None
    assert [row.id for row in await storage.summaries()] == [OTHER]
    assert storage.value(own[0].digest) is None
    assert storage.value(shared[0].digest) == shared[1]
    assert storage.value(kept[0].digest) == kept[1]


async def test_removing_a_run_gives_its_locks_to_who_waits_for_them(storage: Storage) -> None:
    rows = {RUN: a_summary(), OTHER: a_summary(OTHER, owner=STRANGER)}
    await storage.commit(Batch(summaries=rows, lock_ops=[claim_of(RUN, "a"), claim_of(OTHER, "b", STRANGER)]), OWNER)
    assert await storage.remove([rows[RUN]], OWNER) == ([RUN], [])
    assert await storage.inbox([OTHER]) == [Message(run=OTHER, kind="granted", payload={"node": "b"})]
    assert [str(claim.holder) for claim in await storage.claims()] == [f"{OTHER}:b"]


async def test_a_run_that_somebody_has_taken_up_meanwhile_is_not_removed(connect: Callable[[], Storage]) -> None:
    one, other = connect(), connect()
    seen = replace(a_summary(), status=RunStatus.FAILED)
    await one.commit(Batch(events=a_run(), summaries={RUN: seen}, lock_ops=[claim_of(RUN, "a")]), OWNER)
    assert await other.take_over(RUN, OWNER, STRANGER, ended=RunStatus.FAILED)
    assert await one.remove([seen], OWNER) == ([], [])
    assert len(await one.events(RUN)) == len(a_run())
    assert len(await one.claims()) == 1


async def test_locks_are_granted_in_the_commit_and_strangers_hear_of_theirs_by_message(storage: Storage) -> None:
    mine, theirs = claim_of(RUN, "a"), claim_of(OTHER, None, STRANGER)
    await storage.commit(Batch(summaries={RUN: a_summary(), OTHER: a_summary(OTHER, owner=STRANGER)}), OWNER)
    assert await storage.commit(Batch(lock_ops=[mine]), OWNER) == [Granted(Holder(RUN, NodeId("a")))]
    assert await storage.commit(Batch(lock_ops=[theirs]), STRANGER) == []
    assert [(str(claim.holder), claim.granted) for claim in await storage.claims()] == [
        (f"{RUN}:a", True),
        (OTHER, False),
    ]
    assert await storage.commit(Batch(lock_ops=[lambda table: table.release_run(RUN)]), OWNER) == []
    assert await storage.inbox([OTHER]) == [Message(run=OTHER, kind="granted", payload={"node": None})]


async def test_a_stranger_is_told_why_it_was_refused(storage: Storage) -> None:
    await storage.commit(Batch(summaries={RUN: a_summary(), OTHER: a_summary(OTHER, owner=STRANGER)}), OWNER)
    await storage.commit(Batch(lock_ops=[claim_of(RUN, "a")]), OWNER)
    await storage.commit(Batch(lock_ops=[claim_of(OTHER, "b", STRANGER)]), STRANGER)
    late = NOON + timedelta(hours=1)
    assert await storage.commit(Batch(lock_ops=[lambda table: table.expire(late)]), OWNER) == []
    (message,) = await storage.inbox([OTHER])
    assert message.kind == "refused"
    assert message.payload["node"] == "b"
    assert message.payload["code"] == "LOCK_TIMEOUT"


async def test_another_connection_sees_commits_and_only_one_taker_wins(connect: Callable[[], Storage]) -> None:
    one, other = connect(), connect()
    await other.changed()
    assert await other.changed() is False
    await one.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    assert await other.changed() is True
    assert await other.changed() is False
    assert len(await other.events(RUN)) == len(a_run())
    assert [await one.take_over(RUN, OWNER, OwnerId("o-2")), await other.take_over(RUN, OWNER, STRANGER)] == [
        True,
        False,
    ]


async def test_what_one_wrote_itself_is_no_news_to_it_and_what_others_wrote_is(connect: Callable[[], Storage]) -> None:
    one, other = connect(), connect()
    for storage in (one, other):
        await storage.changed()
    await one.post(Message(run=RUN, kind="cancel"))
    assert await one.changed() is False
    assert await other.changed() is True
    assert len(await other.inbox([RUN])) == 1
    assert await other.changed() is False
    assert await one.changed() is True


async def test_two_who_write_the_same_place_of_a_journal_do_not_both_succeed(connect: Callable[[], Storage]) -> None:
    one, other = connect(), connect()
    events = a_run()
    await one.commit(Batch(events=events, summaries={RUN: a_summary()}), OWNER)
    with pytest.raises(EnvironmentFault) as caught:
        await other.commit(Batch(events=events[-1:], summaries={RUN: a_summary(owner=STRANGER)}), STRANGER)
    assert caught.value.code == "STORAGE_FAILED"
    row = await one.summary(RUN)
    assert row is not None
    assert row.owner == OWNER


async def test_what_was_committed_is_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    ref, data = encode_value("x" * 10_000)
    first = SqliteStorage(tmp_path)
    await first.commit(Batch(events=a_run(), values={ref.digest: data}, summaries={RUN: a_summary()}), OWNER)
    await first.close()
    again = SqliteStorage(tmp_path)
    assert len(await again.events(RUN)) == len(a_run())
    assert again.value(ref.digest) == data
    await again.close()
    assert (tmp_path / "journal.sqlite3").stat().st_mode & 0o777 == 0o600


def opening_fails(folder: Path) -> str:
    """The code of the fault that opening *folder* gives."""
    with pytest.raises(EnvironmentFault) as caught:
        SqliteStorage(folder, busy_seconds=0.01, patience_seconds=0.01)
    assert caught.value.hint
    return caught.value.code


def test_a_file_in_the_place_of_the_folder_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("", encoding="utf-8")
    assert opening_fails(tmp_path / "state") == "READ_ONLY"
    assert opening_fails(tmp_path / "state" / "deeper") == "READ_ONLY"


def test_a_folder_in_the_place_of_the_database_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").mkdir()
    assert opening_fails(tmp_path) == "READ_ONLY"


def test_a_file_that_is_no_database_is_one_clear_fault(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite3").write_bytes(b"this is no database, whatever its name says" * 100)
    assert opening_fails(tmp_path) == "CORRUPT_DATABASE"


async def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    await SqliteStorage(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db:
        db.execute("PRAGMA user_version=99")
    assert opening_fails(tmp_path) == "NEWER_SCHEMA"


HARMS = {
    "an event that is no event": "UPDATE events SET data='{' WHERE run=:run AND seq=1",
    "an event of an unknown kind": "UPDATE events SET kind='Nothing' WHERE run=:run AND seq=1",
    "an event of another time": "UPDATE events SET data=CAST(replace(data, '12:00', '12:01') AS BLOB) "
    "WHERE run=:run AND seq=1",
    "a missing event": "DELETE FROM events WHERE run=:run AND seq=1",
    "a missing first event": "DELETE FROM events WHERE run=:run AND seq=0",
    "a missing event whose place was closed": "DELETE FROM events WHERE run=:run AND seq=1;"
    "UPDATE events SET seq=seq-1 WHERE run=:run AND seq>1",
    "a lost tail": "DELETE FROM events WHERE run=:run AND seq>2",
    "an event too many": "INSERT INTO events SELECT run, seq+1, kind, data FROM events WHERE run=:run "
    "ORDER BY seq DESC LIMIT 1",
    "no event at all": "DELETE FROM events WHERE run=:run",
    "no row": "DELETE FROM runs WHERE id=:run",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
async def test_a_journal_that_is_not_what_was_written_is_one_clear_fault_and_other_runs_are_none_the_worse(
    tmp_path: Path, harm: str
) -> None:
    storage = SqliteStorage(tmp_path)
    for run in (RUN, OTHER):
        await storage.commit(Batch(events=a_run(run), summaries={run: a_summary(run)}), OWNER)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)) as db:
        for statement in harm.split(";"):
            db.execute(statement, {"run": RUN})
    with pytest.raises(EnvironmentFault) as caught:
        await storage.events(RUN)
    assert caught.value.code == "RUN_UNREADABLE"
    assert RUN in caught.value.message
    assert await storage.events(OTHER) == [event for _run, _place, event in a_run(OTHER)]
    await storage.close()


async def test_what_was_added_to_a_journal_is_checked_where_it_was_read_before(tmp_path: Path) -> None:
    rows = a_run()
    storage, other = SqliteStorage(tmp_path), SqliteStorage(tmp_path)
    for part in (rows[:1], rows[1:2], rows[2:]):
        await other.commit(Batch(events=part, summaries={RUN: a_summary()}), OWNER)
        assert len(await storage.events(RUN, part[0][1])) == len(part)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)) as db:
        db.execute("DELETE FROM events WHERE seq=?", (len(rows) - 1,))
    for since in (0, 1):
        with pytest.raises(EnvironmentFault) as caught:
            await storage.events(RUN, since)
        assert caught.value.code == "RUN_UNREADABLE"
    await storage.close()
    await other.close()


async def test_events_are_written_only_where_they_follow_on_and_their_run_has_a_row(storage: Storage) -> None:
    rows = a_run()
    await storage.commit(Batch(events=rows[:1], summaries={RUN: a_summary()}), OWNER)
    for batch in (Batch(events=rows[2:]), Batch(events=[rows[1], rows[3]]), Batch(events=a_run(OTHER))):
        with pytest.raises(EnvironmentFault) as caught:
            await storage.commit(batch, OWNER)
        assert caught.value.code == "STORAGE_FAILED"
        assert "orchestrate resume" in (caught.value.hint or "")
    await storage.commit(Batch(events=rows[1:]), OWNER)
    assert await storage.events(RUN) == [event for _run, _place, event in rows]


async def test_after_a_commit_that_failed_the_journal_goes_on_where_it_was(storage: Storage) -> None:
    rows = a_run()
    await storage.commit(Batch(events=rows[:1], summaries={RUN: a_summary()}), OWNER)

    def broken(_table: LockTable) -> list[LockOutcome]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await storage.commit(Batch(events=rows[1:3], summaries={RUN: a_summary()}, lock_ops=[broken]), OWNER)
    await storage.commit(Batch(events=rows[1:], summaries={RUN: a_summary()}), OWNER)
    assert await storage.events(RUN) == [event for _run, _place, event in rows]


async def test_a_journal_goes_on_in_turn_where_a_run_changes_hands(connect: Callable[[], Storage]) -> None:
    rows = a_run()
    owners = {OWNER: connect(), STRANGER: connect()}
    before = None
    for place, row in enumerate(rows):
        owner = (OWNER, STRANGER)[place % 2]
        assert before is None or await owners[owner].take_over(RUN, before, owner)
        await owners[owner].commit(Batch(events=[row], summaries={RUN: a_summary(owner=owner)}), owner)
        before = owner
    for storage in owners.values():
        assert await storage.events(RUN) == [event for _run, _place, event in rows]


async def test_nothing_is_written_of_a_run_that_was_forgotten_meanwhile(connect: Callable[[], Storage]) -> None:
    one, other = connect(), connect()
    rows = a_run()
    await one.commit(Batch(events=rows[:2], summaries={RUN: a_summary()}), OWNER)
    assert await other.remove([a_summary()], STRANGER) == ([RUN], [])
    with pytest.raises(EnvironmentFault) as caught:
        await one.commit(Batch(events=rows[2:], summaries={RUN: a_summary()}), OWNER)
    assert caught.value.code == "STORAGE_FAILED"
    assert await other.summaries() == []


async def test_a_row_that_is_written_alone_leaves_the_journal_as_it_is(storage: Storage) -> None:
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    await storage.commit(Batch(summaries={RUN: replace(a_summary(), status=RunStatus.FAILED)}), OWNER)
    assert len(await storage.events(RUN)) == len(a_run())


async def commit_fails(storage: SqliteStorage) -> str:
    """The code of the fault that a large commit gives; nothing of it is written, and the next one may go well."""
    ref, data = encode_value(list(range(200_000)))
    batch = Batch(events=a_run(), values={ref.digest: data}, summaries={RUN: a_summary()})
    with pytest.raises(EnvironmentFault) as caught:
        await storage.commit(batch, OWNER)
    assert await storage.events(RUN) == []
    assert await storage.summary(RUN) is None
    return caught.value.code


async def test_a_full_disk_is_one_clear_fault_and_nothing_is_half_written(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    pages = storage._db.execute("PRAGMA page_count").fetchone()[0]
    storage._db.execute(f"PRAGMA max_page_count={pages + 2}")
    assert await commit_fails(storage) == "DISK_FULL"
    storage._db.execute("PRAGMA max_page_count=1000000")
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    assert len(await storage.events(RUN)) == len(a_run())
    await storage.close()


def a_disk(monkeypatch: pytest.MonkeyPatch, *, free_bytes: int, free_files: int) -> None:
    """Let every disk have so much room."""
    real = os.statvfs

    def statvfs(path: Path) -> SimpleNamespace:
        found = real(path)
        return SimpleNamespace(f_frsize=1, f_bavail=free_bytes, f_files=found.f_files or 1, f_favail=free_files)

    monkeypatch.setattr(os, "statvfs", statvfs)


@pytest.mark.parametrize(
    ("reason", "otherwise"),
    [(sqlite3.SQLITE_IOERR_SHMSIZE, "STORAGE_FAILED"), (sqlite3.SQLITE_CANTOPEN, "READ_ONLY")],
)
def test_a_disk_without_room_for_the_files_beside_the_database_is_full_whatever_sqlite_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int, otherwise: str
) -> None:
    def says() -> str:
        with pytest.raises(EnvironmentFault) as caught, faults(tmp_path / "journal.sqlite3"):
            raise of_sqlite(reason)
        assert caught.value.hint
        return caught.value.code

    a_disk(monkeypatch, free_bytes=0, free_files=1000)
    assert says() == "DISK_FULL"
    a_disk(monkeypatch, free_bytes=2**30, free_files=0)
    assert says() == "DISK_FULL"
    a_disk(monkeypatch, free_bytes=2**30, free_files=1000)
    assert says() == otherwise


async def test_a_fault_says_what_could_not_be_done(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    await storage.close()
    path = tmp_path / "journal.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    damaged = SqliteStorage(tmp_path)
    with pytest.raises(EnvironmentFault) as caught:
        await damaged.summaries()
    assert caught.value.code == "CORRUPT_DATABASE"
    assert caught.value.message.startswith(f"cannot read {path}: ")
    await damaged.close()


def remove_state(folder: Path) -> None:
    """Remove the folder, as `git clean -fdx` does."""
    shutil.rmtree(folder)


def move_state(folder: Path) -> None:
    """Put the folder elsewhere, and a file in its place."""
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("", encoding="utf-8")


def replace_state(folder: Path) -> None:
    """Let another process make a second database in place of the one that is open."""
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    (folder / "journal.sqlite3").write_bytes(b"")


@pytest.mark.parametrize("take_away", [remove_state, move_state, replace_state])
async def test_a_database_that_is_not_in_its_place_any_more_is_one_clear_fault(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    storage = SqliteStorage(tmp_path / "state")
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    take_away(tmp_path / "state")
    for call in (
        storage.commit(Batch(events=a_run(OTHER), summaries={OTHER: a_summary(OTHER)}), OWNER),
        storage.changed(),
        storage.summaries(),
    ):
        with pytest.raises(EnvironmentFault) as caught:
            await call
        assert caught.value.code == "STATE_REMOVED"
        assert caught.value.hint
    await storage.close()


async def test_state_that_others_could_read_is_ours_alone_once_it_was_opened(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    await SqliteStorage(folder).close()
    names = ["journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm"]
    for name in names:
        (folder / name).touch()
        (folder / name).chmod(0o644)
    storage = SqliteStorage(folder)
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    assert [(folder / name).stat().st_mode & 0o777 for name in names] == [0o600] * 3
    await storage.close()


async def test_a_database_that_another_program_holds_is_one_clear_fault(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path, busy_seconds=0.01, patience_seconds=0.01)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await commit_fails(storage) == "DATABASE_LOCKED"
        other.execute("ROLLBACK")
    await storage.commit(Batch(events=a_run(), summaries={RUN: a_summary()}), OWNER)
    await storage.close()


async def test_a_database_that_may_not_be_written_is_one_clear_fault(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path)
    storage._db.execute("PRAGMA query_only=ON")
    assert await commit_fails(storage) == "READ_ONLY"
    await storage.close()


async def test_durations_that_another_process_learned_are_seen_at_the_next_look(tmp_path: Path) -> None:
    mine, other = SqliteStorage(tmp_path / "state"), SqliteStorage(tmp_path / "state")
    try:
        for seconds in (10.0, 30.0):
            row = Sample(command="/test", node="a", seconds=seconds)
            await other.commit(Batch(summaries={RUN: a_summary()}, samples=[row]), OWNER)
            assert await mine.estimates("/test") == await other.estimates("/test")
        assert await mine.estimates("/test") == {"a": 20}
        assert await mine.estimates("/test") is await mine.estimates("/test")
        for number in range(20):
            assert await mine.estimates(f"/other-{number}") == {}
        assert len(mine._learned) <= MAX_LEARNED
    finally:
        await mine.close()
        await other.close()
