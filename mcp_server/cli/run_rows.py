"""The newest runs of a state folder, for readers that must be quick: a status line and a monitor.

Effects: reads the database and the locks of owners. It imports Python's own modules and a few of ours that import
nothing (see `line.py`).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from datetime import datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OWNERS = "owners"
"""The folder of the owners' records in a state folder."""
_LOOKED_AT = 50
_LONGEST = 60
_BUSY_SECONDS = 1.0
_COLUMNS = "id, command, status, executor, owner, created_at, ended_at, done, total, failed, cost_usd"
_NEWEST = f"SELECT {_COLUMNS}, {{idle}} FROM runs ORDER BY created_at DESC, rowid DESC LIMIT {_LOOKED_AT}"  # noqa: S608 - constants
_WITH_IDLE = 3
"""The version of the database from which on its rows say how long a run did not live."""


class Row:
    """One row of the list of runs."""

    __slots__ = (
        "began",
        "command",
        "cost",
        "done",
        "ended",
        "executor",
        "failed",
        "idle",
        "owner",
        "run",
        "status",
        "total",
    )

    def __init__(self, columns: Sequence[object]) -> None:
        """*columns* are those of the database; raises ValueError if they are damaged."""
        run, command, status, executor, owner, created, ended, done, total, failed, cost, idle = columns
        self.run, self.command, self.status, self.executor, self.owner = map(
            str, (run, command, status, executor, owner)
        )
        self.began = datetime.fromisoformat(str(created)).timestamp()
        self.ended = None if ended is None else datetime.fromisoformat(str(ended)).timestamp()
        self.done, self.total, self.failed = (int(str(number)) for number in (done, total, failed))
        self.cost, self.idle = float(str(cost)), float(str(idle))


def rows_in(folder: str) -> list[Row]:
    """The newest runs in the state *folder*, newest first; damaged rows are left out. Raises `sqlite3.Error`."""
    db = connected(folder)
    try:
        idle = "idle" if db.execute("PRAGMA user_version").fetchone()[0] >= _WITH_IDLE else "0"
        return [row for columns in db.execute(_NEWEST.format(idle=idle)) if (row := _row(columns)) is not None]
    finally:
        db.close()


def connected(folder: str) -> sqlite3.Connection:
    """The database in the state *folder*, for reading. Raises `sqlite3.Error`."""
    journal = os.path.join(folder, "journal.sqlite3")
    # Without a log beside it no process has the database open; SQLite would leave an empty one behind.
    alone = "" if os.path.lexists(f"{journal}-wal") else "&immutable=1"
    return sqlite3.connect(f"file:{_quoted(journal)}?mode=ro{alone}", uri=True, timeout=_BUSY_SECONDS)


def shown_name(command: str) -> str:
    """The name of a command, safe for a terminal."""
    if len(command) <= _LONGEST and command.isascii() and command.isprintable():
        return command
    from engine.text.shown import clean  # noqa: PLC0415 - ordinary names do not need it

    return clean(command)[:_LONGEST]


def _row(columns: Sequence[object]) -> Row | None:
    try:
        return Row(columns)
    except ValueError:
        return None


def is_alive(owners: str, owner: str, now: float) -> bool:
    """Whether the process *owner* still runs; its lock says so, if it is on this machine."""
    if "/" in owner:
        return False
    try:
        opened = os.open(os.path.join(owners, f"{owner}.lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    from pathlib import Path  # noqa: PLC0415 - rare: a run whose process has died, or is on another machine

    from engine.statefolder.identity import this_process  # noqa: PLC0415
    from engine.statefolder.owners import record_of  # noqa: PLC0415

    record = record_of(Path(owners), owner)
    return record is not None and record.lives(this_process(), now)


def _quoted(path: str) -> str:
    """*path* in a URI of SQLite."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
