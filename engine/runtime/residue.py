"""What is kept of a run beside its events: its row in the list, session values, learned durations.

Pure, projections of the state. Writing them is storage's, in the commit of the events they follow from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.events import Role, RunStatus
from engine.run.state import NodeStatus
from engine.storage.port import RunSummary, Sample, SessionValue

if TYPE_CHECKING:
    from engine.ids import OwnerId
    from engine.run.events import RunEnded
    from engine.run.state import Run


def summary_of(run: Run, owner: OwnerId) -> RunSummary:
    """The row of *run* in the list of runs."""
    return RunSummary(
        id=run.id,
        command=run.plan.command,
        status=run.status,
        executor=run.executor,
        owner=owner,
        created_at=run.created_at,
        ended_at=run.ended_at,
        done=run.settled,
        total=len(run.nodes),
        failed=len(run.failures),
        cost_usd=run.cost_usd,
        message=run.message,
    )


def session_values(run: Run, ended: RunEnded) -> list[SessionValue]:
    """Persisted outputs that later commands find; only completed and degraded runs leave any (SPEC 3)."""
    if ended.status not in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        return []
    kept: dict[str, SessionValue] = {}
    for node in run.plan.nodes:
        for output in node.outputs:
            parts = run.context.get(node.scope + output.key)
            if not (output.persist and parts and not node.scope) or len(parts) > 1:
                continue
            part = parts[-1]
            kept[output.key] = SessionValue(
                key=output.key,
                digest=part.ref.digest,
                size=part.ref.size,
                run=run.id,
                produced_at=part.at,
                expires_at=part.at + output.ttl if output.ttl else None,
            )
    return list(kept.values())


def samples(run: Run) -> list[Sample]:
    """How long each completed node took, for estimates learned from real runs (SPEC 10)."""
    return [
        Sample(
            command=run.plan.command,
            node=node.plan.id,
            seconds=(record.ended_at - record.started_at).total_seconds(),
        )
        for node in run.nodes.values()
        if node.status is NodeStatus.COMPLETED
        for record in node.attempts[-1:]
        if record.role is Role.FORWARD and record.ended_at is not None
    ]
