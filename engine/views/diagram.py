"""A plan as a Mermaid flowchart: phases as boxes, the critical path in bold.

Pure. It draws what was planned; what happened is the timeline's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.model.plan import NodeKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ids import NodeId
    from engine.model.plan import PhasePlan, Plan

_UNSAFE = re.compile(r"[^\w .,:;/()+\-]")
MINUTE = 60


def mermaid(plan: Plan) -> str:
    """*plan* as Mermaid text; names of nodes are numbered, labels cannot break out of their quotes."""
    names = {node.id: f"n{node.index}" for node in plan.nodes}
    lines = ["flowchart LR"]
    for phase in plan.phases:
        if phase.group is None:
            lines.extend(_box(plan, phase, names))
    for node in plan.nodes:
        lines.extend(f"  {names[before]} --> {names[node.id]}" for before in node.depends_on)
    lines.extend(_barriers(plan))
    if plan.critical_path:
        lines.append("  classDef critical stroke-width:3px")
        lines.append(f"  class {','.join(names[name] for name in plan.critical_path)} critical")
    return "\n".join(lines) + "\n"


def _box(plan: Plan, phase: PhasePlan, names: dict[NodeId, str], indent: str = "  ") -> Iterator[str]:
    """A phase with its nodes, and with the phases of the sub-commands in it."""
    by_id = {node.id: node for node in plan.nodes}
    yield f'{indent}subgraph p{phase.index}["{_label(phase.name)}"]'
    for name in phase.nodes:
        node = by_id[name]
        seconds = node.estimate.total_seconds()
        time = f"{seconds / MINUTE:g} min" if seconds >= MINUTE else f"{seconds:g} s"
        yield f'{indent}  {names[name]}["{_label(str(name))}<br/>{_label(node.agent)}, {time}"]'
        if node.kind is NodeKind.GROUP:
            for inner in node.inner:
                yield from _box(plan, plan.phases[inner], names, indent + "  ")
    yield f"{indent}end"


def _barriers(plan: Plan) -> Iterator[str]:
    """One arrow from each phase to the next that waits for it."""
    for phase in plan.phases:
        if phase.after is not None and phase.barrier:
            yield f"  p{phase.after} -.-> p{phase.index}"


def _label(text: str) -> str:
    return _UNSAFE.sub(" ", text)
