"""The guide's fourth tutorial on a real database: whatever fails, it is afterwards what it was before."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.run.events import RunStatus
from mcp_server.project.project import Project, RunRequest, open_project
from tests.support.real_agents import ended, ready
from tests.support.trust import trust_all
from tests.support.workers import kill_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.run.state import Run

pytestmark = pytest.mark.processes

SOURCE = Path(__file__).parents[1] / "data" / "migration-project"
CUSTOMERS = 180
EVERYTHING = ["undo migrate-data", "undo migrate-schema"]


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    root = tmp_path / "project"
    shutil.copytree(SOURCE, root, ignore=shutil.ignore_patterns("orchestration", "__pycache__"))
    with contextlib.closing(sqlite3.connect(root / "shop.db")) as db, db:
        db.executescript(
            "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL);"
            "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers(id));"
            "PRAGMA user_version=1;"
        )
        rows = [(number, f"Customer {number}", f"{number} High Street") for number in range(1, CUSTOMERS + 1)]
        db.executemany("INSERT INTO customers VALUES (?,?,?)", rows)
        db.executemany("INSERT INTO orders VALUES (?,?)", [(number, number) for number in range(1, CUSTOMERS + 1)])
    os.mkfifo(root / "met.ready")
    trust_all(root, root / "home")
    async with open_project(root, home=root / "home") as opened:
        yield opened


def content(path: Path) -> list[str]:
    """All that is in a database, as SQL."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [*db.iterdump(), f"user_version={db.execute('PRAGMA user_version').fetchone()[0]}"]


def steps(project: Project, *, undone: bool = True) -> list[str]:
    """What the database's programs were asked to do, in order; the undoing alone where *undone*."""
    lines = (project.root / "steps.log").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("undo ")] if undone else lines


async def migrate(project: Project) -> Run:
    engine = await project.engine()
    return await ended(engine, await project.start(RunRequest(source="/database-migration")))


async def test_without_a_failure_every_address_has_moved(project: Project) -> None:
    seen = await migrate(project)
    assert seen.status is RunStatus.COMPLETED
    with contextlib.closing(sqlite3.connect(project.root / "shop.db")) as db:
        rows = db.execute("SELECT name, text FROM customers JOIN addresses ON addresses.id=address_id").fetchall()
        columns = {row[1] for row in db.execute("PRAGMA table_info(customers)")}
    assert sorted(rows) == sorted((f"Customer {n}", f"{n} High Street") for n in range(1, CUSTOMERS + 1))
    assert "address" not in columns
    assert steps(project) == []


@pytest.mark.parametrize(
    ("fault", "status", "undone"),
    [
        ("backup=error", RunStatus.FAILED, []),
        ("migrate-schema=error", RunStatus.COMPENSATED, ["undo migrate-schema"]),
        ("migrate-data=error", RunStatus.COMPENSATED, EVERYTHING),
        ("migrate-data=hang", RunStatus.COMPENSATED, EVERYTHING),
        ("migrate-data=deadlock", RunStatus.COMPENSATED, EVERYTHING),
        ("migrate-data=corrupt", RunStatus.COMPENSATED, EVERYTHING),
        ("validate-integrity=error", RunStatus.COMPENSATED, EVERYTHING),
        ("validate-performance=error", RunStatus.COMPENSATED, EVERYTHING),
        ("cleanup=error", RunStatus.COMPENSATED, EVERYTHING),
        (
            "migrate-data=error,undo:migrate-data=deadlock-once",
            RunStatus.COMPENSATED,
            ["undo migrate-data", *EVERYTHING],
        ),
    ],
)
async def test_whatever_fails_the_database_is_what_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch, fault: str, status: RunStatus, undone: list[str]
) -> None:
    before = content(project.root / "shop.db")
    monkeypatch.setenv("DATABASE_FAULT", fault)
    seen = await migrate(project)
    assert (seen.status, steps(project)) == (status, undone)
    assert content(project.root / "shop.db") == before


