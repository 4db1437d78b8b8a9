"""Checks the programs of a run's agents again before each attempt.

Effects: reads the files that a yes covers, within a small share of the time. A change while agents of the run were at
work may be theirs, as in a run that writes code: the run continues with a warning that names the files, and the next
run asks again. A change at any other time was made by someone else, and what was changed does not start.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from cachetools import LRUCache

from mcp_server.project.trusted import Trust, is_needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from engine.ids import RunId
    from engine.model.agent import Agent
    from engine.model.trust import TrustItem
    from engine.runtime.permits import WhenAtWork

log = logging.getLogger(__name__)
SHARE = 0.02
"""Share of a run's time for checks that take longer than `CHEAP`."""
CHEAP = 0.01
"""Seconds of CPU time: a check of some hundred files."""
GRACE = 0.5
"""Seconds by which the clocks of the file system and of this process may differ."""
MAX_NAMED = 10
MAX_LOOKS = 10_000


@dataclass(slots=True)
class _Check:
    """The items of an agent at the last check."""

    items: list[TrustItem]
    due: float
    """When to check again, on the monotonic clock."""


class Rechecks:
    """The checks of one process on the agents of its runs."""

    def __init__(self, trust: Trust) -> None:
        """*trust* says what the user has agreed to."""
        self._trust = trust
        self._begun: LRUCache[str, _Check] = LRUCache(MAX_LOOKS)
        self._looks: LRUCache[tuple[RunId, str], _Check] = LRUCache(MAX_LOOKS)

    def begin(self, agents: Iterable[Agent]) -> None:
        """Check all *agents* of a run that starts or is resumed. Raises `StateError` (NOT_TRUSTED)."""
        asked = list(agents)
        begun = thread_time()
        found = self._trust.check(asked)
        for agent in asked:
            self._begun[agent.id] = _Check([item for item in found if is_needed(item, agent)], _due(begun))

    def again(self, run: RunId, agent: Agent, when_at_work: WhenAtWork) -> str | None:
        """A warning if agents of *run* may have changed *agent*'s program; *when_at_work* says since when they work.

        Raises `StateError` (NOT_TRUSTED) if someone else changed it.
        """
        begun = thread_time()
        look = self._looks.get((run, agent.id)) or self._begun.get(agent.id)
        if look is not None and monotonic() < look.due:
            return None
        items = self._trust.needed([agent])
        warning = None
        if (look is None or items != look.items) and (changed := self._trust.unaccepted(items)):
            if look is None:  # no state of it was ever accepted
                raise self._trust.refusal(changed)
            files = self._changed(changed, {item.id: item for item in look.items})
            at_work = when_at_work()
            if at_work is None or _since(self._trust.project, files, at_work.timestamp() + GRACE):
                raise self._trust.refusal(changed)
            warning = _warning(agent, files)
            log.warning("%s: %s", run, warning)
        self._looks[run, agent.id] = _Check(items, _due(begun))
        return warning

    def _changed(self, items: Iterable[TrustItem], before: Mapping[str, TrustItem]) -> list[str]:
        found: dict[str, None] = {}
        for item in items:
            files = before[item.id].files if item.id in before else {}
            found.update(dict.fromkeys(self._trust.changed_files(files, item.files) or [".mcp.json"]))
        return [*found]


def _due(begun: float) -> float:
    """When to check again after a check that started at *begun*, on this thread's CPU clock, and ends now."""
    return monotonic() + max(0.0, thread_time() - begun - CHEAP) / SHARE


def _since(root: Path, files: Iterable[str], moment: float) -> list[str]:
    """Those of *files* that were changed after *moment*, in seconds since 1970; deleted ones are left out."""
    found = []
    for name in files:
        try:
            if os.lstat(root / name).st_ctime > moment:
                found.append(name)
        except (OSError, ValueError):
            continue
    return found


def _warning(agent: Agent, files: list[str]) -> str:
    rest = len(files) - MAX_NAMED
    names = ", ".join(files[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
    return (
        f'Files covered by the yes to agent "{agent.id}" were changed while agents of this run were at work: {names}. '
        "This run continues; the next one asks again."
    )
