"""Journals read without being touched: copies of them, and the list of runs in an unknown one.

Effects: copies into a given folder, or a temporary one.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from engine.statefolder.links import JOURNAL
from engine.storage.database import faults

WAL_ENDING = "-wal"
SHARED_ENDING = "-shm"
_WAL_HEADER = 32
_TRIES = 20
MAX_RUNS_READ = 20
"""The most runs that are read, newest first; the others are only counted."""
MAX_VM_STEPS = 50_000_000
"""Steps of SQLite after which reading stops: a journal may be built to take forever."""
_NEWEST = """
SELECT substr(id, 1, 200), substr(command, 1, 200), substr(status, 1, 200), substr(created_at, 1, 200)
FROM runs ORDER BY created_at DESC, rowid DESC LIMIT ?
"""


class ForeignRun(NamedTuple):
    """A run as its row says, unchecked."""

    id: str
    command: str
    status: str
    created_at: str


def copy_journal(folder: Path, place: Path) -> Path | None:
    """Copy the journal of the state folder *folder* into *place*; returns the copy, or None without a journal.

    If its owner moves data from one of its files to the other meanwhile, it is copied again.
    """
    for _ in range(_TRIES):
        before = _layout(folder)
        for ending in ("", WAL_ENDING):  # the last commits may be in the second only
            source, copy = folder / f"{JOURNAL.name}{ending}", place / f"{JOURNAL.name}{ending}"
            copy.unlink(missing_ok=True)
            if source.is_file() and not source.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # the last process to close it removes the second
                    shutil.copyfile(source, copy, follow_symlinks=False)
        if _layout(folder) == before:
            break
    copy = place / JOURNAL.name
    return copy if copy.exists() else None


def _layout(folder: Path) -> tuple[object, ...]:
    """A value that changes when data moves between the files of a journal, but not by a commit alone."""
    journal = folder / JOURNAL.name
    try:
        found = journal.stat()
        main = found.st_mtime_ns, found.st_size, found.st_ino
    except OSError:
        return ()
    try:
        with journal.with_name(f"{journal.name}{WAL_ENDING}").open("rb") as file:
            return (*main, file.read(_WAL_HEADER))
    except OSError:
        return main


def runs_of(folder: Path) -> tuple[int, list[ForeignRun]]:
    """The number of runs in the journal of the state folder *folder*, and the newest ones, newest first.

    Raises `EnvironmentFault` if it cannot be read.
    """
    with faults(folder / JOURNAL.name), tempfile.TemporaryDirectory() as place:
        copy = copy_journal(folder, Path(place))
        if copy is None:
            return 0, []
        with closing(sqlite3.connect(copy)) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            db.set_progress_handler(lambda: 1, MAX_VM_STEPS)
            [number] = db.execute("SELECT count(*) FROM runs").fetchone()
            return number, [ForeignRun(*map(str, row)) for row in db.execute(_NEWEST, (MAX_RUNS_READ,))]
