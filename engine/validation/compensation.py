"""Compensations have a task and an existing target.

Pure. `references.py` checks that their agents exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.validation.problem import Report
    from engine.validation.subject import Subject


def rollback_targets(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        undo = spot.node.compensation
        if undo is None or undo.rollback_to is None or undo.rollback_to in subject.by_id:
            continue
        name = undo.rollback_to
        report.add(
            "UNKNOWN_ROLLBACK_TARGET",
            f'Node "{spot.node.id}" rolls back to "{name}", which does not exist',
            subject.pointer(spot, "compensation", "rollbackTo"),
            lambda name=name: subject.node_names.question(name) or "Drop it to roll back the whole run.",
        )


def tasks(subject: Subject, report: Report) -> None:
    """SPEC 7: `task`, or else `description`."""
    for spot in subject.spots:
        undo = spot.node.compensation
        if undo and undo.type in ("rollback", "custom") and not (undo.task or (undo.description or "").strip()):
            report.add(
                "COMPENSATION_WITHOUT_TASK",
                f'Compensation of node "{spot.node.id}" has no task',
                subject.pointer(spot, "compensation"),
                'Add a "task" for the agent that undoes it.',
            )


def missing_compensations(subject: Subject, report: Report) -> None:
    """NO_COMPENSATION: a node holds something exclusively, so it means to change it."""
    for spot in subject.spots:
        resources = spot.node.resources
        locks = [lock.resource for lock in resources.locks if lock.type == "exclusive"] if resources else []
        if locks and spot.node.compensation is None and not spot.is_group:
            report.add(
                "NO_COMPENSATION",
                f'Node "{spot.node.id}" locks "{locks[0]}" exclusively and has no compensation',
                subject.pointer(spot),
                'Add a "compensation"; {"type": "none"} if there is nothing to undo.',
            )
