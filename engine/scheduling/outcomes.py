"""The consequences of an attempt's end: success, another try, a failed node, a stopping run.

Pure. SPEC 4 and 5. `saga` undoes nodes, `admission` starts them.

Theory of operation
===================

**The problem.** An attempt may be a program that takes a while to end, work of the client that no one can end, or a
sub-command, whose work is that of its nodes. It may fail just as it is cancelled, or succeed just as its time is over.
Each must get exactly one outcome, and nothing may be undone while something that relies on it still runs.

**Ending takes two steps.** `end_attempt` records the failure to end with (`AttemptStopping`); the outcome is decided
when the program has ended and reports (`attempt_ended`). A success that was too late for a timeout counts only if its
outputs were there in time; one that crosses a cancel counts always, since its effects exist and have to be undone.
Work of the client has no program to wait for and fails at once, as does a sub-command that takes its surroundings down
with it; one whose phase continues on error first waits for its nodes to end and to be undone.

**A failed attempt** leads to the first of these that applies: cancelled or failed with its surroundings, a wait for an
exhausted quota, a retry by policy, the one retry of a `retry` compensation, or failure of the node for good (`fail`).
A phase with `continueOnError` records that and continues; the node is settled once its own compensation has run.
Otherwise the failure spreads outwards: it stops the innermost enclosing sub-command whose phase continues on error, or
the run.

**Stopping is a condition, not a procedure.** `go_on_stopping` looks whether anything is to be undone and nothing live
is in its way, takes the next step if so, and does nothing otherwise. Every rule that may have removed the last obstacle
calls it; after a crash the same call continues where the journal ends. A rule that forgot it would leave a run that
never finishes stopping.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.model.plan import NodeKind
from engine.model.policy import NOT_TRUSTED, QUOTA_EXHAUSTED, CompensationType, Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, StopKind, WaitReason
from engine.run.nesting import inside, is_inside, outer
from engine.run.state import NodeStatus, is_model_work
from engine.scheduling import readiness, retry, saga

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ids import NodeId
    from engine.run.events import StopCause
    from engine.run.signals import ReportOutcome, StartAttempt
    from engine.run.state import AttemptRecord, NodeState, Run
    from engine.scheduling.step import Step

PHASE_TIMEOUT = "PHASE_TIMEOUT"
_IDLE = frozenset({NodeStatus.PENDING, NodeStatus.WAITING})
_NOT_OVER = _IDLE | {NodeStatus.RUNNING}
MAX_QUOTA_WAIT = timedelta(hours=24)
"""How long a node waits in all for an exhausted quota before it fails."""


def live_attempt(step: Step, name: NodeId, number: int) -> tuple[NodeState, AttemptRecord]:
    """Node and record of a live attempt; any other is rejected (the fence)."""
    node = step.run.nodes.get(name)
    live = None if node is None else node.live
    if node is None or live is None or live.number != number:
        raise StateError(
            f'Report rejected: attempt {number} of node "{name}" has already ended',
            code="STALE_ATTEMPT",
            hint="A retry has a new attempt id; ask `status` for the open work orders.",
        )
    return node, live


def attempt_ended(step: Step, signal: ReportOutcome) -> None:
    """Process the report of an attempt."""
    node, live = live_attempt(step, signal.node, signal.number)
    failure = signal.failure
    stopping = live.stopping
    if node.plan.kind is NodeKind.SUB_COMMAND and live.role is Role.FORWARD and failure is not None:
        end_attempt(step, signal.node, failure)
        go_on_stopping(step)
        return
    late = stopping is not None and stopping.kind is not FailureKind.CANCEL and not signal.in_time
    if stopping is not None and (failure is not None or late):
        failure = _stopped(stopping, failure)
    remarks = signal.left, signal.warnings
    if failure is None:
        outputs = dict(signal.outputs)
        step.emit(ev.AttemptSucceeded(step.now, signal.node, signal.number, outputs, signal.usage, *remarks))
    else:
        step.emit(ev.AttemptFailed(step.now, signal.node, signal.number, failure, signal.usage, *remarks, signal.begun))
        if live.role is Role.FORWARD:
            _forward_failed(step, node, failure)
        else:
            _compensation_failed(step, node, failure)
    go_on_stopping(step)


def _stopped(stopping: Failure, failure: Failure | None) -> Failure:
    """*stopping*, which ended the attempt, with what the attempt left: its last output, and where its work is kept."""
    if failure is None:
        return stopping
    hint = " ".join(part for part in (stopping.hint, failure.hint) if part) or None
    return replace(stopping, partial=failure.partial, hint=hint)


def renew(step: Step, name: NodeId, number: int) -> None:
    """Restart the timeout of an attempt; only the client's own work is renewed."""
    node, live = live_attempt(step, name, number)
    if is_clients(step.run, node, live.role) and live.stopping is None:
        step.emit(ev.AttemptRenewed(step.now, name, number, step.now + node.plan.timeout))


