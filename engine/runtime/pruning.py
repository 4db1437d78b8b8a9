"""Which runs of a project may be forgotten.

Pure, a projection of stored rows. Removing them is the engine's.
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
    """Those of *rows*, newest first, that may go: beyond the newest *keep*, or ended before *before*.

    Never one that lives; interrupted ones, which can be resumed, only where *interrupted* says so.
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
