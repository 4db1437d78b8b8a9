"""Selects the runs of a project that may be removed.

Pure, a projection of stored rows. The engine removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.run.state import END_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.storage.port import RunSummary


def prunable(
    rows: Sequence[RunSummary], *, keep: int | None, before: datetime | None, interrupted: bool
) -> list[RunSummary]:
    """Those of *rows*, newest first, to remove: beyond the newest *keep*, or ended before *before*.

    Never a live one; interrupted ones, which can be resumed, only with *interrupted*.
    """
    gone = []
    for place, row in enumerate(rows):
        if row.status not in END_STATES or (row.status is RunStatus.INTERRUPTED and not interrupted):
            continue
        beyond = keep is not None and place >= keep
        old = before is not None and (row.ended_at or row.created_at) < before
        if beyond or old:
            gone.append(row)
    return gone
