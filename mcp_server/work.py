"""Work orders for the client: what its own agents are asked to do, ready to be passed on.

Effects: inputs that are too large for an answer are written to private files of the project. What there is to do is the
engine's to say.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.executors.claude_prompt import answer_schema, host_prompt_of, large_inputs
from engine.executors.scratch import keep_file
from engine.redaction import redact
from mcp_server import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.executors.port import WorkOrder
    from engine.service import View

LARGE_INPUT = 2 * 1024
"""Bytes of JSON from which on an input is handed over as a file: the model reads every prompt that it passes on."""
ANY_AGENT = "general-purpose"
"""The subagent that takes the work of an agent which the client does not know."""
LONGEST_DESCRIPTION = 60


def work_lines(view: View) -> list[wire.WorkLine]:
    """The open work of *view*, in the order in which it began."""
    begun = {node: record for node, state in view.run.nodes.items() if (record := state.live) is not None}
    return [_line(order, begun[order.node].deadline.isoformat(timespec="seconds")) for order in view.work]


def _line(order: WorkOrder, deadline: str) -> wire.WorkLine:
    agent = order.agent
    words = " ".join(redact(order.task).split())
    return wire.WorkLine(
        attempt=order.attempt,
        node=order.node,
        subagent_type=agent.id if agent.known_to_claude_code else ANY_AGENT,
        description=words if len(words) <= LONGEST_DESCRIPTION else words[: LONGEST_DESCRIPTION - 1] + "…",
        prompt=host_prompt_of(order, dict(_files(order))),
        isolation=agent.isolation,
        outputs=[output.key for output in order.outputs],
        output_schema=answer_schema(order.outputs)["properties"]["outputs"],
        deadline=deadline,
    )


def _files(order: WorkOrder) -> Iterable[tuple[str, str]]:
    for key, data in large_inputs(order, LARGE_INPUT).items():
        name = f"{hashlib.blake2b(data, digest_size=16).hexdigest()}.json"
        yield key, str(keep_file(order.project, name, data))
