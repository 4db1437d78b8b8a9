"""Work orders for the client: what its own agents should do, ready to be passed on, each handed out once.

Effects: writes inputs that are too large for an answer to private files of the project, and remembers in the session's
memory what was handed out. The engine decides what there is to do.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from engine.executors.claude.prompt import answer_schema, host_prompt_of, large_inputs
from engine.executors.scratch import keep_file
from engine.text.cut import cut
from engine.text.redaction import redact
from mcp_server.answers import wire

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.executors.port import WorkOrder
    from engine.ids import AttemptId
    from engine.run.state import AttemptRecord
    from engine.service import View

LARGE_INPUT = 2 * 1024
"""Bytes of JSON above which an input is handed over as a file: the model reads every prompt that it passes on."""
ANY_AGENT = "general-purpose"
"""The subagent that does the work of an agent unknown to the client."""
MAX_DESCRIPTION_LENGTH = 60
MAX_OPEN = 50


class Work(msgspec.Struct, frozen=True):
    """A client's work for a run, as one answer reports it."""

    new: tuple[wire.WorkLine, ...] = ()
    """Orders that it does not have yet, in the order in which they began."""
    left_out: int = 0
    """Number of further new orders that did not fit."""
    open: tuple[wire.OpenLine, ...] = ()
    """Attempts that it has orders for and has not reported; the earliest if there are many."""
    stop: bool = False
    """Some of its orders are no longer wanted, and it did not know that yet."""


def _deadline(record: AttemptRecord | None) -> str:
    """When a client's attempt times out: it always starts at once."""
    deadline = record.deadline if record is not None else None
    return deadline.isoformat(timespec="seconds") if deadline is not None else ""


def hand_out(view: View, handed: set[AttemptId], *, room: int) -> Work:
    """The work of *view* for a client that has the orders of *handed*, to which the new ones are added.

    New orders are included while there is *room*, in characters, but at least one; the next answer has more.
    """
    nodes = view.run.nodes
    deadlines = {order.attempt: _deadline(nodes[order.node].live) for order in view.work}
    had = [wire.OpenLine(attempt=name, deadline=deadline) for name, deadline in deadlines.items() if name in handed]
    known = tuple(had[:MAX_OPEN])
    room -= sum(len(line.text()) for line in known)
    fresh = new_work(view, handed)
    lines: list[wire.WorkLine] = []
    for order in fresh:
        line = _line(order, deadlines[order.attempt])
        room -= len(line.text())
        if lines and room < 0:
            break
        lines.append(line)
    unwanted = handed.intersection(view.stop)
    handed.difference_update(unwanted)
    handed.update(order.attempt for order in fresh[: len(lines)])
    return Work(tuple(lines), len(fresh) - len(lines), known, bool(unwanted))


def new_work(view: View, handed: Collection[AttemptId]) -> list[WorkOrder]:
    """The orders of *view* that are not in *handed*."""
    return [order for order in view.work if order.attempt not in handed]


def _line(order: WorkOrder, deadline: str) -> wire.WorkLine:
    agent = order.agent
    words = " ".join(redact(order.task).split())
    return wire.WorkLine(
        attempt=order.attempt,
        node=order.node,
        subagent_type=agent.id if agent.known_to_claude_code else ANY_AGENT,
        description=cut(words, MAX_DESCRIPTION_LENGTH),
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
