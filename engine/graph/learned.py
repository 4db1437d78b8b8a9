"""Orders the nodes of a plan by measured durations, where known, instead of the file's estimates.

Pure. Storage knows the measured durations.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import InternalError
from engine.graph.expand import duration_of
from engine.graph.forecast import forecast, rounds, serial_limits, work_of
from engine.graph.order import rank
from engine.ids import count_id
from engine.model.plan import NodeKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.plan import NodePlan, PhasePlan, Plan


def with_estimates(plan: Plan, learned: Mapping[str, float]) -> Plan:
    """*plan* with the remaining paths (`rank`) that follow from *learned*, seconds by node id (SPEC 10).

    Nodes without learned durations count by the file's estimate. The estimates themselves stay unchanged: messages
    about timeouts quote them. The length of a sub-command follows from its nodes, whatever was learned of it.
    """
    nodes = _timed(plan, learned)
    if nodes is None:
        return plan
    return structs.replace(
        plan, nodes=tuple(_with_ranks(node, now) for node, now in zip(plan.nodes, nodes, strict=True))
    )


def _with_ranks(node: NodePlan, now: NodePlan) -> NodePlan:
    """*node* with the rank of *now*; a node with a template also with its estimate, which its instances rely on."""
    if node.template is None or now.template is None:
        return structs.replace(node, rank=now.rank)
    pairs = zip(node.template.nodes, now.template.nodes, strict=True)
    template = structs.replace(node.template, nodes=tuple(_with_ranks(one, other) for one, other in pairs))
    return structs.replace(node, rank=now.rank, estimate=now.estimate, template=template)


def as_learned(plan: Plan, learned: Mapping[str, float]) -> Plan:
    """*plan* as if its file had the times of *learned*: to predict how long a run takes."""
    nodes = _timed(plan, learned)
    if nodes is None:
        return plan
    shortest = forecast(nodes, plan.phases, limits=serial_limits(plan.phases))
    return structs.replace(
        plan,
        nodes=tuple(nodes),
        critical_path=shortest.path,
        critical_path_time=shortest.total,
        sequential_time=work_of(nodes),
    )


def _timed(plan: Plan, learned: Mapping[str, float]) -> list[NodePlan] | None:
    """The nodes of *plan* with the times of *learned*; None if none of its nodes is in it."""
    if not any(_is_known(node, learned) for node in plan.with_templates()):
        return None
    return _retimed(plan.command, plan.nodes, plan.phases, learned)


def _is_known(node: NodePlan, learned: Mapping[str, float]) -> bool:
    if node.template is not None:
        return count_id(node.id) in learned
    return node.kind is NodeKind.AGENT and node.id in learned


def _retimed(
    command: str, nodes: Sequence[NodePlan], phases: Sequence[PhasePlan], learned: Mapping[str, float]
) -> list[NodePlan]:
    """*nodes* with the times of *learned* and the ranks that follow, also inside templates."""
    timed = [_with_time(command, node, phases, learned) for node in nodes]
    ranks = rank(timed, phases)
    if ranks is None:
        raise InternalError(f"the plan of {command} has a cycle")
    return [
        structs.replace(
            node,
            estimate=duration_of(ranks.length[node.index]) if node.inner else node.estimate,
            rank=duration_of(ranks.upward[node.index]),
        )
        for node in timed
    ]


def _with_count(node: NodePlan, learned: Mapping[str, float]) -> NodePlan:
    """*node* with as many items or iterations as earlier runs had."""
    known = learned.get(count_id(node.id))
    count = max(1, round(known)) if known is not None else None
    if count is None:
        return node
    if node.loop is not None:
        return structs.replace(node, loop=structs.replace(node.loop, estimated=min(count, node.loop.max_iterations)))
    return structs.replace(
        node, each=node.each and structs.replace(node.each, estimated=min(count, node.each.max_items))
    )


def _with_time(command: str, node: NodePlan, phases: Sequence[PhasePlan], learned: Mapping[str, float]) -> NodePlan:
    if node.template is not None:
        counted = _with_count(node, learned)
        inner = _retimed(command, node.template.nodes, node.template.phases, learned)
        template = structs.replace(node.template, nodes=tuple(inner))
        limit = phases[node.phase].limit if node.phase >= 0 else None
        return structs.replace(counted, template=template, estimate=inner[0].estimate * rounds(counted, limit))
    if node.kind is NodeKind.AGENT and node.id in learned:
        return structs.replace(node, estimate=timedelta(seconds=learned[node.id]))
    return node
