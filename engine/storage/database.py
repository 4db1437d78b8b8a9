"""The database file of a project: its folder, its schema, its connections, and what the disk may say.

Effects: makes the state folder and the file. What is stored in it is `sqlite.py`'s.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

import tenacity

from engine.errors import EnvironmentFault
from engine.storage import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS events(
    run TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY(run, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs(
    id TEXT PRIMARY KEY, command TEXT NOT NULL, status TEXT NOT NULL, executor TEXT NOT NULL, owner TEXT NOT NULL,
    created_at TEXT NOT NULL, ended_at TEXT, done INTEGER NOT NULL, total INTEGER NOT NULL, failed INTEGER NOT NULL,
    cost_usd REAL NOT NULL, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs(created_at);
CREATE TABLE IF NOT EXISTS vals(digest TEXT PRIMARY KEY, encoding TEXT NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims(holder TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS breakers(name TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS inbox(id INTEGER PRIMARY KEY, run TEXT NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS session(
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, run TEXT NOT NULL, produced_at TEXT NOT NULL,
    expires_at TEXT
);
CREATE TABLE IF NOT EXISTS samples(
    id INTEGER PRIMARY KEY, command TEXT NOT NULL, node TEXT NOT NULL, seconds REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_by_command ON samples(command, node);
"""
REMOVED = "STATE_REMOVED"
"""The code of the fault that no waiting helps against."""
IGNORE_ALL = "# made by orchestration-mcp: run state is not for version control\n*\n"


def make_folder(folder: Path) -> None:
    """Make the state folder where it is missing, with a .gitignore of its own."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(folder, 0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(IGNORE_ALL, encoding="utf-8")


def make_private(path: Path, mode: int) -> None:
    """Give *path* its *mode* where it is ours and others may do something with it."""
    with contextlib.suppress(OSError):  # it is not there, or its file system knows no modes
        found = path.stat()
        if found.st_uid == os.geteuid() and found.st_mode & 0o077:
            path.chmod(mode)


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection in WAL mode with synchronous=FULL, the schema made. Raises `EnvironmentFault` for a newer one."""
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(db, busy_seconds)
        db.execute("PRAGMA synchronous=FULL")
        _make_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _make_schema(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > codec.SCHEMA_VERSION:
        raise EnvironmentFault(
            f"{path} was written by a newer version (schema {version}, this one reads {codec.SCHEMA_VERSION})",
            code="NEWER_SCHEMA",
            hint="Update orchestration-mcp.",
        )
    if version < codec.SCHEMA_VERSION:
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={codec.SCHEMA_VERSION}; COMMIT;")


def _use_wal(db: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL; of programs that do so at once on a new file some are refused without any waiting."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, sqlite3.Error) and "locked" in str(error)),
        stop=tenacity.stop_after_delay(busy_seconds),
        wait=tenacity.wait_random_exponential(multiplier=0.01, max=0.5),
        reraise=True,
    )
    retrying(db.execute, "PRAGMA journal_mode=WAL")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    with rolled_back(db):
        yield
        db.execute("COMMIT")


@contextlib.contextmanager
def rolled_back(db: sqlite3.Connection) -> Iterator[None]:
    """Undo the open transaction where the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into one clear error."""
    try:
        yield
    except sqlite3.Error as error:
        raise _fault(path, str(error)) from error
    except OSError as error:
        raise _fault(path, error.strerror or str(error)) from error


ROOM = 2**17
"""Bytes without which SQLite cannot even make the files beside the database that it reads with."""
_FULL = ("write", "DISK_FULL", "Free some space on this disk; then `orchestrate prune` can remove old runs.")
_WRITABLE = "Make the project's .claude/orchestration folder writable."
_IN_THE_WAY = "Something else is in its place; move it away."
_DAMAGED = ("read", "CORRUPT_DATABASE", "Move the file away; runs in it are lost to this program.")
_KNOWN = {
    "full": _FULL,
    "no space left": _FULL,
    "readonly": ("write", "READ_ONLY", _WRITABLE),
    "read-only": ("write", "READ_ONLY", _WRITABLE),
    "permission denied": ("use", "READ_ONLY", _WRITABLE),
    "unable to open": ("open", "READ_ONLY", _WRITABLE),
    "file exists": ("make", "READ_ONLY", _IN_THE_WAY),
    "is a directory": ("open", "READ_ONLY", _IN_THE_WAY),
    "not a directory": ("make", "READ_ONLY", _IN_THE_WAY),
    "locked": ("use", "DATABASE_LOCKED", "Another program holds the database; end it or try again."),
    "malformed": _DAMAGED,
    "not a database": _DAMAGED,
}
"""By a sign in the text of the disk or SQLite: what could not be done, code and hint."""
_OTHER = ("use", "STORAGE_FAILED", "The disk may be broken; the system's log may say more.")
_MAYBE_FULL = ("disk i/o error", "unable to open")
"""What SQLite says of a full disk too, where it cannot make the files beside the database."""


def _fault(path: Path, text: str) -> EnvironmentFault:
    said = text.lower()
    if any(sign in said for sign in _MAYBE_FULL) and not _has_room(path):
        what, code, hint = _FULL
    else:
        what, code, hint = next((known for sign, known in _KNOWN.items() if sign in said), _OTHER)
    return EnvironmentFault(f"cannot {what} {path}: {text}", code=code, hint=hint)


def _has_room(path: Path) -> bool:
    """Whether the disk has room for a small file; yes, where that cannot be told."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return True
    few = found.f_files > 0 and found.f_favail == 0  # some file systems count no files
    return found.f_bavail * found.f_frsize >= ROOM and not few


def removed(path: Path) -> EnvironmentFault:
    """What there is to say where the database is not in its place any more, though it is open."""
    return EnvironmentFault(
        f"{path} was removed or replaced while it was in use",
        code=REMOVED,
        hint="Start the program or the server again; what ran is in no journal any more.",
    )


def is_locked(error: BaseException) -> bool:
    """Whether another process had the database for too long."""
    return isinstance(error, EnvironmentFault) and error.code == "DATABASE_LOCKED"
