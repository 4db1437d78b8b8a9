"""A plan as Mermaid text and as a tree for terminals: phases, order, critical path, times and context flow.

Pure. It shows the plan and its prediction; `timeline.py` shows what happened, and `svg.py` draws pictures.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.graph import most_attempts, most_cost
from engine.model.plan import NodeKind
from engine.text.cut import some
from engine.text.shown import clean
from engine.views.svg import saving, short_time, svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.graph import Timeline
    from engine.ids import NodeId
    from engine.model.plan import NodePlan, PhasePlan, Plan, Template

__all__ = ["mermaid", "svg", "text_tree"]

_UNSAFE = re.compile(r"[^\w .,:;/()+\-]")
MAX_EDGES = 500
"""Mermaid's limit of arrows in one diagram; above it, it draws nothing at all."""
MAX_NAMES = 12
"""Names in one line of a tree."""


def mermaid(plan: Plan) -> str:
    """*plan* as Mermaid text; nodes are named by number, and labels cannot break out of their quotes."""
    by_id = {node.id: node for node in plan.nodes}
    names = {node.id: f"n{node.index}" for node in plan.nodes}
    lines = ["flowchart LR"]
    for phase in plan.phases:
        if phase.group is None:
            lines.extend(_box(plan, phase, by_id, "  "))
    lines.extend(_edges(plan, names))
    lines.append("  classDef critical stroke-width:3px")
    lines.append(f"  class {','.join(names[name] for name in plan.critical_path)} critical")
    return "\n".join(lines) + "\n"


def _edges(plan: Plan, names: Mapping[NodeId, str]) -> Iterator[str]:
    """The arrows, phases and the critical path first, and a note if there are more than Mermaid draws."""
    critical = set(pairwise(plan.critical_path))
    needs = [(before, node.id) for node in plan.nodes for before in node.depends_on]
    drawn = [f"{names[before]} --> {names[after]}" for before, after in needs]
    inner = [f"{names[node.id]} -.-> p{node.inner[0]}" for node in plan.nodes if node.inner]
    gates = [
        f"p{phase.after} -.-> p{phase.index}" for phase in plan.phases if phase.after is not None and phase.barrier
    ]
    excess = len(drawn) + len(inner) + len(gates) - MAX_EDGES
    if excess > 0:
        first = [edge for edge, pair in zip(drawn, needs, strict=True) if pair in critical]
        rest = [edge for edge, pair in zip(drawn, needs, strict=True) if pair not in critical]
        shown = [*gates, *inner, *first, *rest][:MAX_EDGES]
        yield f'  cut["{excess} of {excess + MAX_EDGES} arrows are left out: Mermaid draws no more than {MAX_EDGES}"]'
    else:
        shown = [*drawn, *inner, *gates]
    yield from (f"  {edge}" for edge in shown)


def text_tree(plan: Plan, timeline: Timeline) -> str:
    """*plan* for a terminal, with the start of each node by *timeline*; `*` marks the critical path."""
    lines = [f"{plan.command} - {clean(plan.description)}", saving(plan, timeline)]
    if any(node.template is not None for node in plan.nodes):
        cost = most_cost(plan)
        budgets = f", and ${cost:,.2f} by the budgets of its agents" if cost is not None else ""
        lines.append(f"At most {most_attempts(plan):,} attempts{budgets}")
    lines.append("")
    tree = _Tree(plan, timeline)
    for number, phase in enumerate((phase for phase in plan.phases if phase.group is None), start=1):
        lines.append(f"Phase {number}: {clean(phase.name)}{_limits(phase)}")
        lines.extend(tree.nodes(phase, ""))
    lines += ["", f"Critical path (*): {' → '.join(plan.critical_path)}", "", "Levels"]
    lines.extend(f"  {level}: {_names(names)}" for level, names in enumerate(levels(plan)))
    flow = list(_flow(plan))
    return "\n".join([*lines, *(["", "Context flow", *flow] if flow else [])]) + "\n"


def levels(plan: Plan) -> list[list[NodeId]]:
    """Agent nodes by the length of the longest chain of nodes before them."""
    depth: dict[NodeId, int] = {}
    gate: dict[int | None, int] = {None: 0}
    by_id = {node.id: node for node in plan.nodes}

    def place(phase: PhasePlan, base: int) -> None:
        """Set the depth of every node of *phase*, and the depth behind the phase's gate."""
        start = max(base, gate[phase.after]) if phase.barrier else base
        for node in sorted((by_id[name] for name in phase.nodes), key=lambda node: -node.rank):  # dependencies first
            own = max([start, *(depth[need] for need in node.depends_on)])
            for inner in node.inner:
                place(plan.phases[inner], own)
            depth[node.id] = gate[node.inner[-1]] if node.inner else own + 1
        ends = [depth[name] for name in phase.nodes]
        gate[phase.index] = max([*ends, gate[phase.after]])

    for phase in plan.phases:
        if phase.group is None:
            place(phase, 0)
    result: list[list[NodeId]] = [[] for _ in range(max(depth.values(), default=0))]
    for node in plan.nodes:
        if node.kind is NodeKind.AGENT or node.template is not None:
            result[depth[node.id] - 1].append(node.id)
    return result


