"""Journals that are read without being touched: copies of them, and the runs that an unknown one tells of.

Effects: copies into a folder that is given, or a temporary one.
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
"""Runs that are read, the newest ones; the others are counted."""
MAX_VM_STEPS = 50_000_000
"""Steps of SQLite after which reading is given up: the journal may have been made to take for ever."""
_NEWEST = """
SELECT substr(id, 1, 200), substr(command, 1, 200), substr(status, 1, 200), substr(created_at, 1, 200)
FROM runs ORDER BY created_at DESC, rowid DESC LIMIT ?
"""


class ForeignRun(NamedTuple):
    """A run as its row says; nothing of it is checked."""

    id: str
    command: str
    status: str
    created_at: str


def copy_journal(folder: Path, place: Path) -> Path | None:
    """Copy the journal of the state folder *folder* into *place*; the copy, or None where there is no journal.

    Its owner may move what was committed from one of its files to the other meanwhile: then it is copied again.
    """
    for _ in range(_TRIES):
        before = _layout(folder)
        for ending in ("", WAL_ENDING):  # what was committed last may be in the second alone
            source, copy = folder / f"{JOURNAL.name}{ending}", place / f"{JOURNAL.name}{ending}"
            copy.unlink(missing_ok=True)
            if source.is_file() and not source.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # whoever closes it last removes the second
                    shutil.copyfile(source, copy, follow_symlinks=False)
        if _layout(folder) == before:
            break
    copy = place / JOURNAL.name
    return copy if copy.exists() else None


def _layout(folder: Path) -> tuple[object, ...]:
    """What changes when something is moved between the files of a journal; a commit alone changes nothing of it."""
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
    """How many runs the journal of the state folder *folder* has, and the newest of them, newest first.

    Raises `EnvironmentFault` where it cannot be read.
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
