"""The limits of a run: the limit that is used up, if any, and the budget of one attempt.

Pure. SPEC 4. Limits are checked before each attempt; no running attempt ends because another used one up.
"""

from __future__ import annotations

from itertools import islice
from math import floor
from typing import TYPE_CHECKING

from engine.run.state import NodeStatus, is_model_work

if TYPE_CHECKING:
    from engine.run.state import NodeState, Run

SMALLEST = 10_000
"""Parts of a dollar in which money is granted: less than a hundredth of a cent counts as nothing."""
CENT = 0.01
"""Amounts below are shown with four decimals."""
MAX_NEIGHBOURS = 100
"""Ready nodes of a phase that are considered."""


def spent(run: Run, node: NodeState) -> tuple[str, str] | None:
    """Code and message of the limit that rules out an attempt of *node*; None if it may be made."""
    limits = run.limits
    attempts = limits.max_attempts_total
    if attempts is not None and run.attempts_total >= attempts:
        used = "its only allowed attempt" if attempts == 1 else f"all {attempts} allowed attempts"
        return "ATTEMPTS_EXHAUSTED", f"the run used {used}"
    most = limits.max_cost_usd
    if most is None:
        return None
    if run.cost_usd >= most or (_pays(run, node) and (run.budget_left or 0) * SMALLEST < 1):
        return "BUDGET_EXCEEDED", f"the run reached its budget of {_dollars(most)} ({_dollars(run.cost_usd)} spent)"
    return None


def grant(run: Run, node: NodeState) -> float | None:
    """The budget of an attempt of *node* in dollars; None: no limit, or no one to enforce it.

    The rest, less what live attempts were granted, in equal parts for *node* and the ready nodes that may start
    beside it: however many run at once, together they cannot cost more than the limit. It is above zero for any attempt
    that `spent` lets pass.
    """
    left = run.budget_left
    if left is None or not _pays(run, node):
        return None
    part = max(1, floor(left / (1 + _beside(run, node)) * SMALLEST)) / SMALLEST
    own = run.plan.agents[node.plan.agent].max_budget_usd
    return min(left, part if own is None else min(part, own))  # a part may be too large by a rounding error


def overspent(run: Run) -> str:
    """How far *run* has exceeded its cost limit; empty if it has not.

    Agents report their cost only when they end, and one may exceed its budget with its last turn.
    """
    most = run.limits.max_cost_usd
    return f"${run.cost_usd:.2f}, more than its limit of ${most:g}" if most is not None and run.cost_usd > most else ""


def _dollars(amount: float) -> str:
    return f"${amount:.4f}" if 0 < amount < CENT else f"${amount:.2f}"


def _pays(run: Run, node: NodeState) -> bool:
    """Whether attempts of *node* keep to a budget; the client's own subagents have no limit."""
    return run.executor != "host" and is_model_work(run, node.plan, undo=False)


def _beside(run: Run, node: NodeState) -> int:
    """How many ready nodes may start beside *node* before anything ends, as far as the run has free slots.

    Only the first of each phase are considered, so that a start costs the same however many nodes there are.
    """
    most = run.limits.max_parallelism
    places = MAX_NEIGHBOURS if most is None else min(MAX_NEIGHBOURS, most - run.running - 1)
    count = 0
    for index in run.open_phases:
        if count >= places:
            break
        phase = run.phases[index]
        free = places - count
        own = index == node.plan.phase
        if phase.plan.limit is not None:
            free = min(free, phase.plan.limit - phase.running - own)
        host = None if phase.plan.host is None else run.phases[phase.plan.host]
        if host is not None and host.plan.limit is not None:
            free = min(free, host.plan.limit - host.running - own)
        ready = (run.nodes[key.node] for key in islice(phase.ready, MAX_NEIGHBOURS))
        paid = sum(other.status is NodeStatus.PENDING and _pays(run, other) for other in ready)
        count += max(0, min(free, paid))
    return count
