"""Storage in one SQLite database of the project: journal, values, locks, inbox.

Effects: disk, and one thread that all statements run on. WAL with synchronous=FULL: what was acknowledged survives a
crash of the process and of the machine. It decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import tenacity

from engine.breakers import BreakerState
from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.locks import Claim, LockTable
from engine.run.events import RunStatus
from engine.run.state import END_STATES
from engine.storage import codec, compression
from engine.storage.memory import LEARNED_FROM, lock_message
from engine.storage.port import Batch, Message, RunSummary, SessionValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.locks import LockOutcome
    from engine.run.events import Event
    from engine.storage.port import TableOutcome

T = TypeVar("T")

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
COLUMNS = "id, command, status, executor, owner, created_at, ended_at, done, total, failed, cost_usd, message"
BUSY_SECONDS = 10.0
"""How long a statement waits for another process's transaction."""
PATIENCE_SECONDS = 60.0
"""How long it is tried again: a backup or a browser of the file may hold it for a while, which no run should die of."""

IGNORE_ALL = "# made by orchestration-mcp: run state is not for version control\n*\n"


class SqliteStorage:
    """The runs of one project, on disk."""

    def __init__(
        self, folder: Path, *, busy_seconds: float = BUSY_SECONDS, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """*folder* is the state folder, made where it is missing, with a .gitignore of its own.

        A statement waits *busy_seconds* for another program's transaction, and is tried again for *patience_seconds*.
        """
        self._path = folder / "journal.sqlite3"
        with _faults(self._path):
            _make_folder(folder)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = _connect(self._path, busy_seconds)
            self._reader = _connect(self._path, busy_seconds)
        self._patience_seconds = patience_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._data_version = -1
        self._closed = False

    async def _call(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        try:
            return await self._once(function, *args)
        except EnvironmentFault as fault:
            if not _is_locked(fault):
                raise
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_locked),
            stop=tenacity.stop_after_delay(self._patience_seconds),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            reraise=True,
        )
        return await retrying(self._once, function, *args)

    async def _once(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, function, *args)

    def _guarded(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        with _faults(self._path):
            return function(*args)

    async def commit(self, batch: Batch, owner: OwnerId) -> list[TableOutcome]:
        """See `port.Storage.commit`."""
        return await self._call(self._commit, batch, owner)

    def _commit(self, batch: Batch, owner: OwnerId) -> list[TableOutcome]:
        db = self._db
        rows = [(run, place, *codec.encode_event(event)) for run, place, event in batch.events]
        values = [(digest, *compression.pack(data)) for digest, data in batch.values.items()]
        with _transaction(db):
            db.executemany("INSERT INTO events VALUES (?,?,?,?)", rows)
            if values:
                db.executemany("INSERT OR IGNORE INTO vals VALUES (?,?,?)", values)
            if batch.summaries:
                marks = ",".join("?" * 12)
                db.executemany(
                    f"INSERT OR REPLACE INTO runs({COLUMNS}) VALUES ({marks})",  # noqa: S608 - constants only
                    [_summary_row(row) for row in batch.summaries.values()],
                )
            if batch.session:
                db.executemany(
                    "INSERT OR REPLACE INTO session VALUES (?,?,?,?,?,?)", [_session_row(row) for row in batch.session]
                )
            if batch.samples:
                db.executemany(
                    "INSERT INTO samples(command, node, seconds) VALUES (?,?,?)",
                    [(row.command, row.node, row.seconds) for row in batch.samples],
                )
            outcomes: list[TableOutcome] = [*self._change_locks(batch, owner)] if batch.lock_ops else []
            return outcomes + self._change_breakers(batch) if batch.breaker_ops else outcomes

    def _change_breakers(self, batch: Batch) -> list[TableOutcome]:
        states: dict[str, BreakerState] = {}
        answers: list[TableOutcome] = []
        for name, change in batch.breaker_ops:
            if name not in states:
                row = self._db.execute("SELECT data FROM breakers WHERE name=?", (name,)).fetchone()
                states[name] = codec.decode_breaker(row[0]) if row else BreakerState()
            states[name], answer = change(states[name])
            if answer is not None:
                answers.append(answer)
        rows = [(name, codec.encode_breaker(state)) for name, state in states.items()]
        self._db.executemany("INSERT OR REPLACE INTO breakers VALUES (?,?)", rows)
        return answers

    def _change_locks(self, batch: Batch, owner: OwnerId) -> list[LockOutcome]:
        db = self._db
        table = LockTable(self._claims())
        outcomes = [outcome for op in batch.lock_ops for outcome in op(table)]
        changes = table.changes()
        db.executemany("DELETE FROM claims WHERE holder=?", [(str(holder),) for holder in changes.removed])
        db.executemany(
            "INSERT OR REPLACE INTO claims VALUES (?,?)",
            [(str(claim.holder), codec.encode_claim(claim)) for claim in changes.stored],
        )
        mine: list[LockOutcome] = []
        for outcome in outcomes:
            row = db.execute("SELECT owner FROM runs WHERE id=?", (outcome.holder.run,)).fetchone()
            if row is None or row[0] == owner:
                mine.append(outcome)
            else:
                self._post(lock_message(outcome))
        return mine

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """See `port.Storage.events`."""
        return await self._call(self._events, run, since)

    def _events(self, run: RunId, since: int) -> list[Event]:
        rows = self._db.execute("SELECT kind, data FROM events WHERE run=? AND seq>=? ORDER BY seq", (run, since))
        return [codec.decode_event(kind, data) for kind, data in rows]

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """See `port.Storage.summaries`."""
        return await self._call(self._summaries, limit)

    def _summaries(self, limit: int | None) -> list[RunSummary]:
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM runs ORDER BY created_at DESC, rowid DESC LIMIT ?",  # noqa: S608 - constants only
            (-1 if limit is None else limit,),
        )
        return [_summary(row) for row in rows]

    async def summary(self, run: RunId) -> RunSummary | None:
        """See `port.Storage.summary`."""
        return await self._call(self._summary_of, run)

    def _summary_of(self, run: RunId) -> RunSummary | None:
        row = self._db.execute(f"SELECT {COLUMNS} FROM runs WHERE id=?", (run,)).fetchone()  # noqa: S608 - constants only
        return None if row is None else _summary(row)

    def value(self, digest: str) -> bytes | None:
        """See `port.Storage.value`."""
        with _faults(self._path):
            row = self._reader.execute("SELECT encoding, data FROM vals WHERE digest=?", (digest,)).fetchone()
        return None if row is None else compression.unpack(*row)

    def last_status(self, command: str) -> RunStatus | None:
        """See `port.Storage.last_status`."""
        ended = [status.value for status in END_STATES]
        marks = ",".join("?" * len(ended))
        with _faults(self._path):
            row = self._reader.execute(
                f"SELECT status FROM runs WHERE command=? AND executor<>'simulate' AND status IN ({marks}) "  # noqa: S608 - marks only
                "ORDER BY created_at DESC, rowid DESC LIMIT 1",
                (command, *ended),
            ).fetchone()
        return None if row is None else RunStatus(row[0])

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId) -> bool:
        """See `port.Storage.take_over`."""
        return await self._call(self._take_over, run, old, new)

    def _take_over(self, run: RunId, old: OwnerId, new: OwnerId) -> bool:
        with _transaction(self._db):
            done = self._db.execute("UPDATE runs SET owner=? WHERE id=? AND owner=?", (new, run, old))
            if done.rowcount != 1:
                return False
            self._db.execute("DELETE FROM inbox WHERE run=?", (run,))
            return True

    async def post(self, message: Message) -> None:
        """See `port.Storage.post`."""
        await self._call(self._post_alone, message)

    def _post_alone(self, message: Message) -> None:
        with _transaction(self._db):
            self._post(message)

    def _post(self, message: Message) -> None:
        payload = msgspec.json.encode(message.payload)
        self._db.execute("INSERT INTO inbox(run, kind, payload) VALUES (?,?,?)", (message.run, message.kind, payload))

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """See `port.Storage.inbox`."""
        return await self._call(self._take_inbox, runs)

    def _take_inbox(self, runs: Sequence[RunId]) -> list[Message]:
        rows = self._db.execute("SELECT id, run, kind, payload FROM inbox ORDER BY id").fetchall()
        mine = [row for row in rows if row[1] in runs]
        if mine:
            with _transaction(self._db):
                self._db.executemany("DELETE FROM inbox WHERE id=?", [(row[0],) for row in mine])
        return [Message(run=RunId(run), kind=kind, payload=msgspec.json.decode(data)) for _, run, kind, data in mine]

    async def claims(self) -> list[Claim]:
        """See `port.Storage.claims`."""
        return await self._call(self._claims)

    def _claims(self) -> list[Claim]:
        return [codec.decode_claim(data) for (data,) in self._db.execute("SELECT data FROM claims")]

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """See `port.Storage.session_values`."""
        return await self._call(self._session_values, now)

    def _session_values(self, now: datetime) -> list[SessionValue]:
        rows = self._db.execute("SELECT key, digest, size, run, produced_at, expires_at FROM session ORDER BY key")
        found = [
            SessionValue(
                key=key,
                digest=digest,
                size=size,
                run=RunId(run),
                produced_at=datetime.fromisoformat(produced),
                expires_at=_time(expires),
            )
            for key, digest, size, run, produced, expires in rows
        ]
        return [row for row in found if row.expires_at is None or row.expires_at > now]

    async def estimates(self, command: str) -> dict[str, float]:
        """See `port.Storage.estimates`."""
        return await self._call(self._estimates, command)

    def _estimates(self, command: str) -> dict[str, float]:
        samples: dict[str, list[float]] = {}
        rows = self._db.execute("SELECT node, seconds FROM samples WHERE command=? ORDER BY id DESC", (command,))
        for node, seconds in rows:
            samples.setdefault(node, []).append(seconds)
        return {node: median(found) for node, found in samples.items() if len(found) >= LEARNED_FROM}

    async def remove(self, runs: Iterable[RunId]) -> None:
        """See `port.Storage.remove`."""
        await self._call(self._remove, list(runs))

    def _remove(self, runs: list[RunId]) -> None:
        with _transaction(self._db):
            for table in ("events", "inbox", "session"):
                self._db.executemany(f"DELETE FROM {table} WHERE run=?", [(run,) for run in runs])  # noqa: S608 - constants only
            self._db.executemany("DELETE FROM runs WHERE id=?", [(run,) for run in runs])
            used: set[str] = {row[0] for row in self._db.execute("SELECT digest FROM session")}
            # Not LIKE: many builds of SQLite let it match no blob, and then every value would seem unused.
            holding = 'SELECT data FROM events WHERE instr(data, CAST(\'"digest":"\' AS BLOB))'
            for (data,) in self._db.execute(holding):
                used.update(compression.digests(data))
            stored = [row[0] for row in self._db.execute("SELECT digest FROM vals")]
            unused = [(digest,) for digest in stored if digest not in used]
            self._db.executemany("DELETE FROM vals WHERE digest=?", unused)

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
        await self._call(self._db.close)
        self._reader.close()
        self._thread.shutdown(wait=False)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text(IGNORE_ALL, encoding="utf-8")


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
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


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, EnvironmentFault) and error.code == "DATABASE_LOCKED"


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into one clear error."""
    try:
        yield
    except sqlite3.Error as error:
        raise _fault(path, str(error)) from error
    except OSError as error:
        raise _fault(path, error.strerror or str(error)) from error


def _fault(path: Path, text: str) -> EnvironmentFault:
    known = {
        "full": ("DISK_FULL", "Free some space; `orchestrate prune` removes old runs."),
        "no space left": ("DISK_FULL", "Free some space; `orchestrate prune` removes old runs."),
        "readonly": ("READ_ONLY", "Make the project's .claude/orchestration folder writable."),
        "read-only": ("READ_ONLY", "Make the project's .claude/orchestration folder writable."),
        "permission denied": ("READ_ONLY", "Make the project's .claude/orchestration folder writable."),
        "unable to open": ("READ_ONLY", "Make the project's .claude/orchestration folder writable."),
        "file exists": ("READ_ONLY", "Something else is in the place of the state folder; move it away."),
        "is a directory": ("READ_ONLY", "A folder is in the place of the database; move it away."),
        "not a directory": ("READ_ONLY", "Something else is in the place of the state folder; move it away."),
        "locked": ("DATABASE_LOCKED", "Another program holds the database; end it or try again."),
        "malformed": ("CORRUPT_DATABASE", "Move the file away; runs in it are lost to this program."),
        "not a database": ("CORRUPT_DATABASE", "Move the file away; runs in it are lost to this program."),
    }
    for sign, (code, hint) in known.items():
        if sign in text.lower():
            return EnvironmentFault(f"cannot write {path}: {text}", code=code, hint=hint)
    return EnvironmentFault(f"cannot use {path}: {text}", code="STORAGE_FAILED")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _summary_row(row: RunSummary) -> tuple[Any, ...]:
    ended = row.ended_at.isoformat() if row.ended_at else None
    created = row.created_at.isoformat()
    head = (row.id, row.command, row.status.value, row.executor, row.owner, created, ended)
    return (*head, row.done, row.total, row.failed, row.cost_usd, row.message)


def _summary(row: Sequence[Any]) -> RunSummary:
    return RunSummary(
        id=RunId(row[0]),
        command=row[1],
        status=RunStatus(row[2]),
        executor=row[3],
        owner=OwnerId(row[4]),
        created_at=datetime.fromisoformat(row[5]),
        ended_at=_time(row[6]),
        done=row[7],
        total=row[8],
        failed=row[9],
        cost_usd=row[10],
        message=row[11],
    )


def _session_row(row: SessionValue) -> tuple[Any, ...]:
    expires = row.expires_at.isoformat() if row.expires_at else None
    return (row.key, row.digest, row.size, row.run, row.produced_at.isoformat(), expires)
