"""Orders the nodes of a plan by measured durations, where known, instead of the file's estimates.

Pure. Storage knows the measured durations.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import InternalError
from engine.graph.expand import duration_of
from engine.graph.forecast import forecast, serial_limits
from engine.graph.order import rank
from engine.model.plan import NodeKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.plan import NodePlan, Plan


def with_estimates(plan: Plan, learned: Mapping[str, float]) -> Plan:
    """*plan* with the remaining paths (`rank`) that follow from *learned*, seconds by node id (SPEC 10).

    Nodes without learned durations count by the file's estimate. The estimates themselves stay unchanged: messages
    about timeouts quote them. The length of a sub-command follows from its nodes, whatever was learned of it.
    """
    nodes = _timed(plan, learned)
    if nodes is None:
        return plan
    return replace(plan, nodes=tuple(replace(node, rank=now.rank) for node, now in zip(plan.nodes, nodes, strict=True)))


def as_learned(plan: Plan, learned: Mapping[str, float]) -> Plan:
    """*plan* as if its file had the times of *learned*: to predict how long a run takes."""
    nodes = _timed(plan, learned)
    if nodes is None:
        return plan
    shortest = forecast(nodes, plan.phases, limits=serial_limits(plan.phases))
    return replace(
        plan,
        nodes=tuple(nodes),
        critical_path=shortest.path,
        critical_path_time=shortest.total,
        sequential_time=sum((node.estimate for node in nodes if node.kind is NodeKind.AGENT), timedelta(0)),
    )


def _timed(plan: Plan, learned: Mapping[str, float]) -> list[NodePlan] | None:
    """The nodes of *plan* with the times of *learned*; None if none of its nodes is in it."""
    known = {node.id for node in plan.nodes if node.kind is NodeKind.AGENT and node.id in learned}
    if not known:
        return None
    timed = [
        replace(node, estimate=timedelta(seconds=learned[node.id])) if node.id in known else node for node in plan.nodes
    ]
    ranks = rank(timed, plan.phases)
    if ranks is None:
        raise InternalError(f"the plan of {plan.command} has a cycle")
    return [
        replace(
            node,
            estimate=duration_of(ranks.length[node.index]) if node.kind is NodeKind.SUB_COMMAND else node.estimate,
            rank=duration_of(ranks.upward[node.index]),
        )
        for node in timed
    ]
