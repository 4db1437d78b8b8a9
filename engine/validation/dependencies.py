"""Dependencies name nodes that exist and can run first.

Pure. `advice.py` judges whether a dependency is useful.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.graph import shortest_cycles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.validation.problem import Report
    from engine.validation.subject import Spot, Subject

MAX_PATH_NODES = 30
"""Nodes of a circle that a message names."""


def unknown_dependencies(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        for at, name in enumerate(spot.node.dependencies):
            if name not in subject.by_id:
                report.add(
                    "UNKNOWN_DEPENDENCY",
                    f'Node "{spot.node.id}" depends on "{name}", which does not exist',
                    subject.pointer(spot, "dependencies", at),
                    lambda name=name: subject.node_names.question(name) or "Name a node of this or an earlier phase.",
                )


def forward_dependencies(subject: Subject, report: Report) -> None:
    """SPEC 1: dependencies are nodes of this or an earlier phase."""
    phases = subject.definition.phases
    for spot in subject.spots:
        for at, name in enumerate(spot.node.dependencies):
            other = subject.by_id.get(name)
            if other is not None and other.phase > spot.phase:
                own, later = phases[spot.phase].id, phases[other.phase].id
                report.add(
                    "FORWARD_DEPENDENCY",
                    f'Node "{spot.node.id}" of phase "{own}" depends on "{name}" of the later phase "{later}"',
                    subject.pointer(spot, "dependencies", at),
                    f'Move "{spot.node.id}" to phase "{later}", or "{name}" to phase "{own}" or an earlier one.',
                )


def circular_dependencies(subject: Subject, report: Report) -> None:
    """One shortest circle of each strongly connected component (SPEC 2), worded as in the guide's Troubleshooting."""
    names = {spot.node.id: spot.node.dependencies for spot in subject.by_id.values()}
    for cycle in shortest_cycles(names):
        whole = (*cycle, cycle[0])
        shown = whole if len(whole) <= MAX_PATH_NODES else (*whole[: MAX_PATH_NODES - 2], "…", whole[-1])
        owner, need = _weakest(cycle, subject)
        at = owner.node.dependencies.index(need)
        report.add(
            "CIRCULAR_DEPENDENCY",
            f"Circular dependency detected in command '{subject.shape.name}'\n  {' → '.join(shown)}",
            subject.pointer(owner, "dependencies", at),
            _way_out(cycle, owner.node.id, need),
        )


def _weakest(cycle: Sequence[str], subject: Subject) -> tuple[Spot, str]:
    """The most dispensable dependency of *cycle*: one without data flow, or one on a later node of the file."""
    steps = [(subject.by_id[name], need) for name, need in zip(cycle, (*cycle[1:], cycle[0]), strict=True)]

    def weight(step: tuple[Spot, str]) -> tuple[bool, bool]:
        spot, need = step
        written = {output.key for output in subject.by_id[need].node.context.outputs}
        read = {item.key for item in spot.node.context.inputs}
        return bool(written & read), subject.by_id[need].number <= spot.number

    return min(steps, key=weight)


def _way_out(cycle: Sequence[str], name: str, need: str) -> str:
    if len(cycle) == 1:
        return f'Remove "{name}" from its own dependencies.'
    members = ", ".join(f'"{member}"' for member in cycle[:MAX_PATH_NODES])
    return (
        f'Remove "{need}" from the dependencies of "{name}", or let {members} depend on a new node that produces '
        "what they share."
    )
