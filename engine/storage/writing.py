"""Writes of a transaction: journals, values, the tables of locks and breakers, and removals.

Effects: statements on a given connection, inside the caller's transaction.

Theory of operation
===================

**The problem.** Several processes write to one database: a run may have been taken over, or a program outside may have
changed rows. An event written to a journal that is not as its owner believes would make the run unreadable later, when
no one can repair it.

**The idea.** A run's row holds the number of its events and a hash over them (`journal.Chain`), changed only together
with the events. Each write names the hash it continues from (`WHERE … chain=?`), so a writer with a stale view changes
no row and gets an error, and its transaction is rolled back. The same hash shows damage when a journal is read.

**Chains are a cache.** `Chains` remembers the hash of each journal written here, since hashing all events for each
commit would make a run of n events cost n². It is right only while this process alone writes: it is dropped when a run
ends or is taken over, and cleared after any rollback, as the hash has advanced and the journal has not.

**Values and tables.** Values are written before the events that refer to them are durable, in the same transaction.
Operations on locks run on the table as stored now, never on a copy from before the transaction; outcomes for runs of
other owners go into their inboxes, in this transaction too, so that none is lost if this process dies.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from engine.errors import EnvironmentFault
from engine.run.state import END_STATES
from engine.storage import codec, compression
from engine.storage.journal import Chain, Head, check_end, misplaced, rowless
from engine.storage.memory import SAMPLES_KEPT, lock_message
from engine.storage.rows import COLUMNS, rows_of, session_row, summary_row
from engine.tables.breakers import BreakerState
from engine.tables.locks import Claim, LockTable, Queued

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ids import OwnerId, RunId
    from engine.storage.port import Batch, BreakerAnswer, BreakerOp, LockOp, Message, RunSummary
    from engine.tables.locks import LockOutcome

log = logging.getLogger(__name__)

_INSERT_RUN = f"INSERT INTO runs({COLUMNS}, events, chain) VALUES ({','.join('?' * 16)})"  # noqa: S608 - constants only
_CHANGED = ", ".join(f"{name}=?" for name in COLUMNS.split(", ")[2:])
_UPDATE_RUN = f"UPDATE runs SET {_CHANGED}, events=?, chain=? WHERE id=? AND chain=?"  # noqa: S608 - constants only
_INSERT_VALUE = (
    "INSERT INTO vals VALUES (?,?,?) ON CONFLICT DO UPDATE SET encoding=excluded.encoding, data=excluded.data "
    "WHERE data<>excluded.data OR encoding<>excluded.encoding"
)
"""Equal values are stored once; a damaged one is overwritten."""
_UPDATE_HEAD = "UPDATE runs SET events=?, chain=? WHERE id=? AND chain=?"


class Chains:
    """The hashes of the journals written here, kept so that commits need not read them."""

    def __init__(self) -> None:
        """Start with none."""
        self._kept: dict[RunId, Chain] = {}

    def of(self, db: sqlite3.Connection, run: RunId) -> Chain:
        """The chain of *run* up to its last written event."""
        chain = self._kept.get(run)
        if chain is None:
            chain = Chain(run)
            chain.add(rows_of(db, run))
            check_end(run, chain, head(db, run))
            self._kept[run] = chain
        return chain

    def drop(self, run: RunId) -> None:
        """Forget *run*: it has ended, or another process may have written to it."""
        self._kept.pop(run, None)

    def clear(self) -> None:
        """Forget all: a write was rolled back."""
        self._kept.clear()


def head(db: sqlite3.Connection, run: RunId) -> Head:
    """The end of the journal of *run*, as its row says."""
    row = db.execute("SELECT events, chain FROM runs WHERE id=?", (run,)).fetchone()
    return Chain(run).head() if row is None else Head(*row)


def insert(db: sqlite3.Connection, batch: Batch, chains: Chains) -> None:
    """Write the parts of *batch* that have no answer."""
    moves = _insert_events(db, batch, chains)
    if batch.values:
        values = [(digest, *compression.pack(data)) for digest, data in batch.values.items()]
        db.executemany(_INSERT_VALUE, values)
    for run, row in batch.summaries.items():
        _write_run(db, row, *moves.pop(run, None) or [head(db, run)] * 2)
        if row.status in END_STATES:
            chains.drop(run)
    for run, (before, after) in moves.items():
        if db.execute(_UPDATE_HEAD, (*after, run, before.chain)).rowcount != 1:
            raise rowless(run)
    if batch.session:
        db.executemany(
            "INSERT OR REPLACE INTO session VALUES (?,?,?,?,?,?)", [session_row(row) for row in batch.session]
        )
    if batch.samples:
        db.executemany(
            "INSERT INTO samples(command, node, seconds) VALUES (?,?,?)",
            [(row.command, row.node, row.seconds) for row in batch.samples],
        )
        db.executemany(
            "DELETE FROM samples WHERE command=? AND node=? AND id <= "
            "(SELECT id FROM samples WHERE command=? AND node=? ORDER BY id DESC LIMIT 1 OFFSET ?)",
            [(row.command, row.node, row.command, row.node, SAMPLES_KEPT) for row in batch.samples],
        )


def _write_run(db: sqlite3.Connection, row: RunSummary, before: Head, after: Head) -> None:
    """Write the row of a run whose journal goes from *before* to *after*."""
    values = summary_row(row)
    if db.execute(_UPDATE_RUN, (*values, *after, row.id, before.chain)).rowcount == 1:
        return
    if before.events:  # another process has written since it was read
        raise misplaced(row.id, before.events)
    db.execute(_INSERT_RUN, (row.id, row.created_at.isoformat(), *values, *after))


def _insert_events(db: sqlite3.Connection, batch: Batch, chains: Chains) -> dict[RunId, tuple[Head, Head]]:
    """Write the events; returns the end of each run's journal before and after."""
    rows = [(run, place, *codec.encode_event(event)) for run, place, event in batch.events]
    moves: dict[RunId, tuple[Head, Head]] = {}
    runs = dict.fromkeys([row[0] for row in rows])
    for run in runs:
        chain = chains.of(db, run)
        mine = rows if len(runs) == 1 else [row for row in rows if row[0] == run]
        gap = chain.gap(mine)
        if gap is not None:
            raise misplaced(run, gap)
        before = chain.head()
        chain.add(mine)
        moves[run] = before, chain.head()
    db.executemany("INSERT INTO events VALUES (?,?,?,?)", rows)
    return moves


