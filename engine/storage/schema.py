"""The tables of the database, and the migrations from earlier versions.

Effects: statements on a given connection, inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.run.state import END_STATES
from engine.storage.journal import Chain
from engine.storage.rows import rows_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

IsAlive: TypeAlias = Callable[[OwnerId], bool]
"""Whether the named process still runs."""

VERSION = 3
"""Raised with each change that an older program could not read or write."""

_NEWER_AT_WORK = "a newer version of orchestration-mcp uses this journal; close this session and start it again"
_NO_OLDER_WRITER = f"""
CREATE TRIGGER no_older_writer BEFORE INSERT ON runs WHEN NEW.chain IS NULL BEGIN
    SELECT RAISE(ABORT, '{_NEWER_AT_WORK}');
END
"""
"""Programs that opened the database before the migration do not know the chain: they must write no more."""

TABLES = (
    """CREATE TABLE events(
        run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY(run, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE runs(
        id TEXT PRIMARY KEY, command TEXT NOT NULL, status TEXT NOT NULL, executor TEXT NOT NULL, owner TEXT NOT NULL,
        created_at TEXT NOT NULL, ended_at TEXT, done INTEGER NOT NULL, total INTEGER NOT NULL, failed INTEGER NOT NULL,
        cost_usd REAL NOT NULL, message TEXT NOT NULL, worktree TEXT NOT NULL DEFAULT '', events INTEGER, chain BLOB,
        idle REAL NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX runs_by_time ON runs(created_at)",
    "CREATE TABLE vals(digest TEXT PRIMARY KEY, encoding TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE claims(holder TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE breakers(name TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE inbox(id INTEGER PRIMARY KEY, run TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL)",
    """CREATE TABLE session(
        key TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, run TEXT NOT NULL, produced_at TEXT NOT NULL,
        expires_at TEXT
    )""",
    "CREATE TABLE samples(id INTEGER PRIMARY KEY, command TEXT NOT NULL, node TEXT NOT NULL, seconds REAL NOT NULL)",
    "CREATE INDEX samples_by_command ON samples(command, node)",
    _NO_OLDER_WRITER,
)


def version_of(db: sqlite3.Connection) -> int:
    """The version of the tables; 0 if there are none yet."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def bring_up_to_date(db: sqlite3.Connection, path: Path, is_alive: IsAlive) -> None:
    """Create the current tables, or migrate those of an earlier version, within the caller's transaction.

    Raises `EnvironmentFault` if they are of a newer version, or a process of an earlier version uses them.
    """
    version = version_of(db)  # checked again: another process may have been faster
    if version > VERSION:
        raise EnvironmentFault(
            f"{path} was written by a newer version (schema {version}, this one reads {VERSION})",
            code="NEWER_SCHEMA",
            hint="Update orchestration-mcp.",
        )
    if version == 0:
        for statement in TABLES:
            db.execute(statement)
    else:
        _check_idle(db, path, is_alive)
        for step in _STEPS[version - 1 :]:
            step(db)
    db.execute(f"PRAGMA user_version={VERSION}")


def _check_idle(db: sqlite3.Connection, path: Path, is_alive: IsAlive) -> None:
    """Leave a database alone while an older program has a run under way, which could not continue."""
    for run, status, owner in db.execute("SELECT id, status, owner FROM runs"):
        if status not in END_STATES and is_alive(OwnerId(owner)):
            raise EnvironmentFault(
                f"run {run} is {status} in a process of an older version, so {path} cannot be migrated now",
                code="OLDER_VERSION_AT_WORK",
                hint="Wait until the run has ended, or cancel it in the session that runs it; then try again.",
            )


def _chain(db: sqlite3.Connection) -> None:
    """From 1 to 2: each run gets its worktree, event count and chain; earlier losses stay undetected."""
    db.execute("ALTER TABLE runs ADD COLUMN worktree TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE runs ADD COLUMN events INTEGER")
    db.execute("ALTER TABLE runs ADD COLUMN chain BLOB")
    for (run,) in db.execute("SELECT id FROM runs").fetchall():
        chain = Chain(RunId(run))
        chain.add(rows_of(db, RunId(run)))
        db.execute("UPDATE runs SET events=?, chain=? WHERE id=?", (*chain.head(), run))
    db.execute(_NO_OLDER_WRITER)


def _idle(db: sqlite3.Connection) -> None:
    """From 2 to 3: each run gets the seconds that it did not live through; those of earlier runs are not known."""
    db.execute("ALTER TABLE runs ADD COLUMN idle REAL NOT NULL DEFAULT 0")


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_chain, _idle)
"""The first is for databases of version 1."""
