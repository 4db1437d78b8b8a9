"""What people ask of a project's state beside its runs: who has which lock, and which runs may be forgotten.

Pure, projections of stored rows. Releasing and removing are the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.locks import LockTable
from engine.run.events import RunStatus
from engine.run.state import END_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.claims import Claim
    from engine.ids import NodeId, RunId
    from engine.storage.port import RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLine:
    """One lock that somebody has or wants."""

    resource: str
    type: str
    """`exclusive`, `shared` or `upgrade`."""
    run: RunId
    node: NodeId | None
    """None: the run itself."""
    state: str
    """`held`, `waiting`, or `reserved` for a run whose process died before its work was undone."""
    since: datetime
    waits_for: tuple[str, ...] = ()
    """Waiting: what it waits for, each as `resource (locked by run:node)`."""


def lock_lines(claims: Iterable[Claim]) -> list[LockLine]:
    """All locks by resource, those held before those awaited, these in queue order."""
    table = LockTable(claims)
    lines = []
    for claim in sorted(table, key=lambda claim: (not claim.granted, -claim.priority, claim.order)):
        state = "waiting" if not claim.granted else "reserved" if claim.reserved else "held"
        waits_for = tuple(map(str, table.blockers(claim.holder)))
        lines += [
            LockLine(
                resource=spec.resource,
                type=spec.type.value,
                run=claim.holder.run,
                node=claim.holder.node,
                state=state,
                since=claim.requested_at,
                waits_for=waits_for,
            )
            for spec in claim.specs
        ]
    return sorted(lines, key=lambda line: line.resource)


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
