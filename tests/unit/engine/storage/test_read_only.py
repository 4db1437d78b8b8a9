"""A journal that cannot be written to: its copy follows it, and what is committed here stays here."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import EnvironmentFault
from engine.ids import RunId
from engine.run.events import RunStatus
from engine.statefolder.links import JOURNAL
from engine.storage.copies import copy_journal
from engine.storage.read_only import CopiedStorage
from engine.storage.sqlite import SqliteStorage
from tests.unit.engine.storage.test_sqlite import stored, summary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the original is, or will be."""
    return tmp_path / "original"


@pytest.fixture
async def original(folder: Path) -> AsyncIterator[SqliteStorage]:
    opened = SqliteStorage(folder)
    yield opened
    await opened.close()


@pytest.fixture
async def copied(folder: Path, tmp_path: Path) -> AsyncIterator[CopiedStorage]:
    journal = folder / JOURNAL.name
    opened = CopiedStorage(tmp_path / "copy", journal, found=lambda: folder if folder.exists() else None)
    yield opened
    await opened.close()


async def names(storage: SqliteStorage) -> list[str]:
    return [row.id for row in await storage.summaries()]


async def test_what_another_process_commits_is_there_at_the_next_question_though_no_time_of_a_file_changes(
    original: SqliteStorage, copied: CopiedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.storage.read_only._state", lambda _path: None)
    for number in range(20):
        status = RunStatus.RUNNING if number % 2 else RunStatus.COMPLETED
        await stored(original, summary("r-1", status))
        assert await copied.changed()
        found = await copied.summary(RunId("r-1"))
        assert found is not None
        assert found.status is status
        assert not await copied.changed()


async def test_what_is_synchronous_reads_the_same_copy(original: SqliteStorage, copied: CopiedStorage) -> None:
    await stored(original, summary("r-1", RunStatus.FAILED))
    assert await names(copied) == ["r-1"]
    assert copied.last_status("/build") is RunStatus.FAILED


async def test_what_is_committed_here_outlives_what_others_commit_and_never_reaches_them(
    original: SqliteStorage, copied: CopiedStorage
) -> None:
    await stored(original, summary("r-1", RunStatus.COMPLETED))
    await stored(copied, summary("r-2", RunStatus.COMPLETED, minute=1))
    await stored(original, summary("r-3", RunStatus.COMPLETED, minute=2))
    assert await names(copied) == ["r-3", "r-2", "r-1"]
    assert await names(original) == ["r-3", "r-1"]


async def test_a_journal_that_comes_and_goes_is_followed(folder: Path, copied: CopiedStorage) -> None:
    assert await names(copied) == []
    opened = SqliteStorage(folder)
    await stored(opened, summary("r-1", RunStatus.COMPLETED))
    assert await names(copied) == ["r-1"]
    await opened.close()
    assert await names(copied) == ["r-1"]
    shutil.rmtree(folder)
    assert await names(copied) == []


async def test_a_folder_that_is_believed_no_more_is_read_no_more(
    folder: Path, original: SqliteStorage, tmp_path: Path
) -> None:
    believed = [True]

    def found() -> Path:
        if not believed:
            raise EnvironmentFault("it is another's now", code="STATE_NOT_OURS")
        return folder

    copied = CopiedStorage(tmp_path / "copy", folder / JOURNAL.name, found=found)
    assert await names(copied) == []
    believed.clear()
    await stored(original, summary("r-1", RunStatus.COMPLETED))
    for _ in range(2):
        with pytest.raises(EnvironmentFault) as caught:
            await names(copied)
        assert caught.value.code == "STATE_NOT_OURS"
    await copied.close()


async def test_a_copy_is_whole_though_its_owner_moves_what_was_committed_meanwhile(
    folder: Path, original: SqliteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stored(original, summary("r-1", RunStatus.COMPLETED))
    place = tmp_path / "place"
    place.mkdir()
    copy_file, moved = shutil.copyfile, [False]

    def copyfile(source: Path, target: Path, **options: Any) -> object:  # noqa: ANN401 - as the standard library's
        done = copy_file(source, target, **options)
        if not any(moved):
            moved.append(True)
            with closing(sqlite3.connect(folder / JOURNAL.name)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return done

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    copy = copy_journal(folder, place)
    assert copy is not None
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT id FROM runs").fetchall() == [("r-1",)]
