"""Timeouts exceed estimates.

Pure. Estimates learned from runs do not count: a file is judged by its own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.validation.problem import Report
    from engine.validation.subject import Subject

RULE_OF_THUMB = 3
HOUR = 3_600_000


def timeouts(subject: Subject, report: Report) -> None:
    """TIMEOUT_NOT_ABOVE_ESTIMATE, and the guide's rule of thumb as a warning."""
    for spot in subject.spots:
        timeout, estimate = spot.node.timeout, spot.node.estimated_time
        if timeout is None or timeout >= RULE_OF_THUMB * estimate:
            continue
        default = "" if "estimated_time" in spot.node.model_fields_set else ", the default"
        place = subject.pointer(spot, "timeout")
        advice = f'Set "timeout" to {RULE_OF_THUMB * estimate}.'
        if timeout <= estimate:
            message = (
                f'Timeout {timeout}ms of node "{spot.node.id}" is not above its estimated time {estimate}ms{default}'
            )
            report.add("TIMEOUT_NOT_ABOVE_ESTIMATE", message, place, advice)
        else:
            message = (
                f'Timeout {timeout}ms of node "{spot.node.id}" is below 3 x its estimated time {estimate}ms{default}'
            )
            report.add("TIMEOUT_BELOW_3X", message, place, advice)


def long_estimates(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        estimate = spot.node.estimated_time
        if estimate > HOUR:
            report.add(
                "LONG_ESTIMATE",
                f'Node "{spot.node.id}" is estimated to take {estimate / HOUR:.1f} hours',
                subject.pointer(spot, "estimatedTime"),
                "Split the node; times are in milliseconds.",
            )
