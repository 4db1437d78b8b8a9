"""Programs that open one database at once, as threads; and what SQLite raises."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault
from engine.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = 8


def open_at_once(folder: Path) -> list[EnvironmentFault]:
    """Open the database of *folder* eight times at the same moment; what went wrong."""
    start = threading.Barrier(PROGRAMS)
    failures: list[EnvironmentFault] = []

    def make() -> None:
        start.wait()
        try:
            asyncio.run(SqliteStorage(folder).close())
        except EnvironmentFault as fault:
            failures.append(fault)

    threads = [threading.Thread(target=make) for _ in range(PROGRAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


def of_sqlite(reason: int) -> sqlite3.OperationalError:
    """The error that SQLite raises for *reason*, one of its extended result codes."""
    error = sqlite3.OperationalError("it cannot be done")
    error.sqlite_errorcode = reason
    return error