def claims(db: sqlite3.Connection) -> list[Claim]:
    """The rows of the lock table."""
    return [_claim(holder, data) for holder, data in db.execute("SELECT holder, data FROM claims")]


def _claim(holder: str, data: bytes) -> Claim:
    try:
        return codec.decode_claim(data)
    except (msgspec.DecodeError, TypeError) as error:  # without knowing its locks, none may be granted
        raise EnvironmentFault(
            f"the lock of {holder} cannot be read: {error}",
            code="CORRUPT_DATABASE",
            hint="Move the state folder away when no run is under way; its runs are lost.",
        ) from error


def change_locks(db: sqlite3.Connection, operations: Sequence[LockOp], owner: OwnerId) -> list[LockOutcome]:
    """Apply *operations* to the lock table; returns outcomes for runs of *owner*, and posts the others to inboxes."""
    if not operations:
        return []
    table = LockTable(claims(db))
    outcomes = [outcome for op in operations for outcome in op(table)]
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
        elif not isinstance(outcome, Queued):  # only the process that asked needs to know
            post(db, lock_message(outcome))
    return mine


def change_breakers(db: sqlite3.Connection, operations: Sequence[tuple[str, BreakerOp]]) -> list[BreakerAnswer]:
    """Apply *operations* to the circuit breakers, in order; returns their answers."""
    if not operations:
        return []
    states: dict[str, BreakerState] = {}
    answers = []
    for name, change in operations:
        if name not in states:
            row = db.execute("SELECT data FROM breakers WHERE name=?", (name,)).fetchone()
            states[name] = _breaker(name, row[0]) if row else BreakerState()
        states[name], answer = change(states[name])
        if answer is not None:
            answers.append(answer)
    rows = [(name, codec.encode_breaker(state)) for name, state in states.items()]
    db.executemany("INSERT OR REPLACE INTO breakers VALUES (?,?)", rows)
    return answers


def _breaker(name: str, data: bytes) -> BreakerState:
    try:
        return codec.decode_breaker(data)
    except (msgspec.DecodeError, TypeError) as error:
        log.warning("circuit breaker %s cannot be read and is treated as closed: %s", name, error)
        return BreakerState()


def post(db: sqlite3.Connection, message: Message) -> None:
    """Leave *message* for the owner of its run."""
    payload = msgspec.json.encode(message.payload)
    db.execute("INSERT INTO inbox(run, kind, payload) VALUES (?,?,?)", (message.run, message.kind, payload))


def remove(db: sqlite3.Connection, rows: Sequence[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
    """See `port.Storage.remove`."""
    still = "SELECT 1 FROM runs WHERE id=? AND owner=? AND status=?"
    gone = [row.id for row in rows if db.execute(still, (row.id, row.owner, row.status.value)).fetchone()]
    mine = change_locks(db, [partial(LockTable.release_run, run=run) for run in gone], owner)
    for table in ("events", "inbox", "session"):
        db.executemany(f"DELETE FROM {table} WHERE run=?", [(run,) for run in gone])  # noqa: S608 - constants only
    db.executemany("DELETE FROM runs WHERE id=?", [(run,) for run in gone])
    used: set[str] = {row[0] for row in db.execute("SELECT digest FROM session")}
    # Not LIKE: many builds of SQLite let it match no blob, and then every value would seem unused.
    for (data,) in db.execute('SELECT CAST(data AS BLOB) FROM events WHERE instr(data, CAST(\'"digest":"\' AS BLOB))'):
        used.update(compression.digests(data))
    stored = [row[0] for row in db.execute("SELECT digest FROM vals")]
    db.executemany("DELETE FROM vals WHERE digest=?", [(digest,) for digest in stored if digest not in used])
    return gone, mine


def shrink(db: sqlite3.Connection) -> None:
    """Return free space to the disk, outside of any transaction.

    Postponed if others use the file, or the disk has no room.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
