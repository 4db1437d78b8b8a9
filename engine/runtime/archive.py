"""Runs as the journal has them: of this process, of others, and of processes that died.

Effects: reads the journal; records a run as interrupted whose owner has died, and ends what of it still runs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import NotFound
from engine.executors.abandoned import keep_abandoned
from engine.executors.scratch import remove_abandoned
from engine.executors.tree import end_orphans
from engine.ids import attempt_id
from engine.run import signals as sig
from engine.run.reducer import apply, fold
from engine.run.state import END_STATES
from engine.runtime.residue import summary_of
from engine.storage.port import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ids import AttemptId, OwnerId, RunId
    from engine.run.state import Run
    from engine.runtime.owner import Owner
    from engine.runtime.store import Store
    from engine.storage.port import RunSummary, Storage


class Archive:
    """Finds runs."""

    def __init__(
        self, storage: Storage, store: Store, *, project: Path, owner: Owner | None, owner_id: OwnerId
    ) -> None:
        """Without an *owner*, as in a simulation, nobody is looked after."""
        self._storage = storage
        self._store = store
        self._project = project
        self._owner = owner
        self._owner_id = owner_id
        self._folded: dict[RunId, Run] = {}
        self._burying = asyncio.Lock()
        """One run at a time is taken from its dead owner, and nobody reads it in between."""

    def forget(self) -> None:
        """Read everything anew from now on: runs were taken up or removed."""
        self._folded.clear()

    async def find(self, run_id: RunId | None) -> Run:
        """The run, live or folded from its journal; the newest where none is named. Raises `NotFound`."""
        if run_id is None:
            newest = await self._storage.summaries(1)
            if not newest:
                raise NotFound("no run has been started in this project", code="RUN_NOT_FOUND")
            run_id = newest[0].id
        live = self._store.runs.get(run_id)
        if live is not None:
            return live
        summary = await self._storage.summary(run_id)
        if summary is None:
            raise NotFound(
                f'there is no run "{run_id}" in this project',
                code="RUN_NOT_FOUND",
                hint="`orchestrate runs` lists the runs.",
            )
        await self.look_after(summary)
        folded = self._folded.get(run_id)
        if folded is not None and folded.ended and folded.ended_at == summary.ended_at:
            return folded  # what has ended stays as it is, until somebody resumes it
        return await self._fold(run_id)

    async def _fold(self, run_id: RunId) -> Run:
        run = self._folded.get(run_id)
        events = await self._storage.events(run_id, run.events if run is not None else 0)
        if run is None:
            run = fold(events)
        else:
            for event in events:
                apply(run, event)
        self._folded = {run_id: run}
        return run

    async def look_after(self, summary: RunSummary) -> None:
        """Record a run as interrupted whose owner has died, and end what of it still runs."""
        if summary.status in END_STATES or self._owner is None:
            return
        async with self._burying:
            if not self._owner.is_alive(summary.owner):
                await self._bury(summary)

    async def _bury(self, summary: RunSummary) -> None:
        if not await self._storage.take_over(summary.id, summary.owner, self._owner_id):
            return
        run = fold(await self._storage.events(summary.id))
        if run.ended:  # it did so after the summary was read, or was being taken up by the dead
            await self._storage.commit(Batch(summaries={run.id: summary_of(run, self._owner_id)}), self._owner_id)
            return
        lost = live_attempts(run)
        self._store.adopt(run, sig.Interrupt())
        await self._store.committed()
        await end_orphans(self._project, lost=lost)

    async def look_after_holders(self) -> None:
        """Of runs that hold locks, record those as interrupted whose owner has died."""
        owners = {claim.holder.run: claim.owner for claim in await self._storage.claims() if not claim.reserved}
        for run_id, owner in owners.items():
            if self._owner is not None and not self._owner.is_alive(owner):
                summary = await self._storage.summary(run_id)
                if summary is not None:
                    await self.look_after(summary)

    async def clean_up(self) -> None:
        """Look after what dead processes left: runs, processes, scratch folders, worktrees."""
        await self.look_after_all()
        await end_orphans(self._project)
        await asyncio.to_thread(remove_abandoned, self._project)
        await keep_abandoned(self._project)

    async def look_after_all(self) -> list[RunSummary]:
        """All runs, newest first; those whose owner has died are recorded as interrupted first."""
        for summary in await self._storage.summaries():
            await self.look_after(summary)
        return await self._storage.summaries()


def live_attempts(run: Run) -> list[AttemptId]:
    """The attempts that run now, or ran when the owner died."""
    return [attempt_id(run.id, name, live.number) for name in run.live if (live := run.nodes[name].live) is not None]
