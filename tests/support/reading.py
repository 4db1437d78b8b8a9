"""What nodes of a run have read, held against what those before them have given in the end.

Pure; it derives the order from the plan by itself, so that it does not repeat `engine.scheduling.succession`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.lookup import keys_at
from engine.run.nesting import level_of
from engine.run.state import NodeStatus

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.run.state import NodeState, Run


def stale(run: Run) -> list[str]:
    """Completed nodes that have read something else than what all before them have given by now, and what."""
    return [
        f"{name} reads {key}: {seen} and not {given}"
        for name, node in run.nodes.items()
        if node.status is NodeStatus.COMPLETED and node.version is not None
        for key in _keys(run, node)
        for seen, given in [_both(run, node, key, _all_before(run, node))]
        if seen != given
    ]


def _keys(run: Run, node: NodeState) -> list[str]:
    """What *node* reads, to which anything was given."""
    if node.plan.passthrough:
        return keys_at(run, node.plan.scope, run.version)
    return [spec.key for spec in node.plan.inputs]


def _both(run: Run, node: NodeState, key: str, givers: set[NodeId]) -> tuple[list[str], list[str]]:
    """What *givers* have given to *key* at the version that *node* saw, and what they have given in the end."""
    parts = [part for part in run.context.get(node.plan.scope + key, ()) if part.node in givers]
    version = node.version or 0
    return [str(part.ref) for part in parts if part.version <= version], [str(part.ref) for part in parts]


def _all_before(run: Run, node: NodeState) -> set[NodeId]:
    """The nodes that have ended before *node* may start, whatever happens."""
    found: set[NodeId] = set()
    stack = [node]
    while stack:
        plan = stack.pop().plan
        phase = run.phases[plan.phase].plan
        earlier = [run.phases[index].plan for index in level_of(run, phase.group) if index < phase.index]
        names = [*plan.depends_on, *(name for one in earlier if phase.barrier for name in one.nodes)]
        for name in names:
            if name not in found:
                found.add(name)
                stack.append(run.nodes[name])
    return found
