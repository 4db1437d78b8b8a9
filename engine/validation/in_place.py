"""A node has either an agent or phases in place; phases in place take and return what their node declares.

Pure. The rules of a command hold for phases in place as well: `Subject.within` prepares them as if they were one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.graph.expand import MAX_DEPTH
from engine.text.suggestions import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.validation.problem import Report
    from engine.validation.subject import Spot, Subject


def one_kind(subject: Subject, report: Report) -> None:
    """SPEC 1: a node has an agent or phases; phases have no retry policy, their nodes do."""
    for spot in subject.spots:
        node = spot.node
        if not node.phases:
            continue
        if node.agent_id:
            report.add(
                "SCHEMA",
                f'Node "{node.id}" has both an agent and phases',
                subject.pointer(spot, "agentId"),
                'Remove "agentId", or move the phases into a node of their own.',
            )
        if node.retry_policy is not None:
            report.add(
                "SCHEMA",
                f'Node "{node.id}" has phases in place, so it cannot have a retryPolicy',
                subject.pointer(spot, "retryPolicy"),
                "Put retry policies on the nodes inside.",
            )
        _outputs(subject, spot, report)


def _outputs(subject: Subject, spot: Spot, report: Report) -> None:
    """OUTPUT_WITHOUT_PROVIDER: neither a node inside writes it, nor is it an input."""
    nodes = [inner for phase in spot.node.phases for inner in phase.agents]
    written = {output.key for inner in nodes for output in inner.context.outputs}
    known = written | {item.key for item in spot.node.context.inputs}
    for at, output in enumerate(spot.node.context.outputs):
        if output.key not in known and not spot.node.context.passthrough:
            report.add(
                "OUTPUT_WITHOUT_PROVIDER",
                f'No node in the phases of node "{spot.node.id}" writes its output "{output.key}"',
                subject.pointer(spot, "context", "outputs", at, "key"),
                lambda key=output.key: Names(sorted(written)).question(key),
            )


def places(subject: Subject, report: Report | None = None) -> Iterator[Spot]:
    """The nodes of *subject* with phases in place; too deep ones are left out and reported."""
    for spot in subject.spots:
        if not spot.node.phases:
            continue
        if subject.level < MAX_DEPTH:
            yield spot
        elif report is not None:
            report.add(
                "TOO_MANY_NODES",
                f'The phases of node "{spot.node.id}" are more than {MAX_DEPTH} levels deep',
                subject.pointer(spot, "phases"),
                f"At most {MAX_DEPTH} levels can be run.",
            )
