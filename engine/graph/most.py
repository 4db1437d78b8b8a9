"""The most attempts that a run can make: items times iterations times tries, at all levels.

Pure. The number of items and iterations is known only at run time; here each list has as many as it may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.model.plan import NodeKind
from engine.model.policy import CompensationType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.model.plan import NodePlan, Plan
    from engine.run.events import Limits

MOST_WITHOUT_LIMIT = 100
"""Attempts of model agents that a run with lists or loops may make without a limit of its own."""


def most_attempts(plan: Plan) -> int:
    """The most attempts, without those that undo, that a run of *plan* can make."""
    return _most(plan.nodes, lambda _node: True)


def check_fan_out(plan: Plan, limits: Limits) -> None:
    """Raise `InputError` (UNCAPPED_FAN_OUT) if *plan* may start many model agents and nothing limits their number."""
    problem = uncapped(plan, limits)
    if problem is not None:
        raise InputError(
            problem,
            code="UNCAPPED_FAN_OUT",
            hint="Pass --max-cost-usd or --max-attempts-total, or give the agents a `maxBudgetUsd`.",
            client_hint="Pass `limits` with maxCostUsd or maxAttemptsTotal.",
        )


def uncapped(plan: Plan, limits: Limits) -> str | None:
    """How many model agents *plan* may start, if it has lists or loops and nothing limits them; else None."""
    if limits.max_cost_usd is not None or limits.max_attempts_total is not None:
        return None
    if not any(node.template is not None for node in plan.nodes):
        return None
    most = _most(plan.nodes, lambda node: _is_unlimited_model(plan, node))
    if most <= MOST_WITHOUT_LIMIT:
        return None
    return f"{plan.command} can make {most:,} attempts of model agents, and nothing limits their number or cost"


def _is_unlimited_model(plan: Plan, node: NodePlan) -> bool:
    agent = plan.agents[node.agent]
    return agent.kind.traits.needs_model and agent.max_budget_usd is None


def _most(nodes: Sequence[NodePlan], counts: Callable[[NodePlan], bool]) -> int:
    total = 0
    for node in nodes:
        if node.template is not None:
            times = node.each.max_items if node.each is not None else node.loop.max_iterations if node.loop else 1
            total += times * _most(node.template.nodes, counts)
        elif node.kind is NodeKind.AGENT and counts(node):
            again = node.compensation is not None and node.compensation.type is CompensationType.RETRY
            total += 1 + (node.retry.max_retries if node.retry is not None else 0) + again
    return total
