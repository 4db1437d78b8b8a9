"""The list of runs as a document, for the live page.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.text.cut import cut
from engine.text.redaction import shown
from engine.views.durations import milliseconds
from engine.views.live import MAX_MESSAGE_LENGTH, Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.storage.port import RunSummary


class Row(Part, frozen=True, kw_only=True):
    """A run in the list of runs."""

    command: str
    state: str
    executor: str
    created_at: str
    took_ms: int | None = None
    """How long it was under way; absent while it is."""
    done: int
    total: int
    failed: int = 0
    cost_usd: float | None = None
    message: str | None = None
    questions: int | None = None
    """Open questions for a person."""
    place: int
    """Its position, the newest first."""


def list_document(rows: Iterable[RunSummary], asking: Mapping[str, int]) -> dict[str, Any]:
    """The list of runs as a document; *rows* are the newest first, *asking* their open questions for a person."""
    found = {
        row.id: Row(
            command=shown(row.command),
            state=row.status.value,
            executor=row.executor,
            created_at=row.created_at.isoformat(timespec="milliseconds"),
            took_ms=milliseconds(row.lived(row.ended_at)) if row.ended_at else None,
            done=row.done,
            total=row.total,
            failed=row.failed,
            cost_usd=round(row.cost_usd, 6) or None,
            message=cut(shown(row.message), MAX_MESSAGE_LENGTH) or None,
            questions=asking.get(row.id),
            place=place,
        )
        for place, row in enumerate(rows)
    }
    built: dict[str, Any] = msgspec.to_builtins(found)
    return {"runs": built}
