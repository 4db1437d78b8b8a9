"""What is to be said about runs beside their journal: what their agents do just now, and warnings of this process.

Effects: wakes those who wait for a run to move; logs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine.storage.cache import overflow_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.ids import NodeId, RunId
    from engine.runtime.notifier import Notifier

log = logging.getLogger(__name__)


class Activity:
    """The remarks of one process."""

    def __init__(self, notifier: Notifier) -> None:
        """*notifier* wakes those who wait for a run."""
        self.runs: Iterable[RunId] = ()
        """The live ones; assigned when they are known."""
        self._notifier = notifier
        self._actions: dict[RunId, dict[NodeId, str]] = {}
        self._warnings: dict[RunId, tuple[str, ...]] = {}

    def actions(self, run_id: RunId) -> Mapping[NodeId, str]:
        """What the agents of a run were last seen doing, a line each."""
        return self._actions.get(run_id, {})

    def warnings(self, run_id: RunId) -> tuple[str, ...]:
        """What this process has to say about a run, oldest first."""
        return self._warnings.get(run_id, ())

    def act(self, run_id: RunId, node: NodeId, action: str | None) -> None:
        """Take note of what an agent does; None: it lives, and says nothing."""
        if action is not None:
            self._actions.setdefault(run_id, {})[node] = action
            self._notifier.moved(run_id)

    def warn(self, run_id: RunId, text: str) -> None:
        """Take note of a warning."""
        self._warnings[run_id] = (*self.warnings(run_id), text)
        self._notifier.moved(run_id)

    def cache_overflow(self, limit: int, size: int) -> None:
        """Warn every live run, since all share the cache."""
        text = overflow_text(limit, size)
        log.warning(text)
        for run_id in self.runs:
            self.warn(run_id, text)
