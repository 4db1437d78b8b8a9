"""How a node with a template gets instances: nodes and phases of the run, made by the fold.

Pure. Mechanical: the event has decided how many there are. An instance is named by its number, `cover/2`, and the
nodes inside it below that, `cover/2/write`. Indexes of a template become indexes of the run, after those that exist.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs
from msgspec.structs import force_setattr
from msgspec.structs import replace as replaced

from engine.ids import NodeId
from engine.model.plan import NodePlan, PhasePlan, Template
from engine.model.policy import Merge
from engine.run.changes import close_phase, contribute, open_phase
from engine.run.lookup import instances, own_parts, parts_at
from engine.run.made import Folded, Listed, Literal, Named, Unfolded
from engine.run.nesting import inside, is_inside
from engine.run.state import NodeState, NodeStatus, PhaseState
from engine.run.titles import title

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from engine.model.policy import OutputDecl
    from engine.run import events as ev
    from engine.run.made import Ref
    from engine.run.state import Run


def unfolded(run: Run, event: ev.NodesUnfolded) -> None:
    """Make an instance for each item, all in one phase."""
    node = run.nodes[event.node]
    each = node.plan.each
    assert each is not None  # noqa: S101 - `run.legal` has seen it
    name, count = event.node, len(event.items)
    run.unfolded[name] = Unfolded(count, (each.name, "number"), event.items, event.keys)
    for key, ref in event.inputs.items():
        contribute(run, f"{name}/{key}", ref, event.at, Merge.REPLACE, node=name)
    index = len(run.phases)
    phase = PhasePlan(
        id=f"{name}/items",
        name=title(run, node),
        index=index,
        nodes=tuple(NodeId(f"{name}/{number}") for number in range(1, count + 1)),
        limit=each.limit,
        continue_on_error=each.continue_on_error,
        group=name,
        host=node.plan.phase,
    )
    run.phases.append(PhaseState(plan=phase, unsettled=count))
    maker = _Maker.of(node)
    for number in range(1, count + 1):
        maker.make(run, number, index)
    node.plan = _with_inner(node.plan, (index,))
    node.checked = True


def opened(run: Run, event: ev.IterationOpened) -> None:
    """Make the next iteration, in a phase of its own behind that of the one before."""
    node = run.nodes[event.node]
    name, number, plan = event.node, event.number, node.plan
    index = len(run.phases)
    shape = run.unfolded.setdefault(name, Unfolded(0, ("iteration",)))
    shape.count, shape.lacked = number, event.lacked
    phase = PhasePlan(
        id=f"{name}/{number}",
        name=f"{title(run, node)}, since {event.lacked}" if event.lacked else title(run, node),
        index=index,
        nodes=(NodeId(f"{name}/{number}"),),
        after=plan.inner[-1] if plan.inner else None,
        group=name,
        host=plan.phase,
    )
    run.phases.append(PhaseState(plan=phase, unsettled=1))
    run.judging.pop(name, None)
    before = NodeId(f"{name}/{number - 1}")
    if run.failures:  # those of the iteration before are answered by this one
        run.failures = [failed for failed in run.failures if not is_inside(failed, before)]
    _Maker.of(node).make(run, number, index)
    node.plan = _with_inner(plan, (*plan.inner, index))
    if event.at_once:
        open_phase(run, index, event.at)


def _with_inner(plan: NodePlan, inner: tuple[int, ...]) -> NodePlan:
    made = copy(plan)
    force_setattr(made, "inner", inner)
    return made


def seed(run: Run, node: NodeState, at: datetime) -> None:
    """Give a sub-command of a template the initial values of its command, except what it has been given."""
    plan = node.plan
    for key in plan.seeds:
        parts = own_parts(run, f"{plan.origin}/{key}", run.version)
        if parts and not _is_given(run, node, key) and not run.context.get(f"{plan.id}/{key}"):
            contribute(run, f"{plan.id}/{key}", parts[-1].ref, at, Merge.REPLACE, node=None)


def _is_given(run: Run, node: NodeState, key: str) -> bool:
    """Whether an instance inherits *key* from the node around it."""
    around = run.phases[node.plan.phase].plan.group
    if around is None or around not in run.unfolded:
        return False
    return key in run.unfolded[around].own or bool(run.context.get(f"{around}/{key}"))


def join(run: Run, node: NodeState, at: datetime) -> None:
    """Give each output of *node* the values of its completed items, in the order of the items."""
    each = node.plan.each
    for output in node.plan.outputs:
        if each is not None and output.key == each.failures:
            _give(run, node, output.key, [Listed(tuple(_failures(run, node)))], at)
        else:
            _join(run, node, output, at)


def _join(run: Run, node: NodeState, output: OutputDecl, at: datetime) -> None:
    plan, keys = node.plan, run.unfolded[node.plan.id].keys
    values: list[tuple[int, Ref]] = []
    for number, one in instances(run, plan.id):
        if one.status is NodeStatus.COMPLETED:
            parts = parts_at(run, f"{plan.id}/{number}/{output.key}", run.version)
            if parts:
                whole = len(parts) == 1 and parts[0].merge is Merge.REPLACE
                values.append((number, parts[0].ref if whole else Folded(tuple((p.merge, p.ref) for p in parts))))
    if not values:
        if not parts_at(run, plan.output_scope + output.key, run.version):
            as_object = bool(plan.each and plan.each.key) or output.merge is Merge.MERGE
            _give(run, node, output.key, [Named(()) if as_object else Listed(())], at)
    elif output.merge is not Merge.REPLACE:
        _give(run, node, output.key, [ref for _number, ref in values], at, merge=output.merge)
    elif keys:
        _give(run, node, output.key, [Named(tuple((keys[number - 1], ref) for number, ref in values))], at)
    else:
        _give(run, node, output.key, [Listed(tuple(ref for _number, ref in values))], at)


def _give(run: Run, node: NodeState, key: str, refs: list[Ref], at: datetime, *, merge: Merge = Merge.REPLACE) -> None:
    plan = node.plan
    for ref in refs:
        contribute(run, plan.output_scope + key, ref, at, merge, node=plan.id)
    node.outputs[key] = refs[0] if len(refs) == 1 else Folded(tuple((merge, ref) for ref in refs))


def _failures(run: Run, node: NodeState) -> Iterator[Ref]:
    shape = run.unfolded[node.plan.id]
    for number, one in instances(run, node.plan.id):
        failure = one.failure
        if failure is not None:
            members: list[tuple[str, Ref]] = [("number", Literal(number))]
            if shape.keys:
                members.append(("key", Literal(shape.keys[number - 1])))
            members.append(("item", shape.items[number - 1]))
            members += [("code", Literal(failure.code)), ("message", Literal(failure.message))]
            yield Named(tuple(members))


def drop(run: Run, node: NodeState) -> None:
    """Drop all instances of *node*; the numbers of their attempts are not used again."""
    name = node.plan.id
    phases = list(_phases_inside(run, node))
    for other in list(inside(run, name)):
        gone = run.nodes.pop(other)
        run.unfolded.pop(other, None)
        run.passed.pop(other, None)
        run.remarks.pop(other, None)
        run.former[other] = gone.attempts
        run.settled -= gone.settled
    run.context = {key: parts for key, parts in run.context.items() if not key.startswith(f"{name}/")}
    for index in phases:
        phase = run.phases[index]
        phase.plan = replaced(phase.plan, nodes=(), group=name, host=None, after=None)
        phase.ready.clear()
        phase.unsettled = 0
        close_phase(run, index)  # it is open if its run stopped: that keeps phases as they are
    node.plan = _with_inner(node.plan, ())
    run.unfolded.pop(name, None)
    run.passed.pop(name, None)


def _phases_inside(run: Run, node: NodeState) -> Iterator[int]:
    for index in node.plan.inner:
        yield index
        for name in run.phases[index].plan.nodes:
            yield from _phases_inside(run, run.nodes[name])


class _Maker(msgspec.Struct, frozen=True):
    """Makes the instances of one node."""

    around: NodePlan
    template: Template
    cut: int
    """Length of the id of the instance in the template."""
    rest: timedelta
    """The longest remaining path behind the node."""

    @classmethod
    def of(cls, node: NodeState) -> _Maker:
        plan = node.plan
        template = plan.template
        assert template is not None  # noqa: S101 - only such nodes have instances
        return cls(plan, template, len(template.nodes[0].id), plan.rank - plan.estimate)

    def make(self, run: Run, number: int, index: int) -> None:
        """Add instance *number*, which is in the phase *index*, and the nodes and phases inside it."""
        prefix = f"{self.around.id}/{number}"
        base = len(run.phases)
        for phase in self.template.phases:
            run.phases.append(PhaseState(plan=self._phase(phase, prefix, base), unsettled=len(phase.nodes)))
        for place in range(len(self.template.nodes)):
            run.turns += 1
            plan = (
                self._inner(place, prefix, base, run.turns) if place else self._instance(prefix, base, index, run.turns)
            )
            attempts = run.former.pop(plan.id, [])
            run.nodes[plan.id] = NodeState(plan=plan, blockers=len(plan.depends_on), attempts=attempts)

    def _phase(self, phase: PhasePlan, prefix: str, base: int) -> PhasePlan:
        return replaced(
            phase,
            id=self._at(phase.id, prefix),
            index=base + phase.index,
            nodes=tuple(self._at(name, prefix) for name in phase.nodes),
            after=None if phase.after is None else base + phase.after,
            group=None if phase.group is None else self._at(phase.group, prefix),
        )

    def _at(self, name: str, prefix: str) -> NodeId:
        return NodeId(prefix + name[self.cut :])

    def _instance(self, prefix: str, base: int, index: int, turn: int) -> NodePlan:
        node, around = self.template.nodes[0], self.around
        undo = node.compensation
        if undo is not None and undo.rollback_to is not None:  # it names a node beside the one around
            undo = structs.replace(undo, rollback_to=NodeId(around.scope + undo.rollback_to.rpartition("/")[2]))
        return self._like(
            0,
            id=NodeId(prefix),
            index=around.index,
            turn=turn,
            phase=index,
            depends_on=(),
            dependents=(),
            rank=self.rest + node.rank,
            compensation=undo,
            scope=f"{prefix}/",
            inner=tuple(base + inner for inner in node.inner) if node.inner else (),
            target=None if node.target is None else f"{around.id}/",
            origin=node.id,
            arguments_of=around.arguments_of,
        )

    def _inner(self, place: int, prefix: str, base: int, turn: int) -> NodePlan:
        node = self.template.nodes[place]
        undo = node.compensation
        if undo is not None and undo.rollback_to is not None:
            undo = structs.replace(undo, rollback_to=self._at(undo.rollback_to, prefix))
        return self._like(
            place,
            id=self._at(node.id, prefix),
            index=self.around.index,
            turn=turn,
            phase=base + node.phase,
            depends_on=tuple(self._at(name, prefix) for name in node.depends_on),
            dependents=tuple(self._at(name, prefix) for name in node.dependents),
            rank=self.rest + node.rank,
            compensation=undo,
            scope=self._at(node.scope, prefix),
            inner=tuple(base + inner for inner in node.inner),
            target=node.target,
            origin=node.id,
            arguments_of=self._arguments_of(node, prefix),
        )

    def _arguments_of(self, node: NodePlan, prefix: str) -> NodeId | None:
        outside = node.arguments_of is None or not node.arguments_of.startswith(self.template.nodes[0].id)
        return self.around.arguments_of if outside else self._at(node.arguments_of or "", prefix)

    def _like(self, place: int, **own: object) -> NodePlan:
        """The plan of the node at *place* of the template with the fields of *own*, which are all that can differ."""
        made = copy(self.template.nodes[place])
        for name, value in own.items():
            force_setattr(made, name, value)
        return made
