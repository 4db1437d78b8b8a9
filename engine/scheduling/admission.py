"""Opening phases and starting nodes: what must hold before an attempt exists.

Pure. SPEC 4 and 6. A node goes through skip condition, required inputs, approval, locks, breaker and budget, in this
order, and is started in the same decision that frees its slot. When the budget is used up, nodes are held for as long
as an attempt runs; when none does, the run stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.model.plan import IN_PLACE, NodeKind, SkipType
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, StopKind, WaitReason
from engine.run.lookup import instances, parts_at
from engine.run.nesting import level_of
from engine.run.signals import ReportOutcome
from engine.run.state import NodeStatus
from engine.scheduling import budget, iterations, outcomes, readiness, saga
from engine.values import context

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.ids import NodeId
    from engine.model.plan import NodePlan
    from engine.run.events import ValueRef
    from engine.run.signals import SupplyObservations
    from engine.run.state import NodeState, PhaseState, Run
    from engine.scheduling.step import Step


def advance(step: Step) -> None:
    """Start all that can start now; ends when slots, nodes or observations run out."""
    run = step.run
    back: list[NodeState] = []
    while run.status is RunStatus.RUNNING and run.stop is None:
        if _end_phases(step):
            continue
        if run.judging:
            if not iterations.judge(step):
                break
            continue
        node = readiness.pop_ready(run)
        if node is None:
            break
        if _is_held(run, node):  # before its observations: those of the next node would make it ask again
            back.append(node)
        elif not _admit(step, node):
            back.append(node)
            step.wants = node.plan.id
            break
    if run.stop is None:
        for node in back:
            readiness.put_back(run, node)


def go_on(step: Step, observations: SupplyObservations) -> None:
    """Continue *step* with the *observations* that it wants, at the same time."""
    step.wants, step.observations = None, observations
    advance(step)


def _is_held(run: Run, node: NodeState) -> bool:
    """Whether *node* has to wait for running attempts: only their end shows how much of a limit is left."""
    return run.running > 0 and budget.spent(run, node) is not None


def open_phases(step: Step, group: NodeId | None = None) -> None:
    """Open every phase of *group* that may open: all phases before it have ended, or it has no barrier.

    None: the top level. A sub-command ends with its last phase.
    """
    run = step.run
    if group is not None and not readiness.is_at_work(run, group):
        return
    all_ended = True
    for index in level_of(run, group):
        phase = run.phases[index]
        if all_ended or not phase.plan.barrier:
            _open(step, phase)
        all_ended = all_ended and phase.ended_at is not None
    if group is not None and all_ended:
        _end_group(step, run.nodes[group])


def _open(step: Step, phase: PhaseState) -> None:
    if phase.opened_at is None:
        limit = phase.plan.timeout
        step.emit(ev.PhaseOpened(step.now, phase.plan.index, step.now + limit if limit else None))


def _open_next(step: Step, group: NodeId | None) -> None:
    """Open the first phase of *group* that has not ended; those without a barrier are open already."""
    run = step.run
    if group is not None and not readiness.is_at_work(run, group):
        return
    level = level_of(run, group)
    place = run.passed.get(group, 0)
    if place < len(level):
        _open(step, run.phases[level[place]])
    elif group is not None:
        _end_group(step, run.nodes[group])


def _end_group(step: Step, node: NodeState) -> None:
    """End a sub-command whose phases have ended; it fails if none of them produced a declared output.

    Loops go on by the condition that `iterations` evaluates.
    """
    run, plan = step.run, node.plan
    if plan.loop is not None:
        return
    failure = all_failed(run, plan.id) if plan.each is not None else None
    missing = [] if plan.each is not None else missing_outputs(run, plan)
    if missing:
        kind = "Sub-command" if plan.agent != IN_PLACE else "Node"
        message = f'{kind} "{plan.id}" produced no output "{missing[0]}"'
        text = "\n".join((message, *_writers(run, f"{plan.id}/", missing[0])))
        failure = Failure(FailureKind.VALIDATION, "MISSING_OUTPUT", text)
    outcomes.attempt_ended(step, ReportOutcome(plan.id, len(node.attempts), {}, failure))


def all_failed(run: Run, name: NodeId) -> Failure | None:
    """The failure of a node with forEach, all of whose items failed; None if it is completed."""
    failures = [one.failure for _number, one in instances(run, name)]
    first = next((failure for failure in failures if failure is not None), None)
    if first is None or None in failures:
        return None
    count = f"All {len(failures)} items failed; the first" if len(failures) > 1 else "Its only item failed"
    return Failure(first.kind, "ALL_ITEMS_FAILED", f"{count}: {first.code}: {first.message}", first.hint)


def missing_outputs(run: Run, plan: NodePlan) -> list[str]:
    """Keys that the group *plan* has to hand out and that nothing inside it has written."""
    return [
        output.key
        for output in plan.outputs
        if output.required and not parts_at(run, f"{plan.id}/{output.key}", run.version)
    ]


def _end_phases(step: Step) -> bool:
    run = step.run
    if run.open_phases and not run.drained:
        return False
    ended = list(run.drained)
    for index in ended:
        step.emit(ev.PhaseEnded(step.now, index))
    for group in dict.fromkeys(run.phases[index].plan.group for index in ended):
        _open_next(step, group)
    if run.settled == len(run.nodes) and not run.open_phases and run.stop is None:
        step.emit(ev.RunEnded(step.now, *_end(step)))
        return True
    return bool(ended)


def _end(step: Step) -> tuple[RunStatus, str]:
    run = step.run
    if run.undo_failures:
        from_nodes = (saga.failure_text(run.nodes[name], run) for name in run.undo_failures)
        return RunStatus.COMPENSATION_FAILED, "\n".join(from_nodes)
    parts = []
    if run.failures:
        parts.append(f"{_nodes(run.failures)} failed: {', '.join(run.failures)}")
    if run.exhausted:
        parts.append(f"{_nodes(run.exhausted)} did not converge: {', '.join(run.exhausted)}")
    if parts:
        return RunStatus.DEGRADED, "; ".join(parts)
    return RunStatus.COMPLETED, ""


def _nodes(names: Sequence[NodeId]) -> str:
    return f"{len(names)} node{'s' if len(names) > 1 else ''}"


def _admit(step: Step, node: NodeState) -> bool:
    """Advance *node* by one step; False if its observations have to be fetched first."""
    plan = node.plan
    node_inputs: Mapping[str, ValueRef] = {}
    about = iterations.count_of(step.run, plan)
    # a sub-command that has waited binds its inputs again; one that continues after a crash has them
    again = plan.kind is NodeKind.SUB_COMMAND and node.started_at is None
    if plan.id not in step.run.unfolded and (again or not node.checked):  # else it keeps its inputs and items
        if readiness.needs_observations(node):
            observations = step.observations
            if observations is None or observations.node != plan.id:
                return False
            step.observations = None
            if _judge(step, node, observations):
                return True
            if plan.each is None:
                node_inputs = observations.inputs
            elif not _unfold(step, node, observations):
                return True
            about = iterations.about(observations)
        elif plan.inputs and _lacks_inputs(step, node, readiness.missing_keys(step.run, node)):
            return True
    if plan.approval is not None and not node.approved and not _is_empty(step.run, plan):
        step.emit(ev.NodeWaiting(step.now, plan.id, WaitReason.APPROVAL, None, plan.approval + about))
    elif plan.locks and not node.locked:
        resources = ", ".join(lock.resource for lock in plan.locks)
        step.emit(ev.NodeWaiting(step.now, plan.id, WaitReason.LOCKS, None, resources))
    elif (breaker := readiness.asks_breaker(step.run, node)) is not None and node.admitted_at != step.now:
        step.emit(ev.NodeWaiting(step.now, plan.id, WaitReason.BREAKER, None, breaker))
    else:
        _start(step, node, node_inputs)
    return True


def _is_empty(run: Run, plan: NodePlan) -> bool:
    """Whether *plan* has a list without items: there is nothing to ask about."""
    return plan.each is not None and not run.unfolded[plan.id].count


def _unfold(step: Step, node: NodeState, observations: SupplyObservations) -> bool:
    """Make the instances of a node with forEach; False if its list cannot be used, which has failed it."""
    run, name = step.run, node.plan.id
    failure = observations.unusable or iterations.too_many(run, node.plan, len(observations.items))
    if failure is not None:
        outcomes.fail(step, node, failure)
        return False
    keys = observations.keys
    step.emit(ev.NodesUnfolded(step.now, name, observations.items, keys, dict(observations.inputs)))
    return True


def _judge(step: Step, node: NodeState, observations: SupplyObservations) -> bool:
    """Skip or fail *node* by its observations; False if it may proceed."""
    plan = node.plan
    skip = plan.skip
    if observations.failure is not None:
        outcomes.fail(step, node, observations.failure)
        return True
    if skip is not None:
        try:
            holds = (
                conditions.parse(skip.expression).evaluate(observations.values)
                if skip.type is SkipType.CONTEXT
                else bool(observations.holds)
            )
        except InputError as error:
            outcomes.fail(step, node, Failure(FailureKind.ERROR, error.code, error.message, error.hint))
            return True
        if holds:
            step.emit(
                ev.NodeSkipped(step.now, plan.id, observations.message or skip.message or f"Skipped: {skip.expression}")
            )
            return True
    missing = readiness.missing_keys(step.run, node)
    transformed = [spec for spec in plan.inputs if spec.transform and spec.key not in missing]
    bound = context.bind_inputs(transformed, observations.values, passthrough=False)
    if bound.failure is not None:
        outcomes.fail(step, node, bound.failure)
        return True
    return _lacks_inputs(step, node, [*missing, *bound.missing])


def _lacks_inputs(step: Step, node: NodeState, missing: list[str]) -> bool:
    if not missing:
        return False
    available = readiness.available_keys(step.run, node)
    message = "\n".join(
        line
        for key in missing
        for line in (context.missing_input_message(node.plan.id, key, available), *_causes(step, node, key, available))
    )
    outcomes.fail(step, node, Failure(FailureKind.VALIDATION, "MISSING_INPUT", message))
    return True


def _causes(step: Step, node: NodeState, key: str, available: Collection[str]) -> Iterator[str]:
    """Why *node* lacks *key*: the nodes that should have written it, or a transform that finds nothing."""
    transform = next((spec.transform for spec in node.plan.inputs if spec.key == key), None)
    if key in available and transform is not None:
        yield f'The transform {transform} finds nothing in the value of "{key}"'
        return
    yield from _writers(step.run, node.plan.scope, key)


def _writers(run: Run, scope: str, key: str) -> Iterator[str]:
    """Why the nodes in *scope* that write *key* have not written it."""
    for other in run.nodes.values():
        if other.plan.scope != scope or all(output.key != key for output in other.plan.outputs):
            continue
        writer, failure = f'Node "{other.plan.id}", which writes "{key}",', other.failure
        if other.status is NodeStatus.SKIPPED:
            yield f"{writer} was skipped: {other.skip_message or 'by its condition'}"
        elif other.status is NodeStatus.FAILED and failure is not None:
            yield f"{writer} failed with {failure.code}: {failure.message}"


def _start(step: Step, node: NodeState, inputs: Mapping[str, ValueRef]) -> None:
    run = step.run
    spent = budget.spent(run, node)
    if spent is not None:
        readiness.put_back(run, node)
        exceed(step, *spent)
        return
    plan = node.plan
    again = node.started_at is not None
    deadline, elsewhere = step.place(plan, Role.FORWARD)
    step.emit(
        ev.AttemptScheduled(
            step.now,
            plan.id,
            len(node.attempts) + 1,
            Role.FORWARD,
            run.version if node.version is None else node.version,
            deadline,
            dict(inputs),
            budget.grant(run, node),
            elsewhere,
        )
    )
    if plan.kind is NodeKind.SUB_COMMAND:
        if plan.loop is not None and plan.id not in run.unfolded and not iterations.begin(step, node):
            return
        if again:  # nodes inside may have failed while the sub-command waited to continue after a crash
            outcomes.stop_for_past_failures(step)
            outcomes.go_on_stopping(step)
        open_phases(step, plan.id)


_OPTIONS = {
    "ATTEMPTS_EXHAUSTED": "--max-attempts-total",
    "BUDGET_EXCEEDED": "--max-cost-usd",
    "DURATION_EXCEEDED": "--max-duration-seconds",
}
"""The option that raises each limit."""


def exceed(step: Step, code: str, message: str) -> None:
    """Stop the run because one of its limits is used up."""
    hint = (
        f"Run it again with {_OPTIONS[code]} N: a simulation cannot be resumed."
        if step.run.executor == "simulate"  # it is recorded under another id, too
        else f"Give it more: `orchestrate resume {step.run.id} --failed {_OPTIONS[code]} N` "
        "(settings apply to new runs only). If it was rolled back, run it again."
    )
    failure = Failure(FailureKind.ERROR, code, message, hint=hint)
    outcomes.stop(step, ev.StopCause(kind=StopKind.FAILURE, message=message, failure=failure))
