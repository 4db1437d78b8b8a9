"""Rows of the tables as values, and back.

Effects: none but the log and what is read. Times are ISO 8601 texts in the database.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.storage.port import Message, RunSummary, SessionValue

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from engine.storage.journal import Row

log = logging.getLogger(__name__)

COLUMNS = "id, created_at, command, status, executor, owner, ended_at, done, total, failed, cost_usd, message, worktree"


def rows_of(db: sqlite3.Connection, run: RunId, since: int = 0) -> list[Row]:
    """The events of *run* from place *since* on, as they are stored."""
    return db.execute(
        "SELECT run, seq, kind, data FROM events WHERE run=? AND seq>=? ORDER BY seq", (run, since)
    ).fetchall()


def to_time(text: str | None) -> datetime | None:
    """A time, or None for none."""
    return None if text is None else datetime.fromisoformat(text)


def summary_row(row: RunSummary) -> tuple[Any, ...]:
    """What goes into the row of a run."""
    ended = row.ended_at.isoformat() if row.ended_at else None
    created = row.created_at.isoformat()
    head = (row.id, created, row.command, row.status.value, row.executor, row.owner, ended)
    return (*head, row.done, row.total, row.failed, row.cost_usd, row.message, row.worktree)


def to_summary(row: Sequence[Any]) -> RunSummary:
    """The run that a row tells of."""
    return RunSummary(
        id=RunId(row[0]),
        created_at=datetime.fromisoformat(row[1]),
        command=row[2],
        status=RunStatus(row[3]),
        executor=row[4],
        owner=OwnerId(row[5]),
        ended_at=to_time(row[6]),
        done=row[7],
        total=row[8],
        failed=row[9],
        cost_usd=row[10],
        message=row[11],
        worktree=row[12],
    )


def session_row(row: SessionValue) -> tuple[Any, ...]:
    """What goes into the row of a session value."""
    expires = row.expires_at.isoformat() if row.expires_at else None
    return (row.key, row.digest, row.size, row.run, row.produced_at.isoformat(), expires)


def to_message(row: Sequence[Any]) -> Message | None:
    """What a row of the inbox asks for; None, and a line in the log, where nobody can read it."""
    _number, run, kind, data = row
    try:
        payload = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("a message of kind %r for run %s cannot be read: %s", kind, run, error)
        return None
    return Message(run=RunId(run), kind=kind, payload=payload)
