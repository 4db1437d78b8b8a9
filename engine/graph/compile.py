"""Compiles a bundle to a plan: sub-commands expanded, defaults filled in, nodes ranked, the critical path found.

Pure. It takes a validated command, and rejects one that cannot be ordered; `engine/validation` reports all problems of
a file.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import InvalidCommand
from engine.graph.expand import default_timeout, duration_of, expand, lock_specs
from engine.graph.forecast import forecast, serial_limits
from engine.graph.order import rank, shortest_cycles
from engine.model.plan import ArgumentSpec, NodeKind, Plan

if TYPE_CHECKING:
    from engine.graph.expand import Draft
    from engine.ids import NodeId
    from engine.model.plan import Bundle, NodePlan


def compile_plan(bundle: Bundle) -> Plan:
    """The plan of *bundle*.

    Raises:
        InvalidCommand: agents or sub-commands are missing, ids are duplicated, or nodes wait for each other.
    """
    command = bundle.command
    draft = expand(bundle)
    nodes = _ranked(draft, dependents=_dependents(draft))
    shortest = forecast(nodes, draft.phases, limits=serial_limits(draft.phases))
    return Plan(
        command=command.name,
        description=command.description,
        digest=bundle.digest,
        source=bundle.source,
        phases=tuple(draft.phases),
        nodes=tuple(nodes),
        agents=draft.agents,
        initial=draft.initial,
        fallbacks=draft.fallbacks,
        arguments=tuple(
            ArgumentSpec(
                name=item.name,
                required=item.required,
                has_default="default" in item.model_fields_set,
                default=item.default,
            )
            for item in command.arguments
        ),
        locks=lock_specs(command.resources),
        lock_wait=duration_of(command.resources.max_wait_time if command.resources else 60_000),
        critical_path=shortest.path,
        critical_path_time=shortest.total,
        sequential_time=sum((node.estimate for node in nodes if node.kind is NodeKind.AGENT), timedelta(0)),
        warnings=tuple(dict.fromkeys(draft.warnings)),
    )


def _dependents(draft: Draft) -> dict[NodeId, list[NodeId]]:
    dependents: dict[NodeId, list[NodeId]] = {}
    for node in draft.nodes:
        if node.id in dependents:
            raise InvalidCommand(f"Node id {node.id!r} is used twice", ())
        dependents[node.id] = []
    for node in draft.nodes:
        for name in node.depends_on:
            if name not in dependents:
                raise InvalidCommand(f"Node {node.id!r} depends on {name!r}, which does not exist", ())
            dependents[name].append(node.id)
    return dependents


def _ranked(draft: Draft, *, dependents: dict[NodeId, list[NodeId]]) -> list[NodePlan]:
    ranks = rank(draft.nodes, draft.phases)
    if ranks is None:
        raise _unordered(draft)
    nodes = []
    for node in draft.nodes:
        length = ranks.length[node.index]
        timeout = node.timeout
        if node.kind is NodeKind.SUB_COMMAND and node.id not in draft.own_timeout:
            timeout = duration_of(default_timeout(length))
        nodes.append(
            replace(
                node,
                dependents=tuple(dependents[node.id]),
                estimate=duration_of(length),
                timeout=timeout,
                rank=duration_of(ranks.upward[node.index]),
            )
        )
    return nodes


def _unordered(draft: Draft) -> InvalidCommand:
    cycles = shortest_cycles({node.id: node.depends_on for node in draft.nodes})
    name = draft.bundle.command.name
    if cycles:
        path = " → ".join((*cycles[0], cycles[0][0]))
        return InvalidCommand(f"Circular dependency detected in command '{name}'\n  {path}", ())
    return InvalidCommand(
        f"Command '{name}' has a node that depends on a later phase",
        (),
        hint="Move the node to that phase or a later one.",
    )
