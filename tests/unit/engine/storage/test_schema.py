"""A database of an earlier version is brought up to date, once and whole; programs of that version are stopped."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.opening import open_engine
from engine.runtime.owner import FileOwner
from engine.statefolder.guard import look_at, take_over
from engine.storage import schema
from engine.storage.sqlite import SqliteStorage
from tests.support.databases import of_sqlite, open_at_once
from tests.support.recorded import DATA, put_database

OLD = DATA / "schema-1"


@pytest.fixture
def ends(tmp_path: Path) -> dict[str, Any]:
    """The runs of a database of version 1, which lies in the test's folder."""
    return put_database(OLD, tmp_path)


def connected(folder: Path) -> sqlite3.Connection:
    """The database, as another program has it."""
    return sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)


def shape(folder: Path) -> list[Any]:
    """The tables and the version."""
    with closing(connected(folder)) as db:
        tables = [" ".join(sql.split()) for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        return [sorted(tables), *db.execute("PRAGMA user_version").fetchone()]


async def test_from_then_on_it_is_noticed_what_gets_lost(tmp_path: Path, ends: dict[str, Any]) -> None:
    run = next(iter(ends))
    await SqliteStorage(tmp_path).close()
    with closing(connected(tmp_path)) as db:
        db.execute("DELETE FROM events WHERE run=? AND seq=?", (run, ends[run]["events"] - 1))
    storage = SqliteStorage(tmp_path)
    with pytest.raises(EnvironmentFault) as caught:
        await storage.events(RunId(run))
    assert caught.value.code == "RUN_UNREADABLE"
    await storage.close()


@pytest.mark.usefixtures("ends")
async def test_a_journal_that_had_a_gap_before_is_not_made_whole_by_it(tmp_path: Path) -> None:
    with closing(connected(tmp_path)) as db:
        (run,) = db.execute("SELECT id FROM runs LIMIT 1").fetchone()
        db.execute("DELETE FROM events WHERE run=? AND seq=1", (run,))
    storage = SqliteStorage(tmp_path)
    with pytest.raises(EnvironmentFault) as caught:
        await storage.events(RunId(run))
    assert caught.value.code == "RUN_UNREADABLE"
    await storage.close()


@pytest.mark.usefixtures("ends")
async def test_it_has_the_columns_and_the_trigger_of_a_new_one(tmp_path: Path) -> None:
    await SqliteStorage(tmp_path).close()
    await SqliteStorage(tmp_path / "new").close()

    def columns(folder: Path) -> tuple[list[Any], list[Any]]:
        with closing(connected(folder)) as db:
            kept = db.execute("SELECT type, name FROM sqlite_master ORDER BY name").fetchall()
            return kept, db.execute("SELECT name, type, \"notnull\" FROM pragma_table_info('runs')").fetchall()

    assert columns(tmp_path) == columns(tmp_path / "new")


@pytest.mark.usefixtures("ends")
def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shape(tmp_path)

    def cut_off(db: sqlite3.Connection) -> None:
        schema._chain(db)
        raise of_sqlite(sqlite3.SQLITE_FULL)

    monkeypatch.setattr(schema, "_STEPS", (cut_off,))
    with pytest.raises(EnvironmentFault) as caught:
        SqliteStorage(tmp_path)
    assert caught.value.code == "DISK_FULL"
    assert shape(tmp_path) == before


async def test_of_many_programs_that_open_it_at_once_one_brings_it_up_to_date(
    tmp_path: Path, ends: dict[str, Any]
) -> None:
    assert open_at_once(tmp_path) == []
    storage = SqliteStorage(tmp_path)
    for run, end in ends.items():
        assert len(await storage.events(RunId(run))) == end["events"]
    await storage.close()


@pytest.mark.usefixtures("ends")
async def test_a_program_of_the_earlier_version_that_has_it_open_still_reads_and_is_told_when_it_writes(
    tmp_path: Path,
) -> None:
    with closing(connected(tmp_path)) as old:
        row = old.execute("SELECT * FROM runs LIMIT 1").fetchone()
        await SqliteStorage(tmp_path).close()
        assert old.execute("SELECT status FROM runs WHERE id=?", (row[0],)).fetchone()
        names = "id, command, status, executor, owner, created_at, ended_at, done, total, failed, cost_usd, message"
        write = f"INSERT OR REPLACE INTO runs({names}) VALUES ({','.join('?' * 12)})"  # noqa: S608 - constants only
        for run in ("r-new", row[0]):
            with pytest.raises(sqlite3.IntegrityError, match="a newer version of orchestration-mcp"):
                old.execute(write, (run, *row[1:12]))


def a_live_run_of(owner: OwnerId, folder: Path) -> str:
    """Give one of the recorded runs a process that runs it."""
    with closing(connected(folder)) as db:
        (run,) = db.execute("SELECT id FROM runs LIMIT 1").fetchone()
        db.execute("UPDATE runs SET status='running', owner=? WHERE id=?", (owner, run))
    return str(run)


async def test_a_run_that_an_earlier_version_has_under_way_is_not_taken_from_it(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "orchestration"
    put_database(OLD, folder)
    take_over(look_at(tmp_path))
    owner = FileOwner(folder)
    run = a_live_run_of(owner.id, folder)
    before = shape(folder)
    with pytest.raises(EnvironmentFault) as caught:
        async with open_engine(tmp_path):
            pytest.fail("it was opened")
    assert caught.value.code == "OLDER_VERSION_AT_WORK"
    assert run in caught.value.message
    assert caught.value.hint
    assert shape(folder) == before
    owner.close()
    async with open_engine(tmp_path) as engine:
        assert (await engine.storage.summary(RunId(run))) is not None
    assert shape(folder)[-1] == schema.VERSION
