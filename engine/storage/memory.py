"""Storage in memory: for simulations, dry runs and tests.

Effects: none outside the process. It keeps all promises of `port.Storage` except durability.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from msgspec import structs

from engine.run.events import RunStatus
from engine.run.state import END_STATES
from engine.storage import codec, compression, journal
from engine.storage.port import Batch, Follow, LockOp, Message, RunSummary, SessionValue, TableOutcome
from engine.tables.breakers import BreakerState
from engine.tables.locks import Claim, Granted, LockOutcome, LockTable, Queued, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.ids import OwnerId, RunId
    from engine.run.events import Event

SAMPLES_KEPT = 50
"""Newest samples kept of a node: its estimate follows recent runs, at a fixed cost."""


@dataclass(slots=True)
class _Tables:
    """The data that all connections to one project share."""

    events: dict[RunId, list[Event]] = field(default_factory=lambda: defaultdict(list))
    values: dict[str, bytes] = field(default_factory=dict)
    summaries: dict[RunId, RunSummary] = field(default_factory=dict)
    locks: LockTable = field(default_factory=LockTable)
    session: dict[str, SessionValue] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    inbox: list[Message] = field(default_factory=list)
    breakers: dict[str, BreakerState] = field(default_factory=dict)
    writes: int = 0
    """The number of writes by all connections."""


class _Answers:
    """The answers of locks and breakers in a commit, on copies: all or nothing."""

    def __init__(self, tables: _Tables, owner: OwnerId) -> None:
        self.locks = tables.locks
        self.breakers = tables.breakers
        self.inbox: list[Message] = []
        """Messages for runs of other owners."""
        self._tables = tables
        self._owner = owner
        self._owners: dict[RunId, OwnerId] = {}

    def to(self, batch: Batch) -> list[TableOutcome]:
        """The answers to *batch* for runs of the owner."""
        self._owners.update((run, row.owner) for run, row in batch.summaries.items())
        mine: list[TableOutcome] = []
        if batch.lock_ops:
            mine += self.of_locks(batch.lock_ops)
        if batch.breaker_ops:
            self.breakers = dict(self.breakers)
            for name, change in batch.breaker_ops:
                self.breakers[name], answer = change(self.breakers.get(name, BreakerState()))
                if answer is not None:
                    mine.append(answer)
        return mine

    def of_locks(self, operations: Iterable[LockOp]) -> list[LockOutcome]:
        """The outcomes of *operations* for runs of the owner."""
        self.locks = LockTable(self.locks)
        outcomes = [outcome for op in operations for outcome in op(self.locks)]
        others = [outcome for outcome in outcomes if not self._is_mine(outcome.holder.run)]
        self.inbox += [lock_message(outcome) for outcome in others if not isinstance(outcome, Queued)]
        return [outcome for outcome in outcomes if self._is_mine(outcome.holder.run)]

    def _is_mine(self, run: RunId) -> bool:
        if run not in self._owners:
            row = self._tables.summaries.get(run)
            return row is None or row.owner == self._owner
        return self._owners[run] == self._owner


class MemoryStorage:
    """A project that lasts as long as the process; `connect` returns the same project for another engine."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self._own_writes = 0
        self._seen = -1

    def connect(self) -> MemoryStorage:
        """The same project, as another process would open it."""
        other = MemoryStorage()
        other._tables = self._tables
        return other

    def _wrote(self) -> None:
        self._tables.writes += 1
        self._own_writes += 1

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """See `port.Storage.commit`."""
        tables = self._tables
        answers = _Answers(tables, owner)
        taken = [batch]
        outcomes = answers.to(batch)
        while outcomes and follow is not None:
            taken.append(follow(outcomes))
            outcomes = answers.to(taken[-1])
        counts: dict[RunId, int] = {}
        for part in taken:
            for run, place, _event in part.events:
                count = counts[run] if run in counts else len(tables.events.get(run, ()))
                if place != count:
                    raise journal.misplaced(run, count)
                counts[run] = count + 1
        for run in counts:
            if run not in tables.summaries and not any(run in part.summaries for part in taken):
                raise journal.rowless(run)
        tables.locks, tables.breakers = answers.locks, answers.breakers
        for part in taken:
            self._insert(part)
        tables.inbox += answers.inbox
        self._wrote()
        return outcomes

    def _insert(self, batch: Batch) -> None:
        tables = self._tables
        for run, _place, event in batch.events:
            tables.events[run].append(event)
        tables.values.update(batch.values)
        tables.summaries.update(batch.summaries)
        tables.session.update((value.key, value) for value in batch.session)
        for sample in batch.samples:
            kept = tables.samples[sample.command, sample.node]  # an empty deque would take 700 bytes
            kept.append(sample.seconds)
            del kept[:-SAMPLES_KEPT]

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """See `port.Storage.events`."""
        return self._tables.events.get(run, [])[since:]

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """See `port.Storage.summaries`."""
        rows = reversed(self._tables.summaries.values())
        return sorted(rows, key=lambda row: row.created_at, reverse=True)[:limit]

    async def summary(self, run: RunId) -> RunSummary | None:
        """See `port.Storage.summary`."""
        return self._tables.summaries.get(run)

    def value(self, digest: str) -> bytes | None:
        """See `port.Storage.value`."""
        return self._tables.values.get(digest)

    def last_status(self, command: str) -> RunStatus | None:
        """See `port.Storage.last_status`."""
        rows = [row for row in self._tables.summaries.values() if row.command == command and row.status in END_STATES]
        real = [row for row in rows if row.executor != "simulate"]
        return max(real, key=lambda row: row.created_at).status if real else None

    def stored_values(self) -> dict[str, bytes]:
        """All values, by digest."""
        return self._tables.values

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """See `port.Storage.take_over`."""
        tables = self._tables
        row = tables.summaries.get(run)
        if row is None or row.owner != old or ended not in {None, row.status}:
            return False
        tables.summaries[run] = structs.replace(
            row, owner=new, status=row.status if ended is None else RunStatus.PENDING
        )
        tables.inbox = [message for message in tables.inbox if message.run != run]
        self._wrote()
        return True

    async def post(self, message: Message) -> None:
        """See `port.Storage.post`."""
        self._tables.inbox.append(message)
        self._wrote()

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """See `port.Storage.inbox`."""
        tables = self._tables
        taken = [message for message in tables.inbox if message.run in runs]
        if taken:
            tables.inbox = [message for message in tables.inbox if message.run not in runs]
            self._wrote()
        return taken

    async def unread(self, run: RunId) -> bool:
        """See `port.Storage.unread`."""
        return any(message.run == run for message in self._tables.inbox)

    async def claims(self) -> list[Claim]:
        """See `port.Storage.claims`."""
        return list(self._tables.locks)

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """See `port.Storage.session_values`."""
        rows = sorted(self._tables.session.values(), key=lambda row: row.key)
        return [row for row in rows if row.expires_at is None or row.expires_at > now]

    async def estimates(self, command: str) -> dict[str, float]:
        """See `port.Storage.estimates`."""
        return {node: median(seconds) for (name, node), seconds in self._tables.samples.items() if name == command}

    async def remove(self, rows: Iterable[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        """See `port.Storage.remove`."""
        tables = self._tables
        gone = [row.id for row in rows if _is_still(row, tables.summaries.get(row.id))]
        answers = _Answers(tables, owner)
        mine = answers.of_locks([partial(LockTable.release_run, run=run) for run in gone])
        tables.locks = answers.locks
        tables.inbox += answers.inbox
        for run in gone:
            tables.events.pop(run, None)
            tables.summaries.pop(run, None)
        tables.inbox = [message for message in tables.inbox if message.run not in gone]
        tables.session = {key: value for key, value in tables.session.items() if value.run not in gone}
        used = {value.digest for value in tables.session.values()}
        for event in (event for events in tables.events.values() for event in events):
            used.update(compression.digests(codec.encode_event(event)[1]))
        tables.values = {digest: data for digest, data in tables.values.items() if digest in used}
        self._wrote()
        return gone, mine

    async def changed(self) -> bool:
        """See `port.Storage.changed`."""
        others = self._tables.writes - self._own_writes
        changed = others != self._seen
        self._seen = others
        return changed

    async def close(self) -> None:
        """See `port.Storage.close`."""


def _is_still(row: RunSummary, stored: RunSummary | None) -> bool:
    return stored is not None and (stored.owner, stored.status) == (row.owner, row.status)


def lock_message(outcome: Granted | Refused) -> Message:
    """The message to the owner of another run about its locks."""
    holder = outcome.holder
    if isinstance(outcome, Granted):
        return Message(run=holder.run, kind="granted", payload={"node": holder.node})
    failure = outcome.failure
    return Message(
        run=holder.run,
        kind="refused",
        payload={"node": holder.node, "code": failure.code, "message": failure.message, "hint": failure.hint},
    )