def start(step: Step, signal: StartAttempt) -> None:
    """Start the timeout of an attempt that has waited for its turn, unless it was asked to end."""
    name, number = signal.node, signal.number
    node, live = live_attempt(step, name, number)
    if live.started_at is None and live.stopping is None:
        ago = max(min(signal.ago, step.now - live.scheduled_at), timedelta())
        began = step.now - ago
        deadline = began + node.plan.timeout
        step.emit(ev.AttemptStarted(step.now, name, number, signal.worker, deadline, began if ago else None))


def warn(step: Step, name: NodeId, number: int, text: str) -> None:
    """Record a warning about an attempt that continues."""
    live_attempt(step, name, number)
    step.emit(ev.AttemptWarned(step.now, name, number, text))


def go_on_stopping(step: Step) -> None:
    """Take the next step of undoing, if there is one and no live attempt is in its way."""
    run = step.run
    if run.stop is None:
        if run.undoing:
            _compensate_undoing(step)
        for group in list(run.stopping):
            _end_group(step, run.nodes[group])
        return
    if run.live or run.ended:
        return
    if not run.stop.compensate:
        saga.give_up(step)
        return
    if run.status is RunStatus.PENDING and (run.undoing or run.saga is not None or saga.undo_order(run)):
        return  # resumed: it undoes nothing before it has its locks again
    if run.undoing:
        _compensate_undoing(step)
    elif run.saga is None:
        saga.begin(step)
    else:
        saga.undo_next(step)


def _compensate_undoing(step: Step) -> None:
    run = step.run
    for name in sorted(run.undoing, key=lambda name: run.nodes[name].plan.place):
        around = (run.nodes[group] for group in outer(name))
        # a list or loop has no locks, and may wait for the very place that its failing instance has
        if not any(_is_lost(group) and group.plan.template is None for group in around):
            saga.compensate(step, run.nodes[name])


def _is_lost(group: NodeState) -> bool:
    """Whether a group was lost in a crash and has yet to go on; a sub-command gets its locks back before."""
    return bool(group.attempts) and group.attempts[-1].lost and group.status in _IDLE


def _was_at_work(run: Run, group: NodeState, failure: Failure) -> bool:
    """Whether an idle sub-command has work inside it to undo, from before a crash or a resume."""
    return _is_lost(group) or (group.status in _IDLE and bool(saga.undo_order_inside(run, group.plan.id, failure.kind)))


def _end_group(step: Step, group: NodeState) -> None:
    """Undo what was done inside a failed sub-command, then fail it like any node of its phase."""
    run = step.run
    name, live = group.plan.id, group.live
    if live is None or live.stopping is None or any(is_inside(other, name) for other in (*run.live, *run.undoing)):
        return
    if run.stopping[name] is None:
        order = saga.undo_order_inside(run, name, live.stopping.kind)
        if order:
            step.emit(ev.SagaStarted(step.now, order, name))
            _compensate_undoing(step)
            return
    step.emit(ev.AttemptFailed(step.now, name, live.number, live.stopping))
    fail(step, group, live.stopping)


def _forward_failed(step: Step, node: NodeState, failure: Failure) -> None:
    plan = node.plan
    if is_stopping(step.run, plan.id):
        if failure.kind is FailureKind.CANCEL:
            step.emit(ev.NodeCancelled(step.now, plan.id))
        else:
            step.emit(ev.NodeFailed(step.now, plan.id, failure))
        return
    in_time = failure.code != PHASE_TIMEOUT
    if _awaits_quota(step, node, failure) or (in_time and _try_again(step, node, failure)):
        return
    compensation = plan.compensation
    if (
        in_time
        and compensation is not None
        and plan.kind is not NodeKind.SUB_COMMAND
        and compensation.type is CompensationType.RETRY
        and failure.kind in compensation.on
        and not node.retried_by_compensation
    ):
        step.emit(ev.NodeWaiting(step.now, plan.id, WaitReason.RETRY, step.now, by_compensation=True))
        step.emit(ev.NodeReady(step.now, plan.id))
        return
    fail(step, node, failure)


