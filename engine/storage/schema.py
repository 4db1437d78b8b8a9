"""The tables of the database, and the steps that bring those of an earlier version up to date.

Effects: statements on the connection that it is given, inside the transaction of whoever calls.
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
"""Whether the process that is named still runs."""

VERSION = 2
"""Raised with each change that an older program could not read, or not write."""

_NEWER_AT_WORK = "a newer version of orchestration-mcp works with this journal; close this session and start it again"
_NO_OLDER_WRITER = f"""
CREATE TRIGGER no_older_writer BEFORE INSERT ON runs WHEN NEW.chain IS NULL BEGIN
    SELECT RAISE(ABORT, '{_NEWER_AT_WORK}');
END
"""
"""Programs that have had the database open since before that know nothing of the chain: they write nothing more."""

TABLES = (
    """CREATE TABLE events(
        run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY(run, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE runs(
        id TEXT PRIMARY KEY, command TEXT NOT NULL, status TEXT NOT NULL, executor TEXT NOT NULL, owner TEXT NOT NULL,
        created_at TEXT NOT NULL, ended_at TEXT, done INTEGER NOT NULL, total INTEGER NOT NULL, failed INTEGER NOT NULL,
        cost_usd REAL NOT NULL, message TEXT NOT NULL, worktree TEXT NOT NULL DEFAULT '', events INTEGER, chain BLOB
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
    """The version of the tables; 0 where there are none yet."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def bring_up_to_date(db: sqlite3.Connection, path: Path, is_alive: IsAlive) -> None:
    """Make the tables of today, or those of an earlier version into them; all or nothing, as the transaction is.

    Raises `EnvironmentFault` where they are a newer version's, or a process of an earlier version is at work.
    """
    version = version_of(db)  # once more: somebody may have been faster
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
    """Leave a database alone with which an older program has a run under way: it could not go on with it."""
    for run, status, owner in db.execute("SELECT id, status, owner FROM runs"):
        if status not in END_STATES and is_alive(OwnerId(owner)):
            raise EnvironmentFault(
                f"run {run} is {status} in a process of an older version, which {path} cannot be taken from",
                code="OLDER_VERSION_AT_WORK",
                hint="Wait until the run has ended, or cancel it in the session that runs it; then start again.",
            )


def _chain(db: sqlite3.Connection) -> None:
    """From 1 to 2: each run knows its worktree, how many events it has, and what chains them; not what was lost."""
    db.execute("ALTER TABLE runs ADD COLUMN worktree TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE runs ADD COLUMN events INTEGER")
    db.execute("ALTER TABLE runs ADD COLUMN chain BLOB")
    for (run,) in db.execute("SELECT id FROM runs").fetchall():
        chain = Chain(RunId(run))
        chain.add(rows_of(db, RunId(run)))
        db.execute("UPDATE runs SET events=?, chain=? WHERE id=?", (*chain.head(), run))
    db.execute(_NO_OLDER_WRITER)


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_chain,)
"""The first is for databases of version 1."""
