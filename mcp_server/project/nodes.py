"""Nodes and attempts of a run by the names that users type: NODE or NODE#ATTEMPT.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.errors import NotFound
from engine.ids import NodeId
from engine.text.suggestions import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.run.state import AttemptRecord, NodeState, Run


class Chosen(NamedTuple):
    """An attempt of a node."""

    node: NodeState
    record: AttemptRecord

    @property
    def name(self) -> str:
        """As users type it."""
        return f"{self.node.plan.id}#{self.record.number}"


def find_node(run: Run, name: str) -> NodeState:
    """The node called *name*. Raises `NotFound` (NODE_NOT_FOUND)."""
    node = run.nodes.get(NodeId(name))
    if node is None:
        names = Names(run.nodes)
        hint = names.question(name) or f"Its nodes are {', '.join(names.names[:10])}."
        raise NotFound(f'run {run.id} has no node "{name}"', code="NODE_NOT_FOUND", hint=hint)
    return node


def parse_attempt(run: Run, name: str) -> tuple[NodeState, int | None]:
    """The node of *name*, NODE or NODE#ATTEMPT, and the number. Raises `NotFound`."""
    node, sign, number = name.rpartition("#")
    if name in run.nodes or not sign or not (number.isascii() and number.isdigit()):
        return find_node(run, name), None
    return find_node(run, node), int(number)


def attempts_of(run: Run, name: str | None) -> list[Chosen]:
    """The attempts of a node, or of all nodes, in the order in which they were made; of a sub-command those inside it.

    Raises `NotFound`: NODE_NOT_FOUND, or ATTEMPT_NOT_FOUND if *name* has the number of an attempt that was not made.
    """
    if name is None:
        return sorted(_all(run, ""), key=_order)
    node, number = parse_attempt(run, name)
    own = [Chosen(node, record) for record in node.attempts]
    if number is None:
        return sorted([*own, *_all(run, f"{node.plan.id}/")], key=_order)
    chosen = [one for one in own if one.record.number == number]
    if not chosen:
        made = f"It has made {len(own)}." if own else "It has made none yet."
        raise NotFound(f'node "{node.plan.id}" has no attempt {number}', code="ATTEMPT_NOT_FOUND", hint=made)
    return chosen


def _all(run: Run, prefix: str) -> Iterator[Chosen]:
    for name, node in run.nodes.items():
        if name.startswith(prefix):
            yield from (Chosen(node, record) for record in node.attempts)


def _order(chosen: Chosen) -> tuple[object, ...]:
    return chosen.record.scheduled_at, chosen.node.plan.index
