"""Recovers runs that were dropped because storage or a decision failed: they are recorded as interrupted.

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
    from engine.runtime.live_runs import LiveRuns
    from engine.runtime.notifier import Notifier

log = logging.getLogger(__name__)


class Recovery:
    """Listens for faults of live runs, and records the runs that were dropped."""

    def __init__(self, live_runs: LiveRuns, archive: Archive, notifier: Notifier) -> None:
        """Listen to *live_runs*; wake tasks that wait in *notifier* for a dropped run."""
        self._live_runs = live_runs
        self._archive = archive
        self._notifier = notifier
        self._task: asyncio.Task[None] | None = None
        self.lost: set[RunId] = set()
        """Dropped runs that are not recorded as interrupted yet."""
        live_runs.on_fault.append(self._dropped)
        live_runs.on_recovery.append(self._recovered)

    def stop(self) -> None:
        """Stop looking after runs."""
        if self._task is not None:
            self._task.cancel()

    def _dropped(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self.lost.add(run.id)
            self._notifier.moved(run.id)

    def _recovered(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_after_lost())

    async def _look_after_lost(self) -> None:
        while True:
            looked_for = set(self.lost)
            try:
                await self._live_runs.committed()  # from then on a run that was just started has a row
                await self._archive.look_after_all()
            except OrchestrationError as error:
                log.warning("cannot record runs without an owner as interrupted yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.lost -= looked_for
                if not self.lost:
                    return
