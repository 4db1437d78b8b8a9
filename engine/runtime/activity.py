"""Notes about runs beside their journal: the current actions of their agents, and warnings of this process.

Effects: wakes tasks that wait for a run to change; logs.
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
    """The notes of one process."""

    def __init__(self, notifier: Notifier) -> None:
        """*notifier* wakes tasks that wait for a run."""
        self.runs: Iterable[RunId] = ()
        """The live runs; assigned once they are known."""
        self._notifier = notifier
        self._actions: dict[RunId, dict[NodeId, str]] = {}
        self._warnings: dict[RunId, tuple[str, ...]] = {}

    def actions(self, run_id: RunId) -> Mapping[NodeId, str]:
        """The last known action of each agent of a run, a line each."""
        return self._actions.get(run_id, {})

    def warnings(self, run_id: RunId) -> tuple[str, ...]:
        """The warnings of this process about a run, oldest first."""
        return self._warnings.get(run_id, ())

    def act(self, run_id: RunId, node: NodeId, action: str | None) -> None:
        """Note the action of an agent; None: it is alive but shows no action."""
        if action is not None:
            self._actions.setdefault(run_id, {})[node] = action
            self._notifier.moved(run_id)

    def warn(self, run_id: RunId, text: str) -> None:
        """Note a warning."""
        self._warnings[run_id] = (*self.warnings(run_id), text)
        self._notifier.moved(run_id)

    def cache_overflow(self, limit: int, size: int) -> None:
        """Warn every live run, since all share the cache."""
        text = overflow_text(limit, size)
        log.warning(text)
        for run_id in self.runs:
            self.warn(run_id, text)
