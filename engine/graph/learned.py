"""A plan whose nodes are ordered by how long they took, where that is known, and no longer by what the file guesses.

Pure. Which durations are known is storage's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import InternalError
from engine.graph.expand import milliseconds
from engine.graph.order import rank
from engine.model.plan import NodeKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.plan import Plan


def with_estimates(plan: Plan, learned: Mapping[str, float]) -> Plan:
    """*plan* with the remaining paths (`rank`) that follow from *learned*, seconds by node id (SPEC 10).

    Nodes of which nothing is learned count by the file's estimate. The estimates themselves stay the file's: messages
    about timeouts quote them. A sub-command is as long as what is inside it, whatever was learned of it.
    """
    known = {node.id for node in plan.nodes if node.kind is NodeKind.AGENT and node.id in learned}
    if not known:
        return plan
    timed = [
        replace(node, estimate=timedelta(seconds=learned[node.id])) if node.id in known else node for node in plan.nodes
    ]
    ranks = rank(timed, plan.phases)
    if ranks is None:
        raise InternalError(f"the plan of {plan.command} has a cycle")
    nodes = (replace(node, rank=milliseconds(ranks.upward[node.index])) for node in plan.nodes)
    return replace(plan, nodes=tuple(nodes))
