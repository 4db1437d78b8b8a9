"""Node ids and phase ids are unique.

Pure. The model checks the form of an id, `advice.py` whether it is descriptive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.validation.problem import Report
    from engine.validation.subject import Subject


def duplicate_node_ids(subject: Subject, report: Report) -> None:
    """SPEC 1: a node's id is unique in the whole command."""
    for spot in subject.spots:
        name = spot.node.id
        first = subject.by_id[name]
        if first is not spot:
            phase = subject.phase(first).id
            report.add(
                "DUPLICATE_NODE_ID",
                f'Node id "{name}" is used twice; its first use is in phase "{phase}"',
                subject.pointer(spot, "id"),
                lambda name=name: f'Rename this one, for example to "{_free(name, subject)}".',
            )


def duplicate_phase_ids(subject: Subject, report: Report) -> None:
    seen: set[str] = set()
    for number, phase in enumerate(subject.definition.phases):
        if phase.id in seen:
            report.add(
                "DUPLICATE_PHASE_ID",
                f'Phase id "{phase.id}" is used twice',
                subject.shape.pointer("phases", number, "id"),
                f'Rename this one, for example to "{phase.id}-{number + 1}".',
            )
        seen.add(phase.id)


def _free(name: str, subject: Subject) -> str:
    return next(
        other for number in range(2, len(subject.spots) + 3) if (other := f"{name}-{number}") not in subject.by_id
    )
