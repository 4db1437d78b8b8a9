"""Compiles a bundle to a plan: sub-commands expanded, defaults filled in, nodes ranked, the critical path found.

Pure. It takes a validated command, and rejects one that cannot be ordered; `engine/validation` reports all problems of
a file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import InvalidCommand
from engine.graph.expand import default_timeout, duration_of, expand, lock_specs
from engine.graph.forecast import forecast, rounds, serial_limits, work_of
from engine.graph.order import rank, shortest_cycles
from engine.ids import NodeId
from engine.model.plan import ArgumentSpec, NodeKind, Plan, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.graph.expand import Draft
    from engine.model.plan import Bundle, NodePlan

LONGEST = timedelta(days=30)
"""The default timeout of a group that has forEach or repeat inside: its estimate says nothing about their number."""


def compile_plan(bundle: Bundle) -> Plan:
    """The plan of *bundle*.

    Raises:
        InvalidCommand: agents or sub-commands are missing, ids are duplicated, or nodes wait for each other.
    """
    command = bundle.command
    draft = expand(bundle)
    nodes = _ranked(draft)
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
        sequential_time=work_of(nodes),
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


def _ranked(draft: Draft) -> list[NodePlan]:
    dependents = _dependents(draft)
    drafted = [_with_template(node, draft) for node in draft.nodes]
    ranks = rank(drafted, draft.phases)
    if ranks is None:
        raise _unordered(draft)
    nodes = []
    open_ended = {around for name in draft.templates for around in _around(name)}
    for node in drafted:
        length = ranks.length[node.index]
        timeout = node.timeout
        if node.kind is NodeKind.SUB_COMMAND and node.id not in draft.own_timeout:
            timeout = LONGEST if node.id in open_ended else duration_of(default_timeout(length))
        nodes.append(
            structs.replace(
                node,
                dependents=tuple(dependents[node.id]),
                estimate=duration_of(length),
                timeout=timeout,
                rank=duration_of(ranks.upward[node.index]),
            )
        )
    return nodes


def _around(name: NodeId) -> Iterator[NodeId]:
    """The nodes that may be around *name*."""
    around = name.rpartition("/")[0]
    while around:
        yield NodeId(around)
        around = around.rpartition("/")[0]


def _with_template(node: NodePlan, draft: Draft) -> NodePlan:
    """*node* with its template, ranked by itself, and with the length of all its instances."""
    inner = draft.templates.get(node.id)
    if inner is None:
        return node
    template = Template(nodes=tuple(_ranked(inner)), phases=tuple(inner.phases))
    limit = None if node.phase < 0 else draft.phases[node.phase].limit
    return structs.replace(node, template=template, estimate=template.nodes[0].estimate * rounds(node, limit))


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
