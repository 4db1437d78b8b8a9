"""Notes about the runs of this process, for readers that must be quick, such as a status line.

Effects: one task, which replaces the owner's notes every few seconds while it has runs under way.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.statefolder.run_notes import RunNote
from engine.views.outlook import remaining
from engine.views.status import questions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from engine.run.state import Run
    from engine.runtime.clock import Clock
    from engine.runtime.live_runs import LiveRuns

NOTE_SECONDS = 2.0
"""A status line is at most this late, apart from its own interval."""


def note_of(run: Run, now: datetime, learned: Mapping[str, float]) -> RunNote:
    """The note about a *run* under way; *learned* are seconds by node."""
    left = remaining(run, now, learned)
    asking = questions(run)
    since = [waiting.since.timestamp() for one in asking if (waiting := run.nodes[one.node].waiting) is not None]
    return RunNote(
        run.id,
        at=now.timestamp(),
        lived=run.lived(run.created_at, now).total_seconds(),
        left=None if left is None else left.total_seconds(),
        questions=len(asking),
        asked=max(since, default=0.0),
    )


async def note_runs(
    write: Callable[[Sequence[RunNote]], None],
    live_runs: LiveRuns,
    clock: Clock,
    estimates: Callable[[str], Awaitable[Mapping[str, float]]],
) -> None:
    """Call *write* with notes about the *live_runs*, until cancelled; *estimates* are learned seconds of a command.

    Nothing depends on the notes, so a fault of the disk is left to the next writer of the journal.
    """
    written = False
    while True:
        await asyncio.sleep(NOTE_SECONDS)
        runs = [run for run in live_runs.runs.values() if not run.ended]
        if not runs and not written:
            continue
        with contextlib.suppress(OrchestrationError, OSError):
            learned = {command: await estimates(command) for command in {run.plan.command for run in runs}}
            now = clock.now()
            write([note_of(run, now, learned[run.plan.command]) for run in runs])  # a thread would outlive the task
            written = bool(runs)
