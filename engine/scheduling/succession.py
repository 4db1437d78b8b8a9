"""The successors of a node: what waits for it, and what reads its outputs.

Pure. One definition for undoing, for retrying failed nodes, and for the views. Nothing is decided here.

A node comes after another by order, if it depends on it or stands behind its barrier; or by its values, if it began
when the other was over and reads an output that this produced, or would have produced had it not failed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.model.plan import SkipType
from engine.run.lookup import is_superseded
from engine.run.nesting import inside, level_of
from engine.run.state import NodeStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from engine.ids import NodeId
    from engine.model.plan import NodePlan
    from engine.run.state import NodeState, Run

_UNDONE = frozenset({NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.COMPENSATED})


def before(run: Run, node: NodeState) -> Iterator[NodeId]:
    """The nodes that *node* may have had to wait for: dependencies and the phase before, its own and of outer nodes."""
    for name in node.plan.depends_on:
        yield from _with_nodes_inside(run, name)
    phase = run.phases[node.plan.phase].plan
    if phase.after is not None and phase.barrier:
        for name in run.phases[phase.after].plan.nodes:
            yield from _with_nodes_inside(run, name)
    elif phase.group is not None:
        yield from before(run, run.nodes[phase.group])


def after(run: Run, target: NodeId) -> set[NodeId]:
    """Nodes that come after *target*, by order or by values, directly or not, with the nodes inside them."""
    readers = Readers(run)
    found: set[NodeId] = set()
    stack = [target]
    passed: set[int] = set()
    while stack:
        name = stack.pop()
        following = [*run.nodes[name].plan.dependents, *readers.of(name), *_behind(run, name, passed)]
        for other in (inner for one in following for inner in _with_nodes_inside(run, one)):
            if other not in found and other != target:
                found.add(other)
                stack.append(other)
    return found


def to_redo(run: Run) -> dict[NodeId, bool]:
    """The nodes to run again when the failed nodes of *run* are retried.

    These are the unfinished nodes, those that depend on them, those that have read, or would have read, their outputs,
    and the groups around all of these. True: as a whole, because something before it runs again, so that a list is
    looked up again; a group around a failed node keeps what is completed inside.
    """
    readers = Readers(run)
    again: dict[NodeId, bool] = {}
    undone = [name for name, node in run.nodes.items() if node.status in _UNDONE]
    stack = [(name, False) for name in undone if not (run.unfolded and is_superseded(run, name))]
    stack += [(name, False) for name in run.exhausted]
    while stack:
        name, whole = stack.pop()
        known = again.get(name)
        again[name] = whole or bool(known)
        if known is not None:
            continue
        plan = run.nodes[name].plan
        for other in (*plan.dependents, *readers.of(name)):
            stack += [(inner, True) for inner in _with_nodes_inside(run, other)]
        around = run.phases[plan.phase].plan.group
        if around is not None:
            stack.append((around, False))
    return {name: whole and run.nodes[name].plan.template is not None for name, whole in again.items()}


class Readers:
    """The readers of each context key, by the plan and by when they looked."""

    def __init__(self, run: Run) -> None:
        """Look at all nodes of *run* that have begun, or were skipped because of what they read."""
        self._run = run
        self._by_key: defaultdict[str, list[NodeId]] = defaultdict(list)
        self._by_scope: defaultdict[str, list[NodeId]] = defaultdict(list)
        for name, node in run.nodes.items():
            if _looked_at(node) is None:
                continue
            keys = reads(node.plan)
            if keys is None:
                self._by_scope[node.plan.scope].append(name)
            for key in keys or ():
                self._by_key[node.plan.scope + key].append(name)

    def of(self, name: NodeId) -> Iterator[NodeId]:
        """The nodes that read the outputs of *name* and began when it was over."""
        writer = self._run.nodes[name]
        scope, ended = writer.plan.scope, writer.ended_at
        if ended is None or not writer.plan.outputs:
            return
        some = (self._by_key.get(scope + output.key, ()) for output in writer.plan.outputs)
        for reader in dict.fromkeys((*self._by_scope.get(scope, ()), *(one for names in some for one in names))):
            looked = _looked_at(self._run.nodes[reader])
            if reader != name and looked is not None and looked >= ended:
                yield reader


def reads(plan: NodePlan) -> frozenset[str] | None:
    """The context keys that a node reads, for its work or its skip condition; None: any."""
    skip = plan.skip
    if plan.passthrough or (skip is not None and skip.type is SkipType.CUSTOM):
        return None
    keys = {spec.key for spec in plan.inputs}
    if skip is not None and skip.type is SkipType.CONTEXT:
        try:
            keys |= conditions.parse(skip.expression).names
        except InputError:  # the node has failed because of it
            return frozenset(keys)
    return frozenset(keys)


def _looked_at(node: NodeState) -> datetime | None:
    """When *node* looked at the context for the first time."""
    if node.started_at is not None:
        return node.started_at
    return node.ended_at if node.status in {NodeStatus.SKIPPED, NodeStatus.FAILED} else None


def _behind(run: Run, name: NodeId, passed: set[int]) -> Iterator[NodeId]:
    """Nodes of the phases that open only after that of *name*, leaving out *passed* phases; these are added to it."""
    phase = run.phases[run.nodes[name].plan.phase].plan
    for index in level_of(run, phase.group):
        if index > phase.index and run.phases[index].plan.barrier and index not in passed:
            passed.add(index)
            yield from run.phases[index].plan.nodes


def _with_nodes_inside(run: Run, name: NodeId) -> Iterable[NodeId]:
    """*name*, and the nodes inside it if it is a sub-command."""
    return (name, *inside(run, name)) if run.nodes[name].plan.inner else (name,)
