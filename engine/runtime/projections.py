"""Data kept of a run beside its events: its row in the list, session values, learned durations.

Pure, projections of the state. Storage writes them in the commit of the events they follow from.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from engine.ids import NodeId, count_id
from engine.run.events import Role, RunStatus
from engine.run.lookup import parts_at
from engine.run.state import ZERO, NodeStatus
from engine.storage.port import RunSummary, Sample, SessionValue
from engine.views.tally import OVER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.ids import OwnerId
    from engine.run.events import RunEnded, ValueRef
    from engine.run.state import Contribution, Run


def summary_of(run: Run, owner: OwnerId) -> RunSummary:
    """The row of *run* in the list of runs."""
    until = run.ended_at or run.changed_at or run.created_at
    return RunSummary(
        id=run.id,
        command=run.plan.command,
        status=run.status,
        executor=run.executor,
        owner=owner,
        created_at=run.created_at,
        ended_at=run.ended_at,
        done=_done(run),
        total=len(run.plan.nodes),
        failed=len(run.failures),
        cost_usd=run.cost_usd,
        message=run.message,
        worktree=run.worktree,
        idle=max(until - run.created_at, ZERO) - run.lived(run.created_at, until),
    )


def _done(run: Run) -> int:
    """Nodes of the file that are done; at the end as its status counts them, without those that were cancelled."""
    return sum(run.nodes[node.id].status in OVER for node in run.plan.nodes) if run.ended else run.settled_of_file


def session_values(
    run: Run, ended: RunEnded, refer: Callable[[Sequence[Contribution]], ValueRef | None]
) -> list[SessionValue]:
    """Persisted outputs for later commands; only completed and degraded runs leave any (SPEC 3).

    *refer* returns the reference of the value that contributions make up; None if they make none.
    """
    if ended.status not in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        return []
    kept: dict[str, SessionValue] = {}
    for node in run.plan.nodes:
        for output in node.outputs:
            parts = () if node.scope or not output.persist else parts_at(run, output.key, run.version)
            if not parts:
                continue
            ref, at = refer(parts), parts[-1].at
            if ref is None:
                continue
            kept[output.key] = SessionValue(
                key=output.key,
                digest=ref.digest,
                size=ref.size,
                run=run.id,
                produced_at=at,
                expires_at=at + output.ttl if output.ttl else None,
            )
    return list(kept.values())


def samples(run: Run) -> list[Sample]:
    """The duration of each completed node, for estimates learned from real runs (SPEC 10).

    Instances count under the id that they have in their template, `cover/*`, with their mean; so do the numbers of
    items and iterations.
    """
    found: dict[str, list[float]] = {}
    for name, shape in run.unfolded.items():
        node = run.nodes[name]
        if node.status is NodeStatus.COMPLETED:
            found.setdefault(count_id(node.plan.origin or name), []).append(float(shape.count))
    for node in run.nodes.values():
        record = node.attempts[-1] if node.status is NodeStatus.COMPLETED and node.attempts else None
        if record is not None and record.role is Role.FORWARD and record.started_at is not None:
            assert record.ended_at is not None  # noqa: S101 - its node is completed
            seconds = run.lived(record.started_at, record.ended_at).total_seconds()
            found.setdefault(node.plan.origin or node.plan.id, []).append(seconds)
    command = run.plan.command
    return [
        Sample(
            command=command, node=NodeId(name), seconds=statistics.fmean(seconds) if len(seconds) > 1 else seconds[0]
        )
        for name, seconds in found.items()
    ]
