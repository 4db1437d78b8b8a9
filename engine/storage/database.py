"""The database file of a project: its connections, transactions and disk errors.

Effects: creates the file. `sqlite.py` reads and writes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from typing import TYPE_CHECKING

import tenacity

from engine.errors import EnvironmentFault
from engine.storage import schema
from engine.storage.port import StateRemoved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.storage.schema import IsAlive


def connect(path: Path, busy_seconds: float, is_alive: IsAlive) -> sqlite3.Connection:
    """A connection in WAL mode with synchronous=FULL, with the schema created or migrated.

    Raises `EnvironmentFault` for a newer schema, and for an older one that a process that *is_alive* still uses.
    """
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        _use_wal(db, busy_seconds)
        db.execute("PRAGMA synchronous=FULL")
        if schema.version_of(db) != schema.VERSION:
            with transaction(db):
                schema.bring_up_to_date(db, path, is_alive)
    except BaseException:
        db.close()
        raise
    return db


def _use_wal(db: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL; if several programs do so at once on a new file, SQLite refuses some without waiting."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, sqlite3.Error) and _reason(error) in _HELD),
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
def reading(db: sqlite3.Connection) -> Iterator[None]:
    """Let all statements of the block see the database at one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


@contextlib.contextmanager
def rolled_back(db: sqlite3.Connection) -> Iterator[None]:
    """Roll back the open transaction if the block fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn errors of the disk and of SQLite into one clear error."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise fault_of(path, error) from error


def fault_of(path: Path, error: sqlite3.Error | OSError) -> EnvironmentFault:
    """The fault to report for an *error* of the disk or of SQLite."""
    if isinstance(error, OSError):
        return _fault(path, error.strerror or str(error), _OF_THE_SYSTEM.get(error.errno or 0, _OTHER))
    return _of_sqlite(path, error)


ROOM = 2**17
"""Free bytes that SQLite needs at least for the files beside the database."""
_FULL = ("write", "DISK_FULL", "Free some space on this disk; then `orchestrate prune` can remove old runs.")
_WRITABLE = "Make the project's .claude/orchestration folder writable."
_IN_THE_WAY = "Something else is in its place; move it away."
_DAMAGED = ("read", "CORRUPT_DATABASE", "Move the file away; its runs are lost.")
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_OF_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: ("write", "READ_ONLY", _WRITABLE),
    sqlite3.SQLITE_PERM: ("use", "READ_ONLY", _WRITABLE),
    sqlite3.SQLITE_CANTOPEN: ("open", "READ_ONLY", _WRITABLE),
    **dict.fromkeys(_HELD, ("use", "DATABASE_LOCKED", "Another program holds the database; end it or try again.")),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
"""By SQLite's primary result code: the failed action, code and hint."""
_OF_THE_SYSTEM = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: ("write", "READ_ONLY", _WRITABLE),
    errno.EACCES: ("use", "READ_ONLY", _WRITABLE),
    errno.EPERM: ("use", "READ_ONLY", _WRITABLE),
    errno.EEXIST: ("make", "READ_ONLY", _IN_THE_WAY),
    errno.EISDIR: ("open", "READ_ONLY", _IN_THE_WAY),
    errno.ENOTDIR: ("make", "READ_ONLY", _IN_THE_WAY),
}
"""The same by the error number of a system call."""
_OTHER = ("use", "STORAGE_FAILED", "The disk may be broken; the system's log may say more.")
_MAYBE_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""Results that SQLite also returns for a full disk, if it cannot create the files beside the database."""


def _of_sqlite(path: Path, error: sqlite3.Error) -> EnvironmentFault:
    reason = _reason(error)
    full = reason in _MAYBE_FULL and not _has_room(path)
    return _fault(path, str(error), _FULL if full else _OF_SQLITE.get(reason, _OTHER))


def _reason(error: sqlite3.Error) -> int:
    """SQLite's primary result code, in the low byte of the extended one; -1 for errors of Python's module itself."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def _fault(path: Path, text: str, known: tuple[str, str, str]) -> EnvironmentFault:
    what, code, hint = known
    return EnvironmentFault(f"cannot {what} {path}: {text}", code=code, hint=hint)


def _has_room(path: Path) -> bool:
    """Whether the disk has room for a small file; True if unknown."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return True
    few = found.f_files > 0 and found.f_favail == 0  # some file systems do not count files
    return found.f_bavail * found.f_frsize >= ROOM and not few


def removed(path: Path) -> StateRemoved:
    """The fault of a database that is open but no longer in its place."""
    return StateRemoved(
        f"{path} was removed or replaced while it was in use",
        hint="Start the program or the server again; runs that were in progress are lost.",
    )


def is_locked(error: BaseException) -> bool:
    """Whether another process held the database for too long."""
    return isinstance(error, EnvironmentFault) and error.code == "DATABASE_LOCKED"
