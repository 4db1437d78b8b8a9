"""Keeps the outcomes of isolated attempts whose work is in the project, until the journal has them.

Effects: reads and removes the folders with notes about worktrees, and branches of the engine's own. An outcome is
stored there before its merge; the last step of the merge also marks it as merged, atomically. A server that resumes a
run after a crash finds it here and uses it as the attempt's report, instead of repeating the work and its merge.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from engine.executors.folders import folders_in, is_own, remove_folder
from engine.executors.port import Outcome
from engine.executors.worktrees.branches import folder_of
from engine.executors.worktrees.leftover import forget_attempts
from engine.executors.worktrees.merging import MERGED
from engine.executors.worktrees.outcome import read
from engine.executors.worktrees.snapshot import notes_of
from engine.executors.worktrees.worktree import RECORD
from engine.ids import AttemptId, parse_attempt_id
from engine.model.agent import Agent
from engine.statefolder.regular_files import read_regular


class FileOutbox:
    """The outbox of one project; see `port.Outbox`."""

    def __init__(self, project: Path) -> None:
        """*project* is the root that runs are started with."""
        self._project = project

    def covers(self, agent: Agent) -> bool:
        """See `port.Outbox.covers`."""
        return agent.isolation is not None

    async def attempts(self) -> list[AttemptId]:
        """See `port.Outbox.attempts`."""
        return await asyncio.to_thread(lambda: [attempt for attempt in map(_attempt_of, self._merged()) if attempt])

    async def found(self, attempts: Collection[AttemptId]) -> Mapping[AttemptId, Outcome]:
        """See `port.Outbox.found`."""
        return await asyncio.to_thread(self._found, frozenset(attempts))

    def recorded(self, attempt: AttemptId) -> None:
        """See `port.Outbox.recorded`."""
        parsed = parse_attempt_id(attempt)
        place = None if parsed is None else notes_of(self._project).inside(folder_of(*parsed))
        if place is not None and is_own(*place) and (place.folder / MERGED).exists():
            remove_folder(place.folder)

    async def redone(self, attempts: Collection[AttemptId]) -> list[str]:
        """See `port.Outbox.redone`."""
        return await forget_attempts(self._project, attempts)

    def _merged(self) -> list[Path]:
        return [state for state in folders_in(*notes_of(self._project)) if (state / MERGED).exists()]

    def _found(self, wanted: Collection[AttemptId]) -> dict[AttemptId, Outcome]:
        known = {attempt: read(state) for state in self._merged() if (attempt := _attempt_of(state)) in wanted}
        return {attempt: outcome for attempt, outcome in known.items() if attempt is not None and outcome is not None}


def _attempt_of(state: Path) -> AttemptId | None:
    """The attempt of the folder *state*; None if it does not name one, or lies elsewhere."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        attempt = json.loads(read_regular(state / RECORD))["attempt"]
        parsed = parse_attempt_id(attempt)
        if parsed is not None and folder_of(*parsed) == state.name:
            return AttemptId(attempt)
    return None
