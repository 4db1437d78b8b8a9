"""Storage in one SQLite database of the project: journal, values, locks, inbox.

Effects: disk. WAL with synchronous=FULL: acknowledged commits survive a crash of the process and of the machine. It
decides nothing.

Statements run in one thread, so that the event loop need not wait for the disk, except for short commits while commits
are quick: handing them over would cost more than the disk does. A commit never waits in the loop for another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.run.state import END_STATES
from engine.statefolder.links import make_private
from engine.storage import compression, writing
from engine.storage.codec import digest_of
from engine.storage.database import (
    connect,
    fault_of,
    faults,
    is_locked,
    reading,
    removed,
    transaction,
)
from engine.storage.journal import Chain, checked
from engine.storage.port import Batch, Message, RunSummary
from engine.storage.rows import COLUMNS, learned_in, rows_of, to_message, to_session, to_summary
from engine.tables.locks import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from engine.run.events import Event
    from engine.storage.port import Follow, SessionValue, TableOutcome
    from engine.storage.schema import IsAlive
    from engine.tables.locks import LockOutcome

T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long a statement waits for a transaction of another process."""
MAX_LEARNED = 8
"""Commands whose learned durations are kept."""
PATIENCE_SECONDS = 60.0
"""How long it is retried: a backup or a database browser may hold the file for a while, and no run should die of it."""
QUICK_SECONDS = 0.005
"""Commits that take less, on average of the last ones, may hold the event loop for that long."""


