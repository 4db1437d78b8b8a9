"""The most attempts that a run can make, and the most that they can cost: items times iterations times tries.

Pure. The number of items and iterations is known only at run time; here each list has as many as it may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.model.plan import NodeKind
from engine.model.policy import CompensationType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.model.plan import NodePlan, Plan
    from engine.run.events import Limits

MOST_WITHOUT_LIMIT = 100
"""Attempts of model agents that a run with lists or loops may make without a limit of its own."""


def most_attempts(plan: Plan) -> int:
    """The most attempts, without those that undo, that a run of *plan* can make."""
    return int(_most(plan.nodes, lambda _node: 1))


def most_cost(plan: Plan) -> float | None:
    """The most USD that a run of *plan* can cost by the budgets of its agents; None if one of them has none.

    Without the attempts that undo. A Claude Code ends the turn in which it exceeds its budget, so the last turn counts
    on top of it.
    """
    agents = [plan.agents[node.agent] for node in _agents_of(plan.nodes)]
    models = [agent for agent in agents if agent.kind.traits.needs_model]
    if not models or any(agent.max_budget_usd is None for agent in models):
        return None
    return _most(plan.nodes, lambda node: plan.agents[node.agent].max_budget_usd or 0)


def check_fan_out(plan: Plan, limits: Limits) -> None:
    """Raise `InputError` (UNCAPPED_FAN_OUT) if *plan* may start many model agents and nothing limits their number."""
    problem = uncapped(plan, limits)
    if problem is not None:
        raise InputError(
            problem,
            code="UNCAPPED_FAN_OUT",
            hint="Pass --max-cost-usd or --max-attempts-total, or give the agents a `maxBudgetUsd`.",
            client_hint="Pass `max_cost_usd` or `max_attempts_total`, or give the agents a `maxBudgetUsd`.",
        )


def uncapped(plan: Plan, limits: Limits) -> str | None:
    """How many model agents *plan* may start, if it has lists or loops and nothing limits them; else None."""
    if limits.max_cost_usd is not None or limits.max_attempts_total is not None:
        return None
    if not any(node.template is not None for node in plan.nodes):
        return None
    most = int(_most(plan.nodes, lambda node: _is_unlimited_model(plan, node)))
    if most <= MOST_WITHOUT_LIMIT:
        return None
    return f"{plan.command} can make {most:,} attempts of model agents, and nothing limits their number or cost"


def _is_unlimited_model(plan: Plan, node: NodePlan) -> bool:
    agent = plan.agents[node.agent]
    return agent.kind.traits.needs_model and agent.max_budget_usd is None


def _agents_of(nodes: Sequence[NodePlan]) -> Iterator[NodePlan]:
    """The nodes that are an agent's, at all levels."""
    for node in nodes:
        if node.template is not None:
            yield from _agents_of(node.template.nodes)
        elif node.kind is NodeKind.AGENT:
            yield node


def _most(nodes: Sequence[NodePlan], weight: Callable[[NodePlan], float]) -> float:
    """The sum of the *weight* of each attempt."""
    total = 0.0
    for node in nodes:
        if node.template is not None:
            times = node.each.max_items if node.each is not None else node.loop.max_iterations if node.loop else 1
            total += times * _most(node.template.nodes, weight)
        elif node.kind is NodeKind.AGENT:
            again = node.compensation is not None and node.compensation.type is CompensationType.RETRY
            total += weight(node) * (1 + (node.retry.max_retries if node.retry is not None else 0) + again)
    return total
