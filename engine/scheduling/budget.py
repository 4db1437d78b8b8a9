"""What a run may still use: which limit leaves nothing for another attempt, and what one attempt may cost.

Pure. SPEC 4. Limits are looked at before each attempt; what runs is never ended because another has used one up.
"""

from __future__ import annotations

from itertools import islice
from math import floor
from typing import TYPE_CHECKING

from engine.run.state import NodeStatus, is_model_work

if TYPE_CHECKING:
    from engine.run.state import NodeState, Run

SMALLEST = 10_000
"""Parts of a dollar in which money is granted: less than a hundredth of a cent is nothing."""
MAX_NEIGHBOURS = 100
"""Ready nodes of a phase that are looked at."""


def spent(run: Run, node: NodeState) -> tuple[str, str] | None:
    """Code and message of the limit that leaves nothing for an attempt of *node*; None where it may be made."""
    limits = run.limits
    if limits.max_attempts_total is not None and run.attempts_total >= limits.max_attempts_total:
        return "ATTEMPTS_EXHAUSTED", f"the run may make {limits.max_attempts_total} attempts and has made them"
    most = limits.max_cost_usd
    if most is None:
        return None
    if run.cost_usd >= most or (_pays(run, node) and (run.budget_left or 0) * SMALLEST < 1):
        return "BUDGET_EXCEEDED", f"the run may cost ${most:g} and has cost ${run.cost_usd:.4f}"
    return None


def grant(run: Run, node: NodeState) -> float | None:
    """What an attempt of *node* may cost in dollars; None: no limit, or nobody who keeps to one.

    What is left, less what live attempts were granted, in equal parts for *node* and the ready nodes that may start
    beside it: however many run at once, together they cannot cost more than the limit. For an attempt for which
    `spent` finds something left, it is never nothing.
    """
    left = run.budget_left
    if left is None or not _pays(run, node):
        return None
    part = max(1, floor(left / (1 + _beside(run, node)) * SMALLEST)) / SMALLEST
    own = run.plan.agents[node.plan.agent].max_budget_usd
    return min(left, part if own is None else min(part, own))  # a part may be above by a rounding error


def overspent(run: Run) -> str:
    """What *run* has cost, where that is more than it may; else empty.

    Agents tell what they have cost only when they end, and one may pass what it was granted with its last step.
    """
    most = run.limits.max_cost_usd
    return f"${run.cost_usd:.2f}, more than its limit of ${most:g}" if most is not None and run.cost_usd > most else ""


def _pays(run: Run, node: NodeState) -> bool:
    """Whether attempts of *node* cost what they are granted at most; the client's own subagents know no limit."""
    return run.executor != "host" and is_model_work(run, node.plan, undo=False)


def _beside(run: Run, node: NodeState) -> int:
    """How many ready nodes may start beside *node* before anything ends, as far as the run has places.

    Of each phase the first are looked at, so that a start costs the same however many nodes there are.
    """
    most = run.limits.max_parallelism
    places = MAX_NEIGHBOURS if most is None else min(MAX_NEIGHBOURS, most - run.running - 1)
    count = 0
    for index in run.open_phases:
        if count >= places:
            break
        phase = run.phases[index]
        free = places - count
        if phase.plan.limit is not None:
            free = min(free, phase.plan.limit - phase.running - (index == node.plan.phase))
        ready = (run.nodes[key.node] for key in islice(phase.ready, MAX_NEIGHBOURS))
        paid = sum(other.status is NodeStatus.PENDING and _pays(run, other) for other in ready)
        count += max(0, min(free, paid))
    return count