def _awaits_quota(step: Step, node: NodeState, failure: Failure) -> bool:
    """Have *node* wait for its breaker, which the exhausted quota has opened: the node is not at fault.

    A sub-command makes no calls itself: the nodes inside that did have failed for good, and would not run again.
    """
    breaker = readiness.breaker_of(step.run, node)
    waited = node.waited.get(WaitReason.BREAKER, timedelta(0))
    calls = node.plan.kind is not NodeKind.SUB_COMMAND or node.status is NodeStatus.COMPENSATING
    if failure.code != QUOTA_EXHAUSTED or breaker is None or waited >= MAX_QUOTA_WAIT or not calls:
        return False
    step.emit(ev.NodeWaiting(step.now, node.plan.id, WaitReason.BREAKER, None, f"{breaker}: {failure.message}"))
    return True


def _try_again(step: Step, node: NodeState, failure: Failure) -> bool:
    policy = node.plan.retry
    if policy is None or node.retries >= policy.max_retries or not retry.is_retryable(policy, failure):
        return False
    due = step.now + retry.next_delay(policy, node.retries + 1)
    detail = f"{node.retries + 1} of {policy.max_retries} after {failure.code}"
    step.emit(ev.NodeWaiting(step.now, node.plan.id, WaitReason.RETRY, due, detail))
    if due <= step.now:
        step.emit(ev.NodeReady(step.now, node.plan.id))
        if node.status is NodeStatus.COMPENSATING:
            saga.compensate(step, node)
    return True


def _compensation_failed(step: Step, node: NodeState, failure: Failure) -> None:
    if _awaits_quota(step, node, failure) or _try_again(step, node, failure):
        return
    run = step.run
    if failure.code == NOT_TRUSTED and run.stop is not None and run.stop.compensate and not run.live:
        # The user may trust the program later; a failed compensation would stay failed.
        step.emit(ev.RunInterrupted(step.now, f'undoing node "{node.plan.id}" needs your trust: {failure.message}'))
        return
    step.emit(ev.CompensationFailed(step.now, node.plan.id, failure))


def fail(step: Step, node: NodeState, failure: Failure) -> None:
    """Fail *node* for good: continue if its phase allows it, else stop the run."""
    plan = node.plan
    if plan.kind is NodeKind.SUB_COMMAND:
        if _tolerates(step.run, node, failure) and _was_at_work(step.run, node, failure):
            _fail_in_an_attempt(step, node, failure)
            return
        _cancel_idle(step, (step.run.nodes[name] for name in inside(step.run, plan.id)))
    if _tolerates(step.run, node, failure):
        undo = saga.is_undone_after(step.run, node, failure.kind)
        step.emit(ev.NodeFailed(step.now, plan.id, failure, compensating=undo))
        if undo:
            saga.compensate(step, node)
        return
    step.emit(ev.NodeFailed(step.now, plan.id, failure))
    _stop_for(step, node, failure)


def _fail_in_an_attempt(step: Step, group: NodeState, failure: Failure) -> None:
    """Make a failing sub-command live again for as long as it takes to undo the work inside it."""
    name = group.plan.id
    number, version = len(group.attempts) + 1, step.run.version if group.version is None else group.version
    due = step.now + group.plan.timeout
    step.emit(ev.AttemptScheduled(step.now, name, number, Role.FORWARD, version, due))
    end_attempt(step, name, failure)
    go_on_stopping(step)


def _cascades(node: NodeState, failure: Failure) -> bool:
    compensation = node.plan.compensation
    return (
        compensation is not None and compensation.type is CompensationType.CASCADE and failure.kind in compensation.on
    )


def _tolerates(run: Run, node: NodeState, failure: Failure) -> bool:
    """Whether the phase of *node* merely records the failure and continues."""
    return run.phases[node.plan.phase].plan.continue_on_error and not _cascades(node, failure)


def _stop_for(step: Step, node: NodeState, failure: Failure) -> None:
    """Stop what the failure of *node* reaches: the run, or the innermost sub-command whose phase continues."""
    run = step.run
    cascade = _cascades(node, failure)
    message = f'Node "{node.plan.id}" failed: {failure.message}'
    around = None if cascade else run.phases[node.plan.phase].plan.group
    while around is not None:
        phase = run.phases[run.nodes[around].plan.phase].plan
        if phase.continue_on_error:
            end_attempt(step, around, replace(failure, message=message, partial=None))
            go_on_stopping(step)
            return
        around = phase.group
    compensation = node.plan.compensation
    target = compensation.rollback_to if cascade and compensation is not None else None
    cause = ev.StopCause(kind=StopKind.FAILURE, message=message, node=node.plan.id, failure=failure, rollback_to=target)
    stop(step, cause)