class _Tree:
    """The lines of the nodes; those of a sub-command follow the node that runs it."""

    def __init__(self, plan: Plan, timeline: Timeline) -> None:
        self.plan = plan
        self.spans = timeline.spans
        self.by_id = {node.id: node for node in plan.nodes}
        self.critical = frozenset(plan.critical_path)
        self.width = min(40, max(len(node.id) for node in plan.nodes))

    def nodes(self, phase: PhasePlan, indent: str) -> Iterator[str]:
        for place, name in enumerate(phase.nodes, start=1):
            last = place == len(phase.nodes)
            node = self.by_id[name]
            yield f"{indent}{'└─' if last else '├─'}{self._line(node)}"
            below = indent + ("   " if last else "│  ")
            for inner in node.inner:
                part = self.plan.phases[inner]
                yield f"{below}{clean(part.name)}{_limits(part)}"
                yield from self.nodes(part, below)
            if node.template is not None:
                yield from self._template(node.template, node.template.nodes[0], below)

    def _template(self, template: Template, node: NodePlan, indent: str) -> Iterator[str]:
        """The nodes inside *node*, of one instance."""
        by_id = {one.id: one for one in template.nodes}
        for inner in node.inner:
            part = template.phases[inner]
            yield f"{indent}{clean(part.name)}{_limits(part)}"
            for place, name in enumerate(part.nodes, start=1):
                last, one = place == len(part.nodes), by_id[name]
                yield f"{indent}{'└─' if last else '├─'}  {one.id}  {clean(one.doer)}{_shape(one)}"
                below = indent + ("   " if last else "│  ")
                yield from self._template(template, one, below)
                if one.template is not None:
                    yield from self._template(one.template, one.template.nodes[0], below)

    def _line(self, node: NodePlan) -> str:
        mark = "*" if node.id in self.critical else " "
        span = self.spans[node.id]
        after = f", after {_names(node.depends_on)}" if node.depends_on else ""
        when = f"{short_time(node.estimate)}, starts at {short_time(span.start)}"
        return f"{mark} {node.id:<{self.width}}  {clean(node.doer)}{_shape(node)}, {when}{after}"


def _shape(node: NodePlan) -> str:
    """How often *node* runs: for each item of a list, or until a condition holds."""
    if node.each is not None:
        at_once = f", {node.each.limit} at once" if node.each.limit is not None else ""
        return f" for each of {clean(node.each.items)} ({node.each.estimated} assumed{at_once})"
    if node.loop is not None:
        return f" until {clean(node.loop.until)} (at most {node.loop.max_iterations} times)"
    return ""


def _limits(phase: PhasePlan) -> str:
    notes = []
    if phase.limit is not None and len(phase.nodes) > 1:
        notes.append("one at a time" if phase.limit == 1 else f"at most {phase.limit} at once")
    if not phase.barrier and phase.after is not None:
        notes.append("does not wait for the previous phase")
    if phase.continue_on_error:
        notes.append("continues after errors")
    return f" ({', '.join(notes)})" if notes else ""


def _flow(plan: Plan) -> Iterator[str]:
    """For each context key, the nodes that write and read it."""
    producers: dict[str, list[str]] = {key: ["initial"] for key in plan.initial}
    for argument in plan.arguments:
        producers.setdefault(argument.name, []).append("argument")
    consumers: dict[str, list[str]] = {}
    kept: set[str] = set()
    for node in plan.nodes:
        for item in node.inputs:
            consumers.setdefault(node.scope + item.key, []).append(node.id)
        failures = node.each.failures if node.each is not None else None
        for output in (output for output in node.outputs if output.required or output.key == failures):
            producers.setdefault(node.scope + output.key, []).append(node.id)
            if output.persist:
                kept.add(node.scope + output.key)
    everything = [node.id for node in plan.nodes if node.passthrough]
    for key in dict.fromkeys([*producers, *consumers]):
        ends = [*consumers.get(key, []), *(["kept"] if key in kept else [])]
        source = _names(producers.get(key, [_outside(key)]))
        yield f"  {clean(key)}: {source} → {_names(ends) if ends else 'not read'}"
    if everything:
        yield f"  everything → {_names(everything)}"


def _names(names: Iterable[str]) -> str:
    return some(list(names), MAX_NAMES)


def _box(plan: Plan, phase: PhasePlan, by_id: dict[NodeId, NodePlan], indent: str) -> Iterator[str]:
    """A phase with its nodes, and with the phases of the sub-commands in it."""
    yield f'{indent}subgraph p{phase.index}["{_label(phase.name)}"]'
    for name in phase.nodes:
        node = by_id[name]
        who = _label(node.doer + _shape(node))
        yield f'{indent}  n{node.index}["{_label(name)}<br/>{who}, {short_time(node.estimate)}"]'
        for inner in node.inner:
            yield from _box(plan, plan.phases[inner], by_id, indent + "  ")
    yield f"{indent}end"


def _label(text: str) -> str:
    return _UNSAFE.sub(" ", clean(text))


def _outside(key: str) -> str:
    """The source of a value that no node writes."""
    if "/" in key:
        return "the inputs of the node around it"
    return "the run's arguments" if key == "arguments" else "nothing"
