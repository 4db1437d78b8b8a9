"""The progress of a run, and its remaining time.

Pure. The remaining time is the critical path of the open nodes under the phases' limits, not their sum (SPEC 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.run.state import ZERO, NodeStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run

DONE = frozenset(
    {
        NodeStatus.COMPLETED,
        NodeStatus.SKIPPED,
        NodeStatus.FAILED,
        NodeStatus.CANCELLED,
        NodeStatus.COMPENSATED,
        NodeStatus.COMPENSATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Finished nodes, of all nodes."""

    done: int
    total: int

    @property
    def percent(self) -> int:
        """Whole percent; 100 only if all are done."""
        return 100 * self.done // self.total if self.total else 100


def progress(run: Run) -> Progress:
    """The number of finished nodes; a cancelled one does not count."""
    over = DONE - {NodeStatus.CANCELLED}
    return Progress(sum(node.status in over for node in run.nodes.values()), len(run.nodes))


def estimate_of(node: NodeState, learned: Mapping[str, float]) -> timedelta:
    """The learned duration of *node*, or else the file's estimate."""
    seconds = learned.get(node.plan.id)
    return node.plan.estimate if seconds is None else timedelta(seconds=seconds)


def node_remaining(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> timedelta:
    """The remaining time of *node*; zero if it is over or overdue."""
    if node.status in DONE:
        return ZERO
    estimate = estimate_of(node, learned)
    if node.live is None:
        return estimate
    return max(ZERO, estimate - run.worked(node.live, now))


def remaining(run: Run, now: datetime, learned: Mapping[str, float]) -> timedelta | None:
    """The remaining time of *run*; None if it cannot be estimated: while rolling back, or interrupted."""
    if run.status not in {RunStatus.PENDING, RunStatus.RUNNING}:
        return ZERO if run.ended and run.status is not RunStatus.INTERRUPTED else None
    path: dict[NodeId, timedelta] = {}
    total = ZERO
    for phase in run.phases:
        if phase.ended_at is None and phase.plan.group is None:
            total += _phase_remaining(run, phase, now, learned, path)
    return total


def _phase_remaining(
    run: Run, phase: PhaseState, now: datetime, learned: Mapping[str, float], path: dict[NodeId, timedelta]
) -> timedelta:
    """The longer of the phase's remaining path and its remaining work spread over its slots."""
    longest = work = ZERO
    inside = set(phase.plan.nodes)
    for name in _in_order(run, phase):
        node = run.nodes[name]
        own = node_remaining(run, node, now, learned)
        before = max((path.get(dep, ZERO) for dep in node.plan.depends_on if dep in inside), default=ZERO)
        path[name] = before + own
        longest = max(longest, path[name])
        work += own
    limits = [limit for limit in (phase.plan.limit, run.limits.max_parallelism) if limit]
    return max(longest, work / min(limits)) if limits else longest


def _in_order(run: Run, phase: PhaseState) -> list[NodeId]:
    """The phase's nodes with dependencies first: the rank is the longest remaining path."""
    return sorted(phase.plan.nodes, key=lambda name: (-run.nodes[name].plan.rank, run.nodes[name].plan.index))
