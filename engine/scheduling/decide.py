"""`decide`: one pure function from a signal to the events that follow from it.

Pure. All policy of a run is reached from here and nowhere else: order and limits (`admission`), retries and failures
(`outcomes`), undoing (`saga`).

Theory of operation
===================

**The problem.** Reports, answers, lock grants, cancels and timers reach a run in any order, and its process may die
between any two of them. The next action must follow from the journal alone, or a resumed run would act differently
from one that was never interrupted.

**The idea.** `decide` turns one signal into events and folds each into the run at once, so that the next rule of the
same step sees it. The owner commits all events of a step together, and starts programs only afterwards; if the commit
fails it drops the state, and only the journal counts. Events are facts: folding them later asks no rule of this
package, so a changed policy cannot change the past.

**Time and the world come in as values.** *now* is an argument; due times go out in events and come back as `Tick`. No
rule reads a value or a file: where a skip condition or a transform needs one, the step ends early with `Step.wants`,
and the owner makes it `go_on` with observations.

**No step stops halfway.** After every signal `admission.advance` starts all that can start. Without it a free slot or
an ended phase would go unnoticed until some unrelated signal arrived.

**Late signals.** An attempt may be over when its report arrives, a wait when its grant does. Requests of a person or a
client then raise `StateError` before anything is decided; tables and timers cannot know, so theirs are ignored.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import StateError
from engine.model.plan import NodeKind
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Limits, Role, RunStatus, StopKind, WaitReason
from engine.run.nesting import inside
from engine.run.reducer import create
from engine.run.state import NodeStatus, is_undone_now
from engine.scheduling import admission, losses, outcomes, saga, succession
from engine.scheduling.step import Step, at_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, Run, Timer
    from engine.scheduling.step import Queues


def start(signal: sig.StartRun, now: datetime, queues: Queues = at_once, elsewhere: Queues = at_once) -> Step:
    """Create a run; without locks of its own it starts at once, else its owner asks for them."""
    created = ev.RunCreated(
        now,
        signal.run,
        signal.plan,
        signal.owner,
        signal.executor,
        dict(sorted(signal.initial.items())),
        signal.arguments,
        signal.limits or Limits(),
        signal.worktree,
        signal.definition,
        signal.traceparent,
    )
    step = Step(create(created), now, [created], queues, elsewhere)
    if not signal.plan.locks:
        _begin(step)
    return step


def decide(run: Run, signal: sig.Signal, now: datetime, queues: Queues = at_once, elsewhere: Queues = at_once) -> Step:
    """Decide *signal* on *run*: its events are already folded, and have yet to be committed.

    *queues* says which attempts have to wait for their turn before their time starts, *elsewhere* which of them another
    machine runs.
    `Step.wants` names a node whose observations are needed before the decision can continue: make them, and let it
    `admission.go_on`.
    Raises `StateError` for a request that is not possible in the run's state; nothing is changed then.
    """
    step = Step(run, now, queues=queues, elsewhere=elsewhere)
    if run.ended and not isinstance(signal, sig.Resume):
        _after_the_end(run, signal)
        return step
    _DECIDE[type(signal)](step, signal)
    admission.advance(step)
    return step


def _after_the_end(run: Run, signal: sig.Signal) -> None:
    """Decide nothing: reject requests, and ignore what tables and timers report too late."""
    if isinstance(signal, sig.ReportOutcome | sig.RenewAttempt | sig.LoseAttempt):
        raise StateError(f"Report rejected: run {run.id} has already ended ({run.status})", code="STALE_ATTEMPT")
    if isinstance(signal, sig.Decide):
        check_answer(run, signal.node, signal.answer)


def _begin(step: Step) -> None:
    step.emit(ev.RunStarted(step.now))
    _continue(step)
    admission.advance(step)


def _report(step: Step, signal: sig.ReportOutcome) -> None:
    node, live = outcomes.live_attempt(step, signal.node, signal.number)
    if node.plan.kind is NodeKind.SUB_COMMAND and live.role is Role.FORWARD:
        raise StateError(
            f'"{signal.node}" does no work itself ({node.plan.doer}): report the work inside it', code="NOT_REPORTABLE"
        )
    outcomes.attempt_ended(step, signal)


def _start(step: Step, signal: sig.StartAttempt) -> None:
    outcomes.start(step, signal)


def _renew(step: Step, signal: sig.RenewAttempt) -> None:
    outcomes.renew(step, signal.node, signal.number)


def _warn(step: Step, signal: sig.WarnAttempt) -> None:
    outcomes.warn(step, signal.node, signal.number, signal.text)


def _end(step: Step, signal: sig.EndAttempt) -> None:
    node = step.run.nodes[signal.node]
    if node.live is not None and node.live.number == signal.number and node.live.stopping is None:
        outcomes.end_attempt(step, signal.node, signal.failure)
        outcomes.go_on_stopping(step)


def _lose(step: Step, signal: sig.LoseAttempt) -> None:
    losses.lose(step, signal.node, signal.number, signal.worker)


def _cancel(step: Step, signal: sig.RequestCancel) -> None:
    run = step.run
    message = f"cancelled: {signal.reason}" if signal.reason else "cancelled"
    cause = ev.StopCause(kind=StopKind.CANCEL, message=message, compensate=signal.compensate)
    if run.stop is None:
        outcomes.stop(step, cause)
    elif not signal.compensate and run.stop.compensate:
        step.emit(ev.RunStopping(step.now, cause))
        outcomes.go_on_stopping(step)


def _grant(step: Step, signal: sig.GrantLocks) -> None:
    run = step.run
    if signal.node is None:
        if run.status is RunStatus.PENDING:
            _begin(step)
        return
    node = run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.LOCKS:
        return
    _end_wait(step, node)


def _await(step: Step, signal: sig.AwaitLocks) -> None:
    waiting = None if signal.node is None else step.run.nodes[signal.node].waiting
    if signal.node is not None and waiting is not None and (waiting.reason, waiting.until) == (WaitReason.LOCKS, None):
        step.emit(ev.NodeWaiting(step.now, signal.node, WaitReason.LOCKS, signal.until, waiting.detail))


def _end_wait(step: Step, node: NodeState) -> None:
    """End the wait of *node*: its work, or its compensation, may begin."""
    step.emit(ev.NodeReady(step.now, node.plan.id))
    if is_undone_now(step.run, node.plan.id):
        saga.compensate(step, node)


def _fail_wait(step: Step, node: NodeState, failure: Failure) -> None:
    """End the wait of *node* in vain: its work, or its compensation, has failed."""
    if is_undone_now(step.run, node.plan.id):
        step.emit(ev.CompensationFailed(step.now, node.plan.id, failure))
        outcomes.go_on_stopping(step)
    else:
        outcomes.fail(step, node, failure)


def _refuse(step: Step, signal: sig.RefuseLocks) -> None:
    run = step.run
    if signal.node is None:
        if run.status is not RunStatus.PENDING:
            return
        if run.started_at is not None:  # resumed: its work is neither lost nor undone, so it is interrupted again
            step.emit(ev.RunInterrupted(step.now, f"it did not get its locks back: {signal.failure.message}"))
            return
        cause = ev.StopCause(kind=StopKind.FAILURE, message=signal.failure.message, failure=signal.failure)
        outcomes.stop(step, cause)
        return
    node = run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.LOCKS:
        return
    _fail_wait(step, node, signal.failure)


def _breaker(step: Step, signal: sig.AnswerBreaker) -> None:
    node = step.run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.BREAKER:
        return
    if signal.admitted:
        _end_wait(step, node)
    elif signal.failure is not None:
        _fail_wait(step, node, signal.failure)
    else:
        waited = step.now - node.waiting.since + node.waited.get(WaitReason.BREAKER, timedelta(0))
        until = signal.until or step.now + max(ASK_AGAIN, waited / 4)
        step.emit(ev.NodeWaiting(step.now, signal.node, WaitReason.BREAKER, until, node.waiting.detail))


def check_answer(run: Run, name: NodeId, answer: str) -> NodeState:
    """The node that *answer* is for. Raises `StateError` if it waits for none, or for another."""
    if run.ended:
        hint = f"Resume it first: `orchestrate resume {run.id} --detach`."
        raise StateError(
            f"run {run.id} has ended ({run.status}); it is not waiting for an answer",
            hint=hint if run.status is RunStatus.INTERRUPTED else None,
        )
    node = next(iter(_asking(run, name)), None)
    reason = node.waiting.reason if node is not None and node.waiting is not None else None
    allowed = _ANSWERS.get(reason, ()) if reason is not None else ()
    if node is None or not allowed:
        raise StateError(f'node "{name}" is not waiting for a decision', code="NO_DECISION_PENDING")
    if answer not in allowed:
        raise StateError(
            f'"{answer}" is not an answer for node "{name}"',
            code="INVALID_ANSWER",
            hint=f"Answer with one of: {', '.join(allowed)}.",
        )
    return node


def _asking(run: Run, name: NodeId) -> list[NodeState]:
    """The node *name*; the instances that wait for a decision, if it stands for these."""
    node = run.nodes.get(name)
    if node is None or node.waiting is not None or node.plan.template is None:
        return [] if node is None else [node]
    lost = (run.nodes[inner] for inner in inside(run, name))
    return [one for one in lost if one.waiting is not None and one.waiting.reason is WaitReason.DECISION]


def _decision(step: Step, signal: sig.Decide) -> None:
    check_answer(step.run, signal.node, signal.answer)
    for node in _asking(step.run, signal.node):
        if node.waiting is not None:  # else the answer about another one has ended it
            _answer(step, node, signal)


def _answer(step: Step, node: NodeState, signal: sig.Decide) -> None:
    name = node.plan.id
    if signal.answer in {"yes", "retry"}:
        step.emit(ev.NodeReady(step.now, name))
    elif signal.answer == "skip":
        step.emit(ev.NodeSkipped(step.now, name, "Skipped by decision"))
    else:
        refused = node.waiting is not None and node.waiting.reason is WaitReason.APPROVAL
        code = "NOT_APPROVED" if refused else "ATTEMPT_LOST"
        message = f'Node "{name}" was not approved' if refused else f'Node "{name}" was lost in a crash'
        outcomes.fail(step, node, signal.failure or Failure(FailureKind.ERROR, code, message))


def _tick(step: Step, signal: sig.Tick) -> None:  # noqa: ARG001 - one signature for all signals
    run = step.run
    while run.timers and run.timers[0].due <= step.now:
        timer = heapq.heappop(run.timers)
        if run.is_live(timer):
            _due(step, timer)


def _jump(step: Step, signal: sig.JumpClock) -> None:
    step.emit(ev.ClockJumped(step.now, signal.since, len(step.run.jumps) + 1))


def _due(step: Step, timer: Timer) -> None:
    run = step.run
    if timer.kind == "run":
        limit = run.limits.max_duration_seconds
        admission.exceed(step, "DURATION_EXCEEDED", f"the run reached its time limit of {limit:g} s")
    elif timer.kind == "phase":
        _phase_due(step, int(timer.key))
        outcomes.go_on_stopping(step)
    elif timer.kind == "attempt":
        node = run.nodes[timer.key]  # type: ignore[index]
        outcomes.end_attempt(step, node.plan.id, outcomes.timed_out(node))
        outcomes.go_on_stopping(step)
    else:
        _wait_due(step, run.nodes[timer.key])  # type: ignore[index]


def _wait_due(step: Step, node: NodeState) -> None:
    waiting = node.waiting
    reason = None if waiting is None else waiting.reason
    if waiting is not None and reason is WaitReason.BREAKER:
        step.emit(ev.NodeWaiting(step.now, node.plan.id, WaitReason.BREAKER, None, waiting.detail))
    elif reason in {WaitReason.RETRY, WaitReason.INTERVAL}:
        _end_wait(step, node)


def _phase_due(step: Step, index: int) -> None:
    phase = step.run.phases[index]
    limit = round(phase.plan.timeout.total_seconds() * 1000) if phase.plan.timeout else 0
    failure = Failure(
        FailureKind.TIMEOUT,
        outcomes.PHASE_TIMEOUT,
        f'Phase "{phase.plan.id}" timed out after {limit}ms',
        hint="Raise the phase's `timeout` or split the phase.",
    )
    for name in phase.plan.nodes:
        node = step.run.nodes[name]
        if outcomes.is_stopping(step.run, name):
            return
        explained = _with_cause(node, failure)
        live = node.live
        if live is not None and live.role is Role.FORWARD:
            # The timer of a phase that waits for its attempts to end is set again by a jump of the clock.
            if live.stopping is None or live.stopping.code != outcomes.PHASE_TIMEOUT:
                outcomes.end_attempt(step, name, explained)
        elif node.status in {NodeStatus.PENDING, NodeStatus.WAITING}:
            outcomes.fail(step, node, explained)


def _with_cause(node: NodeState, failure: Failure) -> Failure:
    """*failure*, with the earlier failure of *node*: a timeout alone would hide why the time was not enough."""
    earlier = next((one for one in reversed(node.attempts) if one.failure is not None), None)
    if earlier is None or earlier.failure is None or earlier.role is not Role.FORWARD:
        return failure
    waits = node.waiting is not None and node.waiting.reason is WaitReason.RETRY
    rest = "; it was waiting to retry" if waits else ""
    cause = f"attempt {earlier.number} failed with {earlier.failure.code}: {earlier.failure.message}{rest}"
    return replace(failure, message=f"{failure.message}; {cause}")


def _interrupt(step: Step, signal: sig.Interrupt) -> None:
    heard = [when for when in (step.run.changed_at, signal.seen and min(signal.seen, step.now)) if when is not None]
    step.emit(ev.RunInterrupted(step.now, since=max(heard) if signal.dead else None))


def check_resumable(run: Run, *, failed: bool) -> None:
    """Raise `StateError` if *run* can neither be resumed nor, with *failed*, be retried."""
    reopens = failed and run.status in {RunStatus.FAILED, RunStatus.DEGRADED}
    if run.status is not RunStatus.INTERRUPTED and not reopens:
        raise StateError(
            f"run {run.id} cannot be resumed: it is {run.status}",
            code="NOT_RESUMABLE",
            hint=_resume_hint(run, f"`orchestrate resume {run.id} --failed`"),
            client_hint=_resume_hint(run, "`resume` with `failed`: true"),
        )


def _resume_hint(run: Run, again: str) -> str:
    if run.status in {RunStatus.FAILED, RunStatus.DEGRADED}:
        return f"Retry it from the nodes that failed: {again}."
    return f"Run {run.plan.command} again; only interrupted runs can be resumed, and failed or degraded ones retried."


def _resume(step: Step, signal: sig.Resume) -> None:
    run = step.run
    check_resumable(run, failed=signal.failed)
    if run.status is RunStatus.INTERRUPTED:
        _resume_interrupted(step, signal)
    else:
        _reopen(step, signal)


def _resume_interrupted(step: Step, signal: sig.Resume) -> None:
    run = step.run
    gone = {report.node for report in signal.reports}
    standing = tuple(name for name in run.nodes if name in signal.standing and name not in gone)
    step.emit(ev.RunResumed(step.now, signal.owner, signal.limits and signal.limits.over(run.limits), standing))
    for report in signal.reports:
        live = run.nodes[report.node].live
        if live is not None and live.number == report.number:
            outcomes.attempt_ended(step, report)
    for name, node in run.nodes.items():
        live = node.live
        if name in standing or (live is not None and live.stopping is not None):
            continue
        if live is not None:
            step.emit(ev.AttemptLost(step.now, name, live.number))
        if node.status is NodeStatus.RUNNING:
            losses.repeat(step, node)
    for name, node in run.nodes.items():
        live = node.live
        if name in standing:
            continue
        if live is not None and live.stopping is not None and not (run.stop is None and name in run.stopping):
            # It was asked to end, and has; a failed sub-command still has to be undone, so it continues.
            outcomes.attempt_ended(step, sig.ReportOutcome(name, live.number, {}, live.stopping))
    _tick(step, sig.Tick())  # so that nothing starts whose time is over
    if run.status is not RunStatus.PENDING:
        _continue(step)
    elif not run.plan.locks:
        _begin(step)


def _continue(step: Step) -> None:
    run = step.run
    outcomes.stop_for_past_failures(step)
    outcomes.go_on_stopping(step)
    if run.status is RunStatus.RUNNING and run.stop is None:
        admission.open_phases(step)


def _reopen(step: Step, signal: sig.Resume) -> None:
    run = step.run
    again = succession.to_redo(run)
    step.emit(ev.RunReopened(step.now, signal.owner, signal.limits and signal.limits.over(run.limits)))
    for name in list(run.nodes):
        if name in again and name in run.nodes:  # instances are dropped with the node around them
            step.emit(ev.NodeReset(step.now, name, again[name]))
    if run.status is RunStatus.RUNNING:
        admission.open_phases(step)


ASK_AGAIN = timedelta(seconds=1)
"""How soon a node asks again while its breaker has a trial under way; the longer it has waited, the less often."""
_ANSWERS = {WaitReason.APPROVAL: ("yes", "no"), WaitReason.DECISION: ("retry", "skip", "fail")}
"""The answers that a person may give, by what the node waits for."""

_DECIDE: dict[type[Any], Callable[[Step, Any], None]] = {
    sig.ReportOutcome: _report,
    sig.EndAttempt: _end,
    sig.LoseAttempt: _lose,
    sig.StartAttempt: _start,
    sig.RenewAttempt: _renew,
    sig.WarnAttempt: _warn,
    sig.RequestCancel: _cancel,
    sig.Decide: _decision,
    sig.GrantLocks: _grant,
    sig.AwaitLocks: _await,
    sig.RefuseLocks: _refuse,
    sig.AnswerBreaker: _breaker,
    sig.Tick: _tick,
    sig.JumpClock: _jump,
    sig.Interrupt: _interrupt,
    sig.Resume: _resume,
}