async def test_a_deadlock_that_passes_is_no_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_FAULT", "migrate-data=deadlock-once")
    seen = await migrate(project)
    assert seen.status is RunStatus.COMPLETED
    assert steps(project, undone=False).count("migrate-data") == 2


async def test_where_the_restore_fails_both_errors_are_told_and_the_backup_is_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(project.root / "shop.db")
    monkeypatch.setenv("DATABASE_FAULT", "migrate-data=error,undo:migrate-data=error")
    seen = await migrate(project)
    assert seen.status is RunStatus.COMPENSATION_FAILED
    assert steps(project) == EVERYTHING, "the others still run"
    assert seen.message == (
        'Compensation failed for node "migrate-data"\n'
        "Original error: migrate-data broke in the middle\n"
        "Compensation error: undo:migrate-data broke in the middle"
    )
    assert content(project.root / "backups" / f"{seen.id}.db") == before


async def test_a_cancel_in_the_middle_puts_everything_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(project.root / "shop.db")
    monkeypatch.setenv("DATABASE_FAULT", "migrate-data=meet")
    engine = await project.engine()
    run = await project.start(RunRequest(source="/database-migration"))
    await ready(project.root, "met")
    assert content(project.root / "shop.db") != before
    await engine.cancel(run, reason="the shop opens")
    assert (await ended(engine, run)).status is RunStatus.CANCELLED
    assert content(project.root / "shop.db") == before


@pytest.mark.parametrize(
    ("fault", "undone"),
    [
        ("migrate-data=error,undo:migrate-data=meet", ["undo migrate-data", *EVERYTHING]),
        ("migrate-data=error,undo:migrate-schema=meet", [*EVERYTHING, "undo migrate-schema"]),
    ],
)
async def test_a_server_killed_while_it_undoes_goes_on_undoing_and_repeats_nothing_that_was_done(
    project: Project, monkeypatch: pytest.MonkeyPatch, fault: str, undone: list[str]
) -> None:
    before = content(project.root / "shop.db")
    monkeypatch.setenv("DATABASE_FAULT", fault)
    engine = await project.engine()
    run = await project.start_in_background(RunRequest(source="/database-migration"))
    await ready(project.root, "met")
    await kill_worker(engine, run)
    assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
    assert [line.state for line in await engine.locks()] == ["reserved"], "nobody touches the database meanwhile"
    monkeypatch.delenv("DATABASE_FAULT")
    await project.resume_in_background(run)
    seen = await ended(engine, run)
    assert (seen.status, steps(project)) == (RunStatus.COMPENSATED, undone)
    assert content(project.root / "shop.db") == before
    assert await engine.locks() == []


async def test_a_server_killed_while_it_migrates_goes_on_where_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_FAULT", "migrate-data=meet")
    engine = await project.engine()
    run = await project.start_in_background(RunRequest(source="/database-migration"))
    await ready(project.root, "met")
    await kill_worker(engine, run)
    monkeypatch.delenv("DATABASE_FAULT")
    await project.resume(run)
    seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED
    assert steps(project, undone=False).count("migrate-schema") == 1
    with contextlib.closing(sqlite3.connect(project.root / "shop.db")) as db:
        assert db.execute("SELECT count(*) FROM addresses").fetchone()[0] == CUSTOMERS


async def test_a_migration_whose_server_was_killed_can_be_cancelled_instead(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(project.root / "shop.db")
    monkeypatch.setenv("DATABASE_FAULT", "migrate-data=meet")
    engine = await project.engine()
    run = await project.start_in_background(RunRequest(source="/database-migration"))
    await ready(project.root, "met")
    await kill_worker(engine, run)
    monkeypatch.delenv("DATABASE_FAULT")
    await engine.cancel(run)
    assert (await ended(engine, run)).status is RunStatus.CANCELLED
    assert steps(project) == EVERYTHING
    assert content(project.root / "shop.db") == before