def _make_file(path: Path) -> tuple[int, int]:
    """Create the database file if missing, private like those beside it; returns its device and inode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    found = path.lstat()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        make_private(path.with_name(name), 0o600)
    return found.st_dev, found.st_ino


def _value(digest: str, encoding: str, data: bytes) -> bytes | None:
    """The value that was stored as *data*; one that does not match *digest* counts as lost."""
    try:
        found = compression.unpack(encoding, data)
        return found if digest_of(found) == digest else None
    except (compression.ZstdError, EOFError, TypeError) as error:
        log.warning("value %s cannot be read: %s", digest, error)
        return None


class SqliteStorage:
    """The runs of one project, on disk."""

    def __init__(
        self,
        folder: Path,
        *,
        busy_seconds: float = BUSY_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        is_alive: IsAlive = lambda _owner: False,
    ) -> None:
        """*folder* is created if missing; the guard creates the state folder of a project.

        A statement waits *busy_seconds* for another program's transaction, and is retried for *patience_seconds*.
        A database of an earlier version is migrated, unless a process that *is_alive* has a run in it.
        """
        self._path = folder / "journal.sqlite3"
        self._name = str(self._path)
        with faults(self._path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._place = _make_file(self._path)
            with contextlib.ExitStack() as opened:
                self._db = opened.enter_context(closing(connect(self._path, busy_seconds, is_alive)))
                self._reader = connect(self._path, busy_seconds, is_alive)
                opened.pop_all()
        self._busy_seconds = self._waits = busy_seconds
        """How long a statement may wait for other processes, and how long it would now."""
        self._patience_seconds = patience_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._left: Future[Any] | None = None
        """Done when the thread has ended what it was doing for a caller that was cancelled."""
        self._commit_seconds = 0.0
        """The duration of a commit, as a moving average."""
        self._in_use = asyncio.Lock()
        """Held while the connection is in use: a commit takes several steps on it."""
        self._data_version = -1
        self._learned: dict[str, tuple[int | None, dict[str, float]]] = {}
        """Learned durations by command, and the newest sample at that time."""
        self._chains = writing.Chains()
        self._read_to: dict[tuple[RunId, int], Chain] = {}
        """The chain of the journal read last, so that only new events need to be checked."""
        self._closed = False

    async def _call(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        async with self._in_use:
            return await self._patiently(function, *args)

    async def _patiently(self, function: Callable[..., T], *args: Any, here: bool = False) -> T:  # noqa: ANN401 - arguments of *function*
        """Call *function*, *here* in the loop or in the thread; again in the thread if others hold the database."""
        try:
            return self._guarded(0.0, function, *args) if here else await self._once(function, *args)
        except EnvironmentFault as fault:
            if not is_locked(fault):
                raise
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(is_locked),
            stop=tenacity.stop_after_delay(self._patience_seconds),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            reraise=True,
        )
        return await retrying(self._once, function, *args)

    async def _once(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._guarded, self._busy_seconds, function, *args)
        except asyncio.CancelledError:
            self._left = self._thread.submit(int)
            raise

    def _guarded(self, waits: float, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        try:
            if not self._is_in_place():
                raise removed(self._path)
            if waits != self._waits:
                self._db.execute(f"PRAGMA busy_timeout={round(waits * 1000)}")
                self._waits = waits
            return function(*args)
        except (sqlite3.Error, OSError) as error:
            raise fault_of(self._path, error) from error

    def _is_in_place(self) -> bool:
        """Whether other processes that open the database would find this one; it may be open, but removed."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - a third less than `Path.stat`, for each commit
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (found.st_dev, found.st_ino) == self._place

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """See `port.Storage.commit`."""
        async with self._in_use:
            try:
                outcomes: list[TableOutcome] = await self._patiently(
                    self._begin, batch, owner, follow is not None, here=self._is_quick(batch)
                )
                while outcomes and follow is not None:
                    more = follow(outcomes)
                    if self._is_quick(more):
                        outcomes = self._guarded(0.0, self._continue, more, owner)
                    else:
                        outcomes = await self._once(self._continue, more, owner)
            except BaseException:
                self._left = self._thread.submit(self._roll_back)
                raise
            return outcomes

    def _is_quick(self, batch: Batch) -> bool:
        """Whether the event loop may wait for *batch*, and the thread does not use the connection."""
        return self._commit_seconds < QUICK_SECONDS and batch.is_short and (self._left is None or self._left.done())

    def _roll_back(self) -> None:
        """Roll back a commit."""
        self._chains.clear()
        self._db.rollback()

    def _begin(self, batch: Batch, owner: OwnerId, followed: bool) -> list[TableOutcome]:  # noqa: FBT001
        """Write *batch*; the transaction stays open if its answers are *followed*."""
        self._db.execute("BEGIN IMMEDIATE")
        began = perf_counter()
        outcomes = self._write(batch, owner, followed=followed)
        self._commit_seconds += (perf_counter() - began - self._commit_seconds) / 8
        return outcomes

    def _continue(self, batch: Batch, owner: OwnerId) -> list[TableOutcome]:
        return self._write(batch, owner, followed=True)

    def _write(self, batch: Batch, owner: OwnerId, *, followed: bool) -> list[TableOutcome]:
        try:
            writing.insert(self._db, batch, self._chains)
            outcomes: list[TableOutcome] = [*writing.change_locks(self._db, batch.lock_ops, owner)]
            outcomes += writing.change_breakers(self._db, batch.breaker_ops)
            if not (outcomes and followed):
                self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._roll_back()
            raise
        return outcomes

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """See `port.Storage.events`."""
        return await self._call(self._events, run, since)

    def _events(self, run: RunId, since: int) -> list[Event]:
        chain = self._read_to.pop((run, since), None) or Chain(run)
        begin = chain.events
        with reading(self._db):
            end = writing.head(self._db, run)
            rows = rows_of(self._db, run, begin)
        events = checked(run, rows, chain, end)
        self._read_to = {(run, end.events): chain}
        return events[since - begin :]

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """See `port.Storage.summaries`."""
        return await self._call(self._summaries, limit)

    def _summaries(self, limit: int | None) -> list[RunSummary]:
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM runs ORDER BY created_at DESC, rowid DESC LIMIT ?",  # noqa: S608 - constants only
            (-1 if limit is None else limit,),
        )
        return [to_summary(row) for row in rows]

    async def summary(self, run: RunId) -> RunSummary | None:
        """See `port.Storage.summary`."""
        return await self._call(self._summary_of, run)

    def _summary_of(self, run: RunId) -> RunSummary | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM runs WHERE id=?", (run,)).fetchone()  # noqa: S608 - constants only
        return None if row is None else to_summary(row)

    def value(self, digest: str) -> bytes | None:
        """See `port.Storage.value`."""
        with faults(self._path):
            row = self._reader.execute("SELECT encoding, data FROM vals WHERE digest=?", (digest,)).fetchone()
        return None if row is None else _value(digest, *row)

    def last_status(self, command: str) -> RunStatus | None:
        """See `port.Storage.last_status`."""
        ended = [status.value for status in END_STATES]
        marks = ",".join("?" * len(ended))
        with faults(self._path):
            row = self._reader.execute(
                f"SELECT status FROM runs WHERE command=? AND executor<>'simulate' AND status IN ({marks}) "  # noqa: S608 - marks only
                "ORDER BY created_at DESC, rowid DESC LIMIT 1",
                (command, *ended),
            ).fetchone()
        return None if row is None else RunStatus(row[0])

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """See `port.Storage.take_over`."""
        return await self._call(self._take_over, run, old, new, ended)

    def _take_over(self, run: RunId, old: OwnerId, new: OwnerId, ended: RunStatus | None) -> bool:
        with transaction(self._db):
            if ended is None:
                done = self._db.execute("UPDATE runs SET owner=? WHERE id=? AND owner=?", (new, run, old))
            else:
                done = self._db.execute(
                    "UPDATE runs SET owner=?, status=? WHERE id=? AND owner=? AND status=?",
                    (new, RunStatus.PENDING.value, run, old, ended.value),
                )
            if done.rowcount != 1:
                return False
            self._chains.drop(run)  # its old owner may have written since
            self._db.execute("DELETE FROM inbox WHERE run=?", (run,))
            return True

    async def post(self, message: Message) -> None:
        """See `port.Storage.post`."""
        await self._call(self._post_alone, message)

    def _post_alone(self, message: Message) -> None:
        with transaction(self._db):
            writing.post(self._db, message)

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """See `port.Storage.inbox`."""
        return await self._call(self._take_inbox, runs)

    def _take_inbox(self, runs: Sequence[RunId]) -> list[Message]:
        rows = self._db.execute("SELECT id, run, kind, payload FROM inbox ORDER BY id").fetchall()
        mine = [row for row in rows if row[1] in runs]
        if mine:
            with transaction(self._db):
                self._db.executemany("DELETE FROM inbox WHERE id=?", [(row[0],) for row in mine])
        return [message for row in mine if (message := to_message(row)) is not None]

    async def unread(self, run: RunId) -> bool:
        """See `port.Storage.unread`."""
        return await self._call(self._is_unread, run)

    def _is_unread(self, run: RunId) -> bool:
        return self._db.execute("SELECT 1 FROM inbox WHERE run=? LIMIT 1", (run,)).fetchone() is not None

    async def claims(self) -> list[Claim]:
        """See `port.Storage.claims`."""
        return await self._call(writing.claims, self._db)

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """See `port.Storage.session_values`."""
        return await self._call(self._session_values, now)

    def _session_values(self, now: datetime) -> list[SessionValue]:
        rows = self._db.execute("SELECT key, digest, size, run, produced_at, expires_at FROM session ORDER BY key")
        found = [row for row in map(to_session, rows) if row is not None]
        return [row for row in found if row.expires_at is None or row.expires_at > now]

    async def estimates(self, command: str) -> dict[str, float]:
        """See `port.Storage.estimates`."""
        return await self._call(self._estimates, command)

    def _estimates(self, command: str) -> dict[str, float]:
        newest = self._db.execute("SELECT max(id) FROM samples").fetchone()[0]
        known = self._learned.get(command)
        if known is not None and known[0] == newest:  # each look at a run asks
            return known[1]
        learned = learned_in(self._db, command)
        self._learned = {**dict(list(self._learned.items())[1 - MAX_LEARNED :]), command: (newest, learned)}
        return learned

    async def remove(self, rows: Iterable[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        """See `port.Storage.remove`."""
        removed = await self._call(self._remove, list(rows), owner)
        await self._call(writing.shrink, self._db)
        return removed

    def _remove(self, rows: list[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        with transaction(self._db):
            return writing.remove(self._db, rows, owner)

    async def changed(self) -> bool:
        """See `port.Storage.changed`."""
        return await self._call(self._changed)

    def _changed(self) -> bool:
        version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        changed = version != self._data_version
        self._data_version = version
        return changed

    async def close(self) -> None:
        """See `port.Storage.close`."""
        if self._closed:
            return
        self._closed = True
        async with self._in_use:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._reader.close()
        self._thread.shutdown(wait=False)
