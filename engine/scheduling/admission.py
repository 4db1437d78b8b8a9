"""Opening phases and starting nodes: what must hold before an attempt exists.

Pure. SPEC 4 and 6. A node goes through skip condition, required inputs, approval, locks, breaker and budget, in this
order, and is started in the same decision that frees its slot. Where the budget is used up, nodes are held for as long
as something runs; when nothing does, the run stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.model.plan import NodeKind, SkipType
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, StopKind, WaitReason
from engine.run.signals import ReportOutcome
from engine.run.state import NodeStatus, level_of, parts_at
from engine.scheduling import budget, outcomes, readiness, saga
from engine.values import context

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from engine.ids import NodeId
    from engine.run.events import ValueRef
    from engine.run.signals import SupplyFacts
    from engine.run.state import NodeState, PhaseState, Run
    from engine.scheduling.decision import Turn


def advance(turn: Turn) -> None:
    """Start all that can start now; ends when slots, nodes or facts run out."""
    run = turn.run
    back: list[NodeState] = []
    while run.status is RunStatus.RUNNING and run.stop is None:
        if _end_phases(turn):
            continue
        node = readiness.pop_ready(run)
        if node is None:
            break
        if _is_held(run, node):  # before its facts are asked for: those of the next node would make it ask anew
            back.append(node)
        elif not _admit(turn, node):
            back.append(node)
            turn.wants = node.plan.id
            break
    if run.stop is None:
        for node in back:
            readiness.put_back(run, node)


def _is_held(run: Run, node: NodeState) -> bool:
    """Whether *node* has to wait for what runs: only when that has ended is it known what is left, if anything."""
    return run.running > 0 and budget.spent(run, node) is not None


def open_phases(turn: Turn, group: NodeId | None = None) -> None:
    """Open every phase of *group* whose time has come: all before it ended, or it has no barrier.

    None: the top level. A sub-command whose last phase has ended has done its work.
    """
    run = turn.run
    if group is not None and not readiness.is_at_work(run, group):
        return
    all_ended = True
    for index in level_of(run, group):
        phase = run.phases[index]
        if all_ended or not phase.plan.barrier:
            _open(turn, phase)
        all_ended = all_ended and phase.ended_at is not None
    if group is not None and all_ended:
        _end_group(turn, run.nodes[group])


def _open(turn: Turn, phase: PhaseState) -> None:
    if phase.opened_at is None:
        limit = phase.plan.timeout
        turn.emit(ev.PhaseOpened(turn.now, phase.plan.index, turn.now + limit if limit else None))


def _open_next(turn: Turn, group: NodeId | None) -> None:
    """A phase of *group* has ended: open the first that has not; those without a barrier are open already."""
    run = turn.run
    if group is not None and not readiness.is_at_work(run, group):
        return
    level = level_of(run, group)
    place = run.passed.get(group, 0)
    if place < len(level):
        _open(turn, run.phases[level[place]])
    elif group is not None:
        _end_group(turn, run.nodes[group])


def _end_group(turn: Turn, node: NodeState) -> None:
    """The phases inside have ended; a declared output that none of them gave fails the sub-command."""
    run, plan = turn.run, node.plan
    missing = [output.key for output in plan.outputs if not parts_at(run, f"{plan.id}/{output.key}", run.version)]
    failure = None
    if missing:
        message = f'Sub-command "{plan.id}" gave no output "{missing[0]}"'
        told = "\n".join((message, *_writers(run, f"{plan.id}/", missing[0])))
        failure = Failure(FailureKind.VALIDATION, "MISSING_OUTPUT", told)
    outcomes.attempt_ended(turn, ReportOutcome(plan.id, len(node.attempts), {}, failure))


def _end_phases(turn: Turn) -> bool:
    run = turn.run
    if run.open_phases and not run.drained:
        return False
    ended = list(run.drained)
    for index in ended:
        turn.emit(ev.PhaseEnded(turn.now, index))
    for group in dict.fromkeys(run.phases[index].plan.group for index in ended):
        _open_next(turn, group)
    if run.settled == len(run.nodes) and not run.open_phases and run.stop is None:
        turn.emit(ev.RunEnded(turn.now, *_end(turn)))
        return True
    return bool(ended)


def _end(turn: Turn) -> tuple[RunStatus, str]:
    run = turn.run
    if run.undo_failures:
        from_nodes = (saga.failure_text(run.nodes[name], run) for name in run.undo_failures)
        return RunStatus.COMPENSATION_FAILED, "\n".join(from_nodes)
    if run.failures:
        count = len(run.failures)
        return RunStatus.DEGRADED, f"{count} node{'s' if count > 1 else ''} failed: {', '.join(run.failures)}"
    return RunStatus.COMPLETED, ""


def _admit(turn: Turn, node: NodeState) -> bool:
    """Bring *node* one step on; False where its facts have to be fetched first."""
    plan = node.plan
    node_inputs: Mapping[str, ValueRef] = {}
    # a sub-command that has waited binds its inputs once more; one that goes on after a crash has them
    again = plan.kind is NodeKind.GROUP and node.started_at is None
    if again or not node.checked:
        if readiness.needs_facts(node):
            facts = turn.facts
            if facts is None or facts.node != plan.id:
                return False
            turn.facts = None
            if _judge(turn, node, facts):
                return True
            node_inputs = facts.inputs
        elif plan.inputs and _lacks_inputs(turn, node, readiness.missing_keys(turn.run, node)):
            return True
    if plan.approval is not None and not node.approved:
        turn.emit(ev.NodeWaiting(turn.now, plan.id, WaitReason.APPROVAL, None, plan.approval))
    elif plan.locks and not node.locked:
        resources = ", ".join(lock.resource for lock in plan.locks)
        turn.emit(ev.NodeWaiting(turn.now, plan.id, WaitReason.LOCKS, None, resources))
    elif (breaker := readiness.asks_breaker(turn.run, node)) is not None and node.admitted_at != turn.now:
        turn.emit(ev.NodeWaiting(turn.now, plan.id, WaitReason.BREAKER, None, breaker))
    else:
        _start(turn, node, node_inputs)
    return True


def _judge(turn: Turn, node: NodeState, facts: SupplyFacts) -> bool:
    """Skip or fail *node* by its facts; False where it may go on."""
    plan = node.plan
    skip = plan.skip
    if facts.failure is not None:
        outcomes.fail(turn, node, facts.failure)
        return True
    if skip is not None:
        try:
            holds = (
                conditions.parse(skip.expression).evaluate(facts.values)
                if skip.type is SkipType.CONTEXT
                else bool(facts.holds)
            )
        except InputError as error:
            outcomes.fail(turn, node, Failure(FailureKind.ERROR, error.code, error.message, error.hint))
            return True
        if holds:
            turn.emit(ev.NodeSkipped(turn.now, plan.id, skip.message or f"Skipped: {skip.expression}"))
            return True
    missing = readiness.missing_keys(turn.run, node)
    transformed = [spec for spec in plan.inputs if spec.transform and spec.key not in missing]
    bound = context.bind_inputs(transformed, facts.values, passthrough=False)
    if bound.failure is not None:
        outcomes.fail(turn, node, bound.failure)
        return True
    return _lacks_inputs(turn, node, [*missing, *bound.missing])


def _lacks_inputs(turn: Turn, node: NodeState, missing: list[str]) -> bool:
    if not missing:
        return False
    available = readiness.available_keys(turn.run, node)
    message = "\n".join(
        line
        for key in missing
        for line in (context.missing_input_message(node.plan.id, key, available), *_causes(turn, node, key, available))
    )
    outcomes.fail(turn, node, Failure(FailureKind.VALIDATION, "MISSING_INPUT", message))
    return True


def _causes(turn: Turn, node: NodeState, key: str, available: Collection[str]) -> Iterator[str]:
    """Why *node* lacks *key*: what became of the nodes that write it, or a transform that finds nothing."""
    transform = next((spec.transform for spec in node.plan.inputs if spec.key == key), None)
    if key in available and transform is not None:
        yield f'The transform {transform} finds nothing in the value of "{key}"'
        return
    yield from _writers(turn.run, node.plan.scope, key)


def _writers(run: Run, scope: str, key: str) -> Iterator[str]:
    """What became of the nodes in *scope* that write *key* and did not."""
    for other in run.nodes.values():
        if other.plan.scope != scope or all(output.key != key for output in other.plan.outputs):
            continue
        writer, failure = f'Node "{other.plan.id}", which writes "{key}",', other.failure
        if other.status is NodeStatus.SKIPPED:
            yield f"{writer} was skipped: {other.skip_message or 'by its condition'}"
        elif other.status is NodeStatus.FAILED and failure is not None:
            yield f"{writer} failed with {failure.code}: {failure.message}"


def _start(turn: Turn, node: NodeState, inputs: Mapping[str, ValueRef]) -> None:
    run = turn.run
    spent = budget.spent(run, node)
    if spent is not None:
        readiness.put_back(run, node)
        exceed(turn, *spent)
        return
    plan = node.plan
    again = node.started_at is not None
    turn.emit(
        ev.AttemptScheduled(
            turn.now,
            plan.id,
            len(node.attempts) + 1,
            Role.FORWARD,
            run.version if node.version is None else node.version,
            turn.deadline(plan, Role.FORWARD),
            dict(inputs),
            budget.grant(run, node),
        )
    )
    if plan.kind is NodeKind.GROUP:
        if again:  # what is inside may have failed while the sub-command waited to go on after a crash
            outcomes.stop_for_past_failures(turn)
            outcomes.go_on_stopping(turn)
        open_phases(turn, plan.id)


_OPTIONS = {
    "ATTEMPTS_EXHAUSTED": "--max-attempts-total",
    "BUDGET_EXCEEDED": "--max-cost-usd",
    "DURATION_EXCEEDED": "--max-duration-seconds",
}
"""How more of what is used up is given."""


def exceed(turn: Turn, code: str, message: str) -> None:
    """Stop the run because one of its limits is used up."""
    hint = (
        f"Give it more: `orchestrate resume {turn.run.id} --failed {_OPTIONS[code]} N` (settings count for new runs); "
        "run it again where it was rolled back."
    )
    failure = Failure(FailureKind.ERROR, code, message, hint=hint)
    outcomes.stop(turn, ev.StopCause(kind=StopKind.FAILURE, message=message, failure=failure))
