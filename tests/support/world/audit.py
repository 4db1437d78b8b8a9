"""Watches every commit and every agent of a world, and asks the laws about each.

Effects: none but what it remembers. It knows what was made durable, told and really done; the engine knows nothing of
it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.ids import parse_attempt_id
from engine.run import events as ev
from tests.support.by_hand import comparable
from tests.support.world import record as records
from tests.support.world.journal_laws import JOURNAL_LAWS
from tests.support.world.ruin_laws import RUIN_LAWS
from tests.support.world.table_laws import TABLE_LAWS
from tests.support.world.work_laws import BEGIN_LAWS, EVENT_LAWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.executors.port import WorkOrder
    from engine.ids import OwnerId, RunId
    from engine.run.state import Run
    from engine.storage.port import Batch, Storage
    from tests.support.world.record import Record
    from tests.support.world.server import Server
    from tests.support.world.world import World


class Audit:
    """What is known of all runs of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: dict[RunId, Record] = {}
        self.commits = 0

    def live(self) -> list[Record]:
        """Runs that have not ended, as the journal has it."""
        return [record for record in self.records.values() if not record.removed and not record.run.ended]

    def present(self) -> list[Record]:
        """All runs that were not forgotten."""
        return [record for record in self.records.values() if not record.removed]

    def taken(self, run: RunId, owner: OwnerId) -> None:
        """*owner* has taken a run over."""
        self.records[run].owner = owner

    def removed(self, runs: Iterable[RunId]) -> None:
        """Runs were forgotten."""
        for run in runs:
            record = self.records[run]
            record.removed = True
            if not record.run.ended:
                self._world.breaks(f"a live run is forgotten: {run}")

    async def committed(self, server: Server, batches: Sequence[Batch], storage: Storage) -> None:
        """*batches* have just become durable, together."""
        self.commits += 1
        for batch in batches:
            for run, place, event in batch.events:
                self._event(server, run, place, event)
            for run, row in batch.summaries.items():
                self.records[run].owner = row.owner
                if row.owner != server.owner.id:
                    self._world.breaks(f"{server.name} writes that {row.owner} owns {run}")
            self._one_owner(server, batch)
            self._complete(batch, storage)
        if any(batch.lock_ops or batch.events for batch in batches):
            claims = await storage.claims()
            for law in TABLE_LAWS:
                self._hold(law, law(self._world, claims), "")

    def _event(self, server: Server, run: RunId, place: int, event: ev.Event) -> None:
        self._world.tell(f"{server.name} {run} {place} {short(event)}")
        record = self.records.get(run)
        if record is None:
            if not isinstance(event, ev.RunCreated) or place:
                self._world.breaks(f"{run} begins with {event} at {place}")
                raise AssertionError(run)
            self.records[run] = records.begin(event, server.owner.id)
            return
        if place != len(record.log):
            self._world.breaks(f"{run} has {len(record.log)} events and is given {event} at {place}")
        record.lived = server.clock.lived[event.at]
        for law in (*JOURNAL_LAWS, *RUIN_LAWS):
            self._hold(law, law(record, event, server.owner.id), run)
        for work_law in EVENT_LAWS:
            self._hold(work_law, work_law(self._world, record, event), run)
        record.take(event)

    def _hold(self, law: object, broken: Iterable[str], where: str) -> None:
        for what in broken:
            self._world.breaks(f"{law.__doc__} {where}: {what}")

    def _complete(self, batch: Batch, storage: Storage) -> None:
        """What an event refers to is stored with it."""
        for run, _place, event in batch.events:
            lost = [key for key, ref in _refs(event).items() if storage.value(ref.digest) is None]
            if lost:
                self._world.breaks(f"{run} refers to {lost} in {event}, which are not stored with it")

    def _one_owner(self, server: Server, batch: Batch) -> None:
        """No two servers that live go on with one run."""
        for other in self._world.servers:
            runs = other.engine.live_runs.runs
            both = [run for run in batch.summaries if other.alive and run in runs and not runs[run].ended]
            if other is not server and both:
                self._world.breaks(f"{server.name} and {other.name} both go on with {both}")

    def told(self, server: Server, run: Run, events: Sequence[ev.Event]) -> None:
        """Listeners of *server* are told that *run* has moved."""
        if not server.alive:
            return
        record = self.records.get(run.id)
        if record is None or len(record.log) < len(events):
            self._world.breaks(f"{server.name} tells of {run.id} what is not in its journal")
        elif run.events == record.run.events and self.commits % 4 == 0:
            self.compare(run, record)

    def compare(self, live: Run, record: Record) -> None:
        """The state that the owner works with is what the journal folds to."""
        mine, folded = comparable(live), comparable(record.run)
        if mine != folded:
            differ = [f"{key}: {mine[key]!r} / {folded[key]!r}" for key in mine if mine[key] != folded[key]]
            self._world.breaks(f"the journal of {live.id} does not fold to the live state: {differ}")

    def begins(self, server: Server, order: WorkOrder) -> None:
        """A program for *order* is about to start."""
        parsed = parse_attempt_id(order.attempt)
        assert parsed is not None
        self._world.tell(f"{server.name} starts {order.attempt} ({order.role})")
        record = self.records[parsed[0]]
        for law in BEGIN_LAWS:
            self._hold(law, law(self._world, record, order, parsed[2]), order.attempt)

    def digest(self) -> str:
        """Names all journals: equal if and only if they are equal to the byte."""
        seen = hashlib.sha256()
        for run, record in self.records.items():
            seen.update(run.encode())
            for kind, data in record.log:
                seen.update(kind.encode() + data)
        return seen.hexdigest()


def _refs(event: ev.Event) -> dict[str, ev.ValueRef]:
    """The values that an event refers to."""
    if isinstance(event, ev.RunCreated):
        return event.initial
    if isinstance(event, ev.AttemptScheduled):
        return event.inputs
    return event.outputs if isinstance(event, ev.AttemptSucceeded) else {}


def short(event: ev.Event) -> str:
    """An event in a line of a trace."""
    name = type(event).__name__
    if isinstance(event, ev.RunCreated):
        return f"{name} {event.plan.command} by {event.executor} {event.limits}"
    shown = []
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if field == "failure":
            value = f"{value.kind}/{value.code}"
        if field in {"outputs", "inputs"}:
            value = sorted(value)
        if field == "at" or value in ("", None, [], False):
            continue
        shown.append(f"{field}={value}")
    return f"{name} {' '.join(shown)}"
