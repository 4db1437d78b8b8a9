"""Runs as the journal shows them: of this process, of others, and of processes that died.

Effects: reads the journal; records runs of dead owners as interrupted, and ends their orphans.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import msgspec

from engine.errors import EnvironmentFault, InternalError, NotFound
from engine.ids import NodeId, attempt_id
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.run.reducer import apply, fold
from engine.run.state import END_STATES
from engine.runtime.owner import Reader
from engine.runtime.projections import summary_of
from engine.runtime.resource_requests import works_elsewhere
from engine.scheduling import decide
from engine.storage.port import Batch, RunUnreadable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
    from datetime import datetime

    from engine.ids import AttemptId, OwnerId, RunId
    from engine.run.events import Event
    from engine.run.state import Run
    from engine.runtime.live_runs import LiveRuns
    from engine.runtime.owner import Owner
    from engine.runtime.placement import Placement
    from engine.storage.port import RunSummary, Storage


log = logging.getLogger(__name__)


MAX_FOLDED = 4
"""Runs of other processes that are kept folded, the last ones read: as many as are usually watched at once."""


class Archive:
    """Finds runs."""

    def __init__(
        self,
        storage: Storage,
        live_runs: LiveRuns,
        *,
        owner: Owner | None,
        owner_id: OwnerId,
        now: Callable[[], datetime],
        end_orphans: Callable[[RunId, Sequence[AttemptId], str], Awaitable[None]],
        reports: Callable[[Run, Sequence[AttemptId]], Awaitable[tuple[sig.ReportOutcome, ...]]],
        placement: Placement,
    ) -> None:
        """Without an *owner*, as in a simulation, no run is looked after.

        *end_orphans* ends the orphans of a run without an owner, namely of its lost attempts, in its worktree.
        *reports* finds the outcomes of attempts that are live in the journal of such a run, *placement* those that
        other machines continue.
        A reader records and ends nothing: it shows the run of a dead owner as it would be recorded.
        """
        self._storage = storage
        self._live_runs = live_runs
        self._owner = owner
        self._owner_id = owner_id
        self._now = now
        self._end_orphans = end_orphans
        self._is_reader = isinstance(owner, Reader)
        self._reports = reports
        self._placement = placement
        self.notices: list[str] = []
        """Notes that apply to every run, shown also if none is found."""
        self._cached: dict[RunId, Run] = {}
        self._taking_over = asyncio.Lock()
        """Held while a run is taken from its dead owner, so that no task reads it in between."""

    def forget(self) -> None:
        """Read everything again from now on: runs were resumed or removed."""
        self._cached.clear()

    async def find(self, run_id: RunId | None) -> Run:
        """The run, live or folded from its journal (default: the newest). Raises `NotFound`."""
        if run_id is None:
            newest = await self._storage.summaries(1)
            if not newest:
                notices = ". ".join(self.notices)
                raise NotFound(
                    "no run has been started in this project",
                    code="RUN_NOT_FOUND",
                    hint=notices or "Run a command first; `orchestrate commands` lists them.",
                    client_hint=notices or "Run a command first; the resource orchestration://commands lists them.",
                )
            run_id = newest[0].id
        live = self._live_runs.runs.get(run_id)
        if live is not None:
            return live
        summary = await self._storage.summary(run_id)
        if summary is None:
            raise _not_found(run_id)
        if self._is_reader and self._is_orphaned(summary):
            return await self._as_interrupted(run_id)
        await self.look_after(summary)
        folded = self._cached.get(run_id)
        if folded is not None and folded.ended and folded.ended_at == summary.ended_at:
            return folded  # an ended run does not change until it is resumed
        return await self._fold(run_id)

    async def _fold(self, run_id: RunId) -> Run:
        run = self._cached.get(run_id)
        since = run.events if run is not None else 0
        events = await self._storage.events(run_id, since)
        if run is None:
            run = _run_of(run_id, events)
        else:
            for event in events[run.events - since :]:  # another task may have folded some of them meanwhile
                apply(run, event)
        self._cached.pop(run_id, None)
        self._cached[run_id] = run
        for old in list(self._cached)[:-MAX_FOLDED]:
            del self._cached[old]
        return run

    async def look_after(self, summary: RunSummary) -> None:
        """Record a run as interrupted if its owner has died or had to drop it, and end its orphans."""
        if self._is_reader or not self._is_orphaned(summary):
            return
        async with self._taking_over:
            row = await self._storage.summary(summary.id)  # another process may have been faster
            if row is not None and self._is_orphaned(row):
                await self._take_from_dead(row)

    async def _as_interrupted(self, run_id: RunId) -> Run:
        """The run of a dead owner, as it will be once that is recorded."""
        run = _run_of(run_id, await self._storage.events(run_id))
        if not run.ended:
            decide.decide(run, self._interruption(run), self._now())
        return run

    def _is_orphaned(self, summary: RunSummary) -> bool:
        return summary.status not in END_STATES and not self._is_owned(summary)

    def _is_owned(self, summary: RunSummary) -> bool:
        """Whether a run has an owner; this process drops its own when storage fails."""
        if self._owner is None or summary.owner == self._owner_id:
            return self._owner is None or summary.id in self._live_runs.runs
        return self._owner.is_alive(summary.owner)

    async def _take_from_dead(self, summary: RunSummary) -> None:
        if summary.owner == self._owner_id:
            await self._live_runs.committed()  # decisions about it from before it was dropped
        if not await self._storage.take_over(summary.id, summary.owner, self._owner_id):
            return
        try:
            run = _fold(summary.id, await self._storage.events(summary.id))
        except RunUnreadable as fault:
            await self._write_off(summary, fault)
            return
        if run.ended:  # the dead process was resuming it
            await self._storage.commit(Batch(summaries={run.id: summary_of(run, self._owner_id)}), self._owner_id)
            return
        # Before its locks are free: orphans rely on them.
        await self._end_orphans(run.id, live_attempts(run), run.worktree)
        self._live_runs.adopt(run, self._interruption(run))
        await self._live_runs.committed()

    def _interruption(self, run: Run) -> sig.Interrupt:
        """The signal for a *run* without an owner."""
        return sig.Interrupt(dead=True, seen=None if self._owner is None else self._owner.last_seen(run.owner))

    async def _write_off(self, summary: RunSummary, fault: EnvironmentFault) -> None:
        """Record a run as failed whose journal cannot be read, as no process can resume it.

        What it has locked stays locked until a person decides otherwise: the state of its work is unknown.
        """
        log.warning("%s; it is recorded as failed", fault.message)
        await self._end_orphans(summary.id, (), summary.worktree)
        row = msgspec.structs.replace(
            summary, status=RunStatus.FAILED, owner=self._owner_id, ended_at=self._now(), message=fault.message
        )
        batch = Batch(summaries={row.id: row}, lock_ops=[lambda table: table.reserve(row.id)])
        for outcome in await self._storage.commit(batch, self._owner_id):
            self._live_runs.table_outcome(outcome)

    async def take_up(self, run_id: RunId, signal: sig.Resume) -> bool:
        """Become the owner of an ended run; False if another process was faster. Raises `StateError`."""
        async with self._taking_over:
            summary = await self._storage.summary(run_id)
            if summary is None or summary.status not in END_STATES or run_id in self._live_runs.runs:
                return False
            # A separate copy: the one that readers look at changes only with its journal.
            run = _run_of(run_id, await self._storage.events(run_id))
            decide.check_resumable(run, failed=signal.failed)
            standing = await self._placement.standing(run) if works_elsewhere(run) else frozenset[NodeId]()
            lost = live_attempts(run, without=standing)
            await self._end_orphans(run_id, lost, run.worktree)  # no new attempt begins beside an old one
            reports = await self._reports(run, live_attempts(run))
            if not await self._storage.take_over(run_id, summary.owner, self._owner_id, ended=run.status):
                return False
            self.forget()
            self._live_runs.adopt(run, msgspec.structs.replace(signal, reports=reports, standing=standing))
            return True

    async def end_elsewhere(self, run_id: RunId) -> None:
        """End what other machines still run for an interrupted run whose locks are released, or which is removed."""
        with contextlib.suppress(RunUnreadable):  # then nothing is known about it
            run = await self.find(run_id)
            if run.status is RunStatus.INTERRUPTED and works_elsewhere(run):
                await self._placement.end(run)

    async def is_heard(self, run_id: RunId) -> bool:
        """Whether the owner of *run_id* has read all its messages; one that hangs or is stopped has not."""
        return run_id in self._live_runs.runs or not await self._storage.unread(run_id)

    @contextlib.asynccontextmanager
    async def reading(self, run_id: RunId) -> AsyncIterator[None]:
        """Raise `NotFound` if values of *run_id* are missing because it was removed in the meantime."""
        try:
            yield
        except InternalError as error:
            if error.code == "VALUE_LOST":
                await self.row(run_id)
            raise

    async def row(self, run_id: RunId) -> RunSummary:
        """The newest row of a run, which exists even if its journal is unreadable. Raises `NotFound`."""
        summary = await self._storage.summary(run_id)
        if summary is not None:
            await self.look_after(summary)
            summary = await self._storage.summary(run_id)
        if summary is None:
            raise _not_found(run_id)
        return summary

    async def look_after_holders(self) -> None:
        """Record runs that hold locks as interrupted if their owner has died."""
        owners = {claim.holder.run: claim.owner for claim in await self._storage.claims() if not claim.reserved}
        for run_id, owner in owners.items():
            if self._owner is not None and not self._owner.is_alive(owner):
                summary = await self._storage.summary(run_id)
                if summary is not None:
                    await self.look_after(summary)

    async def look_after_all(self, count: int | None = None) -> list[RunSummary]:
        """All runs, or the *count* newest, newest first; those of dead owners are recorded as interrupted first."""
        for summary in await self._storage.summaries(count):
            await self.look_after(summary)
        return [self._row(summary) for summary in await self._storage.summaries(count)]

    def _row(self, summary: RunSummary) -> RunSummary:
        if self._owner is None or not self._is_reader or not self._is_orphaned(summary):
            return summary
        seen = self._owner.last_seen(summary.owner)
        ended = None if seen is None else max(seen, summary.created_at)
        return msgspec.structs.replace(summary, status=RunStatus.INTERRUPTED, ended_at=ended)


def _not_found(run_id: RunId) -> NotFound:
    return NotFound(
        f'run "{run_id}" was not found in this project',
        code="RUN_NOT_FOUND",
        hint="List the runs: `orchestrate runs`.",
        client_hint="List the runs: read the resource orchestration://runs.",
    )


def _run_of(run_id: RunId, events: Sequence[Event]) -> Run:
    if not events:  # it was removed since its row was read
        raise _not_found(run_id)
    return _fold(run_id, events)


def _fold(run_id: RunId, events: Sequence[Event]) -> Run:
    try:
        return fold(events)
    except Exception as error:  # an event is missing or damaged
        raise RunUnreadable(run_id, f"its events are inconsistent ({type(error).__name__})") from error


def live_attempts(run: Run, *, without: Collection[NodeId] = ()) -> list[AttemptId]:
    """The attempts that run now, or ran when the owner died, except those of the nodes *without*."""
    names = [name for name in run.live if name not in without]
    return [attempt_id(run.id, name, live.number) for name in names if (live := run.nodes[name].live) is not None]
