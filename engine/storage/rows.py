"""Rows of the tables as values, and back.

Effects: reads, and logs. Times are ISO 8601 texts in the database.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
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

UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
"""Shown if the row of a run does not say when it began."""
_STATUSES = frozenset(RunStatus)
COLUMNS = (
    "id, created_at, command, status, executor, owner, ended_at, done, total, failed, cost_usd, message, worktree, idle"
)


def rows_of(db: sqlite3.Connection, run: RunId, since: int = 0) -> list[Row]:
    """The stored events of *run* from place *since* on."""
    return db.execute(
        "SELECT run, seq, kind, data FROM events WHERE run=? AND seq>=? ORDER BY seq", (run, since)
    ).fetchall()


def learned_in(db: sqlite3.Connection, command: str) -> dict[str, float]:
    """The median seconds of each node of *command* that has been measured."""
    samples: dict[str, list[float]] = {}
    rows = db.execute("SELECT node, seconds FROM samples WHERE command=? ORDER BY id DESC", (command,))
    for node, seconds in rows:
        if isinstance(seconds, float):
            samples.setdefault(node, []).append(seconds)
    if not samples:
        return {}
    from statistics import median  # noqa: PLC0415 - `status` of the command line waits for it

    return {node: median(found) for node, found in samples.items()}


def to_time(text: object) -> datetime | None:
    """The time in *text*; None if there is none, or it is not a time."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else None


def summary_row(row: RunSummary) -> tuple[Any, ...]:
    """The columns of a run but the first two, which never change."""
    ended = row.ended_at.isoformat() if row.ended_at else None
    head = (row.command, row.status.value, row.executor, row.owner, ended)
    return (*head, row.done, row.total, row.failed, row.cost_usd, row.message, row.worktree, row.idle.total_seconds())


def to_summary(row: Sequence[Any]) -> RunSummary:
    """The run of a row; an unreadable column gets a harmless value.

    An unknown status counts as a run under way: once the run has no owner, its journal says how it ended, and the row
    is written again.
    """
    name, created, command, status, executor, owner, ended, done, total, failed, cost, message, worktree, idle = row
    return RunSummary(
        id=RunId(name),
        created_at=to_time(created) or UNKNOWN_TIME,
        command=str(command),
        status=RunStatus(status) if status in _STATUSES else RunStatus.RUNNING,
        executor=str(executor),
        owner=OwnerId(str(owner)),
        ended_at=to_time(ended),
        done=_number(done),
        total=_number(total),
        failed=_number(failed),
        cost_usd=cost if isinstance(cost, float) else float(_number(cost)),
        message=str(message),
        worktree=str(worktree),
        idle=timedelta(seconds=idle) if isinstance(idle, float) else timedelta(),
    )


def _number(found: object) -> int:
    return found if isinstance(found, int) else 0


def session_row(row: SessionValue) -> tuple[Any, ...]:
    """The columns of a session value."""
    expires = row.expires_at.isoformat() if row.expires_at else None
    return (row.key, row.digest, row.size, row.run, row.produced_at.isoformat(), expires)


def to_session(row: Sequence[Any]) -> SessionValue | None:
    """The session value of a row; None, and a line in the log, if it cannot be read."""
    key, digest, size, run, produced, expires = row
    produced_at, expires_at = to_time(produced), to_time(expires)
    if produced_at is None or not isinstance(size, int) or (expires_at is None and expires is not None):
        log.warning("session value %s cannot be read and counts as expired", key)
        return None
    return SessionValue(
        key=str(key), digest=str(digest), size=size, run=RunId(run), produced_at=produced_at, expires_at=expires_at
    )


def to_message(row: Sequence[Any]) -> Message | None:
    """The message of a row of the inbox; None, and a line in the log, if it cannot be read."""
    _number, run, kind, data = row
    try:
        payload = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("a message of kind %r for run %s cannot be read: %s", kind, run, error)
        return None
    return Message(run=RunId(run), kind=kind, payload=payload)
