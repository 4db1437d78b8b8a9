"""The lock table for people: the holder of each lock, and the waiters behind it.

Pure, a projection of stored claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.tables.locks import LockTable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.ids import NodeId, RunId
    from engine.tables.claims import Claim


class LockLine(msgspec.Struct, frozen=True, kw_only=True):
    """One lock that is held or requested."""

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
    """For a waiter: the locks in its way, each as `resource (locked by run:node)`."""

    def __str__(self) -> str:
        """The wait in words: `migrate waits for database (locked by r-1:deploy)`."""
        return f"{self.node or 'the run'} waits for {', '.join(self.waits_for)}"


def lock_lines(claims: Iterable[Claim]) -> list[LockLine]:
    """All locks by resource: held ones first, then waiters in queue order."""
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
