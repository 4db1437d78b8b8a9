"""What becomes of runs that were let go of, since storage or a decision failed: they are recorded as interrupted.

Effects: one task, which reads and writes storage.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.runtime.live_runs import RETRY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ids import RunId
    from engine.run.state import Run
    from engine.runtime.archive import Archive
    from engine.runtime.live_runs import Store
    from engine.runtime.notifier import Feed

log = logging.getLogger(__name__)


class Recovery:
    """Hears of the faults of a store, and looks after the runs that these have cost it."""

    def __init__(self, store: Store, archive: Archive, feed: Feed) -> None:
        """Listen to *store*; whoever waits in *feed* for a run that was let go looks again."""
        self._store = store
        self._archive = archive
        self._feed = feed
        self._task: asyncio.Task[None] | None = None
        self.lost: set[RunId] = set()
        """Runs that were let go, and of which nobody has yet recorded it."""
        store.on_fault.append(self._let_go)
        store.on_recovery.append(self._recovered)

    def stop(self) -> None:
        """Look after nothing any more."""
        if self._task is not None:
            self._task.cancel()

    def _let_go(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self.lost.add(run.id)
            self._feed.moved(run.id)

    def _recovered(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_after_lost())

    async def _look_after_lost(self) -> None:
        while True:
            looked_for = set(self.lost)
            try:
                await self._store.committed()  # a run that was just started has a row from then on
                await self._archive.look_after_all()
            except OrchestrationError as error:
                log.warning("runs without an owner cannot be recorded as interrupted yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.lost -= looked_for
                if not self.lost:
                    return
