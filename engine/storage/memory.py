"""Storage in memory: for simulations, dry runs and tests.

Effects: none outside the process. It keeps the promises of `port.Storage` but durability.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from engine.breakers import BreakerState
from engine.locks import Claim, Granted, LockOutcome, LockTable
from engine.run.events import RunStatus
from engine.run.state import END_STATES
from engine.storage import codec, compression
from engine.storage.port import Batch, Follow, Message, RunSummary, SessionValue, TableOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.ids import OwnerId, RunId
    from engine.run.events import Event

LEARNED_FROM = 3
"""Samples that replace an estimate (SPEC 10)."""
SAMPLES_KEPT = 50
"""Newest samples of a node: an estimate follows what its work has become, and costs the same however often it ran."""


class MemoryStorage:
    """A project that is gone with the process."""

    def __init__(self) -> None:
        self._events: dict[RunId, list[Event]] = {}
        self._values: dict[str, bytes] = {}
        self._summaries: dict[RunId, RunSummary] = {}
        self._locks = LockTable()
        self._session: dict[str, SessionValue] = {}
        self._samples: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=SAMPLES_KEPT))
        self._inbox: list[Message] = []
        self._breakers: dict[str, BreakerState] = {}

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """See `port.Storage.commit`."""
        outcomes = self._write(batch, owner)
        while outcomes and follow is not None:
            outcomes = self._write(follow(outcomes), owner)
        return outcomes

    def _write(self, batch: Batch, owner: OwnerId) -> list[TableOutcome]:
        locks = LockTable(self._locks) if batch.lock_ops else self._locks
        outcomes = [outcome for op in batch.lock_ops for outcome in op(locks)]
        self._locks = locks
        for run, _place, event in batch.events:
            journal = self._events.get(run)
            if journal is None:
                journal = self._events[run] = []
            journal.append(event)
        self._values.update(batch.values)
        self._summaries.update(batch.summaries)
        self._session.update((value.key, value) for value in batch.session)
        for sample in batch.samples:
            self._samples[sample.command, sample.node].append(sample.seconds)
        mine: list[TableOutcome] = []
        for outcome in outcomes:
            summary = self._summaries.get(outcome.holder.run)
            if summary is None or summary.owner == owner:
                mine.append(outcome)
            else:
                self._inbox.append(lock_message(outcome))
        for name, change in batch.breaker_ops:
            self._breakers[name], answer = change(self._breakers.get(name, BreakerState()))
            if answer is not None:
                mine.append(answer)
        return mine

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """See `port.Storage.events`."""
        return self._events.get(run, [])[since:]

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """See `port.Storage.summaries`."""
        return sorted(self._summaries.values(), key=lambda row: row.created_at, reverse=True)[:limit]

    async def summary(self, run: RunId) -> RunSummary | None:
        """See `port.Storage.summary`."""
        return self._summaries.get(run)

    def value(self, digest: str) -> bytes | None:
        """See `port.Storage.value`."""
        return self._values.get(digest)

    def last_status(self, command: str) -> RunStatus | None:
        """See `port.Storage.last_status`."""
        rows = [row for row in self._summaries.values() if row.command == command and row.status in END_STATES]
        real = [row for row in rows if row.executor != "simulate"]
        return max(real, key=lambda row: row.created_at).status if real else None

    def stored_values(self) -> dict[str, bytes]:
        """All values, by digest."""
        return self._values

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """See `port.Storage.take_over`."""
        row = self._summaries.get(run)
        if row is None or row.owner != old or ended not in {None, row.status}:
            return False
        self._summaries[run] = replace(row, owner=new, status=row.status if ended is None else RunStatus.PENDING)
        self._inbox = [message for message in self._inbox if message.run != run]
        return True

    async def post(self, message: Message) -> None:
        """See `port.Storage.post`."""
        self._inbox.append(message)

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """See `port.Storage.inbox`."""
        taken = [message for message in self._inbox if message.run in runs]
        self._inbox = [message for message in self._inbox if message.run not in runs]
        return taken

    async def claims(self) -> list[Claim]:
        """See `port.Storage.claims`."""
        return list(self._locks)

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """See `port.Storage.session_values`."""
        return [row for row in self._session.values() if row.expires_at is None or row.expires_at > now]

    async def estimates(self, command: str) -> dict[str, float]:
        """See `port.Storage.estimates`."""
        return {
            node: median(seconds)
            for (name, node), seconds in self._samples.items()
            if name == command and len(seconds) >= LEARNED_FROM
        }

    async def remove(self, runs: Iterable[RunId]) -> None:
        """See `port.Storage.remove`."""
        gone = set(runs)
        for run in gone:
            self._events.pop(run, None)
            self._summaries.pop(run, None)
        self._inbox = [message for message in self._inbox if message.run not in gone]
        self._session = {key: value for key, value in self._session.items() if value.run not in gone}
        used = {value.digest for value in self._session.values()}
        for event in (event for journal in self._events.values() for event in journal):
            used.update(compression.digests(codec.encode_event(event)[1]))
        self._values = {digest: data for digest, data in self._values.items() if digest in used}

    async def changed(self) -> bool:
        """See `port.Storage.changed`."""
        return bool(self._inbox)

    async def close(self) -> None:
        """See `port.Storage.close`."""


def lock_message(outcome: LockOutcome) -> Message:
    """What the owner of another run is told about its locks."""
    holder = outcome.holder
    if isinstance(outcome, Granted):
        return Message(run=holder.run, kind="granted", payload={"node": holder.node})
    failure = outcome.failure
    return Message(
        run=holder.run,
        kind="refused",
        payload={"node": holder.node, "code": failure.code, "message": failure.message, "hint": failure.hint},
    )