def stop_for_past_failures(step: Step) -> None:
    """Stop a resumed run for a recorded failure that it had not acted upon yet.

    The failure of a node whose group is over has ended that, which may be undone at the moment.
    """
    run = step.run
    for name in run.failures:
        node = run.nodes[name]
        known = is_stopping(run, name) or any(run.nodes[group].status not in _NOT_OVER for group in outer(name))
        if node.failure is not None and not known and not _tolerates(run, node, node.failure):
            _stop_for(step, node, node.failure)


def stop(step: Step, cause: StopCause) -> None:
    """Stop the run: nothing new starts, forward attempts are asked to end; undoing waits for them."""
    run = step.run
    step.emit(ev.RunStopping(step.now, cause))
    if cause.node is not None and cause.failure is not None:
        for around in outer(cause.node):
            node = run.nodes.get(around)
            if node is not None and node.plan.template is not None:  # a failed instance fails its list or loop
                end_attempt(step, around, replace(cause.failure, message=cause.message, partial=None))
    failure = Failure(FailureKind.CANCEL, "CANCELLED", f"cancelled: {cause.message}")
    _cancel(step, run.nodes.values(), failure)
    go_on_stopping(step)


def _cancel(step: Step, nodes: Iterable[NodeState], failure: Failure) -> None:
    """End the forward attempts of *nodes*; a node waiting to run again is cancelled, and undone as well."""
    for node in nodes:
        live = node.live
        if live is not None:
            group = node.plan.kind is NodeKind.SUB_COMMAND
            if live.role is Role.FORWARD and (group or live.stopping is None):
                end_attempt(step, node.plan.id, failure)
        else:
            _cancel_idle(step, (node,))


def _cancel_idle(step: Step, nodes: Iterable[NodeState]) -> None:
    """Cancel those of *nodes* that wait, would run again or were admitted, which frees what they hold."""
    for node in nodes:
        has = node.started_at is not None or node.locked or node.admitted_at is not None
        idle = node.status is NodeStatus.WAITING or (node.status is NodeStatus.PENDING and has)
        if node.live is None and idle:
            step.emit(ev.NodeCancelled(step.now, node.plan.id))


def is_stopping(run: Run, name: NodeId) -> bool:
    """Whether the run, or a sub-command around *name*, is stopping."""
    return run.stop is not None or any(is_inside(name, group) for group in run.stopping)


def end_attempt(step: Step, name: NodeId, failure: Failure) -> None:
    """Ask a live attempt to end with *failure*; it ends at once if none of our programs has to end first."""
    run = step.run
    node = run.nodes[name]
    live = node.live
    if live is None:
        return
    group = node.plan.kind is NodeKind.SUB_COMMAND and live.role is Role.FORWARD
    if group and not is_stopping(run, name) and _tolerates(run, node, failure):
        if live.stopping is None:
            step.emit(ev.AttemptStopping(step.now, name, live.number, failure))
            cancelled = Failure(FailureKind.CANCEL, "CANCELLED", f"cancelled: {failure.message}")
            _cancel(step, [run.nodes[inner] for inner in inside(run, name)], cancelled)
        return
    step.emit(ev.AttemptStopping(step.now, name, live.number, failure))
    if group or is_clients(step.run, node, live.role):
        step.emit(ev.AttemptFailed(step.now, name, live.number, failure))
        if live.role is Role.FORWARD:
            _forward_failed(step, node, failure)
        else:
            _compensation_failed(step, node, failure)


def is_clients(run: Run, node: NodeState, role: Role) -> bool:
    """Whether the client makes the attempts of *role* and reports them: none of our programs has to end."""
    return run.executor == "host" and is_model_work(run, node.plan, undo=role is Role.COMPENSATE)


def timed_out(node: NodeState) -> Failure:
    """The guide's three lines about an attempt that took too long."""
    plan = node.plan
    limit = round(plan.timeout.total_seconds() * 1000)
    estimate = round(plan.estimate.total_seconds() * 1000)
    lines = [f'Node "{plan.id}" timed out after {limit}ms', f"Estimated time was: {estimate}ms"]
    if limit > estimate:  # an agent's own limit may be below
        lines.append(f"Actual time exceeded by: {limit - estimate}ms")
    return Failure(
        FailureKind.TIMEOUT,
        "TIMEOUT",
        "\n".join(lines),
        hint="Raise `timeout`, add a retryPolicy, or split the task.",
    )
