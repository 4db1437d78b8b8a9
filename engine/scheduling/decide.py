"""`decide`: one pure function from a signal to the events that follow from it.

Pure. All policy of a run is reached from here and nowhere else: order and limits (`admission`), retries and failures
(`settlement`), undoing (`saga`). Time comes in as *now*; due times go out inside the events.
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
from engine.run.reducer import create
from engine.run.state import NodeStatus, is_undone_now
from engine.scheduling import admission, outcomes, saga, succession
from engine.scheduling.decision import Turn, at_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, Run, Timer
    from engine.scheduling.decision import Queues


def start(signal: sig.StartRun, now: datetime, queues: Queues = at_once) -> Turn:
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
    )
    turn = Turn(create(created), now, [created], queues)
    if not signal.plan.locks:
        _begin(turn)
    return turn


def decide(run: Run, signal: sig.Signal, now: datetime, queues: Queues = at_once) -> Turn:
    """Decide *signal* on *run*: the events are folded into it already and have yet to be committed.

    *queues* says which attempts have to wait for their turn before their time runs.
    `Turn.wants` names a node whose facts are needed before the decision can go on: fetch them and decide `SupplyFacts`.
    Raises `StateError` for a request that the run is in no state for; nothing is changed then.
    """
    turn = Turn(run, now, queues=queues)
    if run.ended and not isinstance(signal, sig.Resume):
        _after_the_end(run, signal)
        return turn
    _DECIDE[type(signal)](turn, signal)
    admission.advance(turn)
    return turn


def _after_the_end(run: Run, signal: sig.Signal) -> None:
    """Nothing is decided: what somebody asks for is refused, what tables and timers have to say comes too late."""
    if isinstance(signal, sig.ReportOutcome | sig.RenewAttempt):
        raise StateError(f"run {run.id} has ended ({run.status}); the report is refused", code="STALE_ATTEMPT")
    if isinstance(signal, sig.Decide):
        check_answer(run, signal.node, signal.answer)


def _begin(turn: Turn) -> None:
    turn.emit(ev.RunStarted(turn.now))
    _continue(turn)
    admission.advance(turn)


def _report(turn: Turn, signal: sig.ReportOutcome) -> None:
    node, live = outcomes.live_attempt(turn, signal.node, signal.number)
    if node.plan.kind is NodeKind.GROUP and live.role is Role.FORWARD:
        raise StateError(f'"{signal.node}" is a sub-command: report the work inside it', code="NOT_REPORTABLE")
    outcomes.attempt_ended(turn, signal)


def _start(turn: Turn, signal: sig.StartAttempt) -> None:
    outcomes.start(turn, signal.node, signal.number, signal.worker)


def _renew(turn: Turn, signal: sig.RenewAttempt) -> None:
    outcomes.renew(turn, signal.node, signal.number)


def _warn(turn: Turn, signal: sig.WarnAttempt) -> None:
    outcomes.warn(turn, signal.node, signal.number, signal.text)


def _end(turn: Turn, signal: sig.EndAttempt) -> None:
    node = turn.run.nodes[signal.node]
    if node.live is not None and node.live.number == signal.number and node.live.stopping is None:
        outcomes.end_attempt(turn, signal.node, signal.failure)
        outcomes.go_on_stopping(turn)


def _supply(turn: Turn, signal: sig.SupplyFacts) -> None:
    turn.facts = signal


def _cancel(turn: Turn, signal: sig.RequestCancel) -> None:
    run = turn.run
    message = f"cancelled: {signal.reason}" if signal.reason else "cancelled"
    cause = ev.StopCause(kind=StopKind.CANCEL, message=message, compensate=signal.compensate)
    if run.stop is None:
        outcomes.stop(turn, cause)
    elif not signal.compensate and run.stop.compensate:
        turn.emit(ev.RunStopping(turn.now, cause))
        outcomes.go_on_stopping(turn)


def _grant(turn: Turn, signal: sig.GrantLocks) -> None:
    run = turn.run
    if signal.node is None:
        if run.status is RunStatus.PENDING:
            _begin(turn)
        return
    node = run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.LOCKS:
        return
    _go_on(turn, node)


def _await(turn: Turn, signal: sig.AwaitLocks) -> None:
    node = None if signal.node is None else turn.run.nodes[signal.node]
    if node is not None and node.asking and node.waiting is not None and node.waiting.reason is WaitReason.LOCKS:
        turn.emit(ev.NodeWaiting(turn.now, node.plan.id, WaitReason.LOCKS, signal.until, node.waiting.detail))


def _go_on(turn: Turn, node: NodeState) -> None:
    """What *node* waited for has come: its work, or its compensation, may begin."""
    turn.emit(ev.NodeReady(turn.now, node.plan.id))
    if is_undone_now(turn.run, node.plan.id):
        saga.compensate(turn, node)


def _turned_away(turn: Turn, node: NodeState, failure: Failure) -> None:
    """What *node* waited for will not come: its work, or its compensation, has failed."""
    if is_undone_now(turn.run, node.plan.id):
        turn.emit(ev.CompensationFailed(turn.now, node.plan.id, failure))
        outcomes.go_on_stopping(turn)
    else:
        outcomes.fail(turn, node, failure)


def _refuse(turn: Turn, signal: sig.RefuseLocks) -> None:
    run = turn.run
    if signal.node is None:
        if run.status is not RunStatus.PENDING:
            return
        if run.started_at is not None:  # resumed: what it has done is neither lost nor undone, so it waits once more
            turn.emit(ev.RunInterrupted(turn.now, f"it did not get its locks back: {signal.failure.message}"))
            return
        cause = ev.StopCause(kind=StopKind.FAILURE, message=signal.failure.message, failure=signal.failure)
        outcomes.stop(turn, cause)
        return
    node = run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.LOCKS:
        return
    _turned_away(turn, node, signal.failure)


def _breaker(turn: Turn, signal: sig.AnswerBreaker) -> None:
    node = turn.run.nodes[signal.node]
    if node.waiting is None or node.waiting.reason is not WaitReason.BREAKER:
        return
    if signal.admitted:
        _go_on(turn, node)
    elif signal.failure is not None:
        _turned_away(turn, node, signal.failure)
    else:
        waited = turn.now - node.waiting.since + node.waited.get(WaitReason.BREAKER, timedelta(0))
        until = signal.until or turn.now + max(ASK_AGAIN, waited / 4)
        turn.emit(ev.NodeWaiting(turn.now, signal.node, WaitReason.BREAKER, until, node.waiting.detail))


def check_answer(run: Run, name: NodeId, answer: str) -> NodeState:
    """The node that *answer* is for. Raises `StateError` where it waits for none, or for another."""
    if run.ended:
        hint = f"First resume it: `orchestrate resume {run.id} --detach`."
        raise StateError(
            f"run {run.id} has ended ({run.status}); it waits for no answer",
            hint=hint if run.status is RunStatus.INTERRUPTED else None,
        )
    node = run.nodes.get(name)
    reason = node.waiting.reason if node is not None and node.waiting is not None else None
    allowed = _ANSWERS.get(reason, ()) if reason is not None else ()
    if node is None or not allowed:
        raise StateError(f'node "{name}" waits for no decision', code="NO_DECISION_PENDING")
    if answer not in allowed:
        raise StateError(
            f'"{answer}" is no answer for node "{name}"',
            code="INVALID_ANSWER",
            hint=f"Answer one of: {', '.join(allowed)}.",
        )
    return node


def _decision(turn: Turn, signal: sig.Decide) -> None:
    node = check_answer(turn.run, signal.node, signal.answer)
    if signal.answer in {"yes", "retry"}:
        turn.emit(ev.NodeReady(turn.now, signal.node))
    elif signal.answer == "skip":
        turn.emit(ev.NodeSkipped(turn.now, signal.node, "Skipped by decision"))
    else:
        refused = node.waiting is not None and node.waiting.reason is WaitReason.APPROVAL
        code = "NOT_APPROVED" if refused else "ATTEMPT_LOST"
        message = f'Node "{signal.node}" was not approved' if refused else f'Node "{signal.node}" was lost in a crash'
        outcomes.fail(turn, node, signal.failure or Failure(FailureKind.ERROR, code, message))


def _tick(turn: Turn, signal: sig.Tick) -> None:  # noqa: ARG001 - one signature for all signals
    run = turn.run
    while run.timers and run.timers[0].due <= turn.now:
        timer = heapq.heappop(run.timers)
        if run.is_live(timer):
            _due(turn, timer)


def _leap(turn: Turn, signal: sig.LeapClock) -> None:
    turn.emit(ev.ClockJumped(turn.now, signal.since, len(turn.run.jumps) + 1))


def _due(turn: Turn, timer: Timer) -> None:
    run = turn.run
    if timer.kind == "run":
        limit = run.limits.max_duration_seconds
        admission.exceed(turn, "DURATION_EXCEEDED", f"the run may take {limit:g} s and has taken them")
    elif timer.kind == "phase":
        _phase_due(turn, int(timer.key))
        outcomes.go_on_stopping(turn)
    elif timer.kind == "attempt":
        node = run.nodes[timer.key]  # type: ignore[index]
        outcomes.end_attempt(turn, node.plan.id, outcomes.timed_out(node))
        outcomes.go_on_stopping(turn)
    else:
        _wait_due(turn, run.nodes[timer.key])  # type: ignore[index]


def _wait_due(turn: Turn, node: NodeState) -> None:
    waiting = node.waiting
    reason = None if waiting is None else waiting.reason
    if waiting is not None and reason is WaitReason.BREAKER:
        turn.emit(ev.NodeWaiting(turn.now, node.plan.id, WaitReason.BREAKER, None, waiting.detail))
    elif reason is WaitReason.RETRY:
        _go_on(turn, node)


def _phase_due(turn: Turn, index: int) -> None:
    phase = turn.run.phases[index]
    limit = round(phase.plan.timeout.total_seconds() * 1000) if phase.plan.timeout else 0
    failure = Failure(
        FailureKind.TIMEOUT,
        outcomes.PHASE_TIMEOUT,
        f'Phase "{phase.plan.id}" timed out after {limit}ms',
        hint="Raise the phase's `timeout` or split the phase.",
    )
    for name in phase.plan.nodes:
        node = turn.run.nodes[name]
        if outcomes.is_stopping(turn.run, name):
            return
        told = _with_cause(node, failure)
        if node.live is not None and node.live.role is Role.FORWARD:
            outcomes.end_attempt(turn, name, told)
        elif node.status in {NodeStatus.PENDING, NodeStatus.WAITING}:
            outcomes.fail(turn, node, told)


def _with_cause(node: NodeState, failure: Failure) -> Failure:
    """*failure*, and what went wrong with *node* before: a timeout alone would hide why the time was not enough."""
    earlier = next((one for one in reversed(node.attempts) if one.failure is not None), None)
    if earlier is None or earlier.failure is None or earlier.role is not Role.FORWARD:
        return failure
    waits = node.waiting is not None and node.waiting.reason is WaitReason.RETRY
    rest = "; it was waiting for its retry" if waits else ""
    cause = f"attempt {earlier.number} had failed with {earlier.failure.code}: {earlier.failure.message}{rest}"
    return replace(failure, message=f"{failure.message}; {cause}")


def _interrupt(turn: Turn, signal: sig.Interrupt) -> None:
    heard = [when for when in (turn.run.changed_at, signal.seen and min(signal.seen, turn.now)) if when is not None]
    turn.emit(ev.RunInterrupted(turn.now, since=max(heard) if signal.dead else None))


def check_resumable(run: Run, *, failed: bool) -> None:
    """Raise `StateError` where *run* can neither be resumed nor, with *failed*, be taken up again."""
    reopens = failed and run.status in {RunStatus.FAILED, RunStatus.DEGRADED}
    if run.status is not RunStatus.INTERRUPTED and not reopens:
        raise StateError(
            f"run {run.id} is {run.status} and cannot be resumed",
            code="NOT_RESUMABLE",
            hint=_way_on(run, f"`orchestrate resume {run.id} --failed`"),
            client_hint=_way_on(run, "`resume` with `failed`: true"),
        )


def _way_on(run: Run, again: str) -> str:
    if run.status in {RunStatus.FAILED, RunStatus.DEGRADED}:
        return f"It can be taken up at its failures: {again}."
    return f"Run {run.plan.command} again; only interrupted runs are resumed, and failed or degraded ones taken up."


def _resume(turn: Turn, signal: sig.Resume) -> None:
    run = turn.run
    check_resumable(run, failed=signal.failed)
    if run.status is RunStatus.INTERRUPTED:
        _resume_interrupted(turn, signal)
    else:
        _reopen(turn, signal)


def _resume_interrupted(turn: Turn, signal: sig.Resume) -> None:
    run = turn.run
    turn.emit(ev.RunResumed(turn.now, signal.owner, signal.limits and signal.limits.over(run.limits)))
    for report in signal.reports:
        live = run.nodes[report.node].live
        if live is not None and live.number == report.number:
            outcomes.attempt_ended(turn, report)
    for name, node in run.nodes.items():
        live = node.live
        if live is not None and live.stopping is not None:
            continue
        if live is not None:
            turn.emit(ev.AttemptLost(turn.now, name, live.number))
        if node.status is NodeStatus.RUNNING:
            _forward_lost(turn, node)
    for name, node in run.nodes.items():
        live = node.live
        if live is not None and live.stopping is not None and not (run.stop is None and name in run.stopping):
            # It was told to end, and has; a sub-command that has failed is still to be undone, so that it goes on.
            outcomes.attempt_ended(turn, sig.ReportOutcome(name, live.number, {}, live.stopping))
    _tick(turn, sig.Tick())  # nothing starts whose time is over
    if run.status is not RunStatus.PENDING:
        _continue(turn)
    elif not run.plan.locks:
        _begin(turn)


def _forward_lost(turn: Turn, node: NodeState) -> None:
    name = node.plan.id
    if outcomes.is_stopping(turn.run, name):
        turn.emit(ev.NodeCancelled(turn.now, name))
    elif node.plan.idempotent or node.plan.kind is NodeKind.GROUP:
        turn.emit(ev.NodeReady(turn.now, name))
    else:
        detail = "its attempt was lost in a crash and it is not idempotent: retry, skip or fail"
        turn.emit(ev.NodeWaiting(turn.now, name, WaitReason.DECISION, None, detail))


def _continue(turn: Turn) -> None:
    run = turn.run
    outcomes.stop_for_past_failures(turn)
    outcomes.go_on_stopping(turn)
    if run.status is RunStatus.RUNNING and run.stop is None:
        admission.open_phases(turn)


def _reopen(turn: Turn, signal: sig.Resume) -> None:
    run = turn.run
    again = succession.to_redo(run)
    turn.emit(ev.RunReopened(turn.now, signal.owner, signal.limits and signal.limits.over(run.limits)))
    for name in run.nodes:
        if name in again:
            turn.emit(ev.NodeReset(turn.now, name))
    if run.status is RunStatus.RUNNING:
        admission.open_phases(turn)


ASK_AGAIN = timedelta(seconds=1)
"""When a node asks again whose breaker has a trial under way; the longer it has waited, the more seldom it asks."""
_ANSWERS = {WaitReason.APPROVAL: ("yes", "no"), WaitReason.DECISION: ("retry", "skip", "fail")}
"""What a person may answer, by what the node waits for."""

_DECIDE: dict[type[Any], Callable[[Turn, Any], None]] = {
    sig.ReportOutcome: _report,
    sig.EndAttempt: _end,
    sig.StartAttempt: _start,
    sig.RenewAttempt: _renew,
    sig.WarnAttempt: _warn,
    sig.RequestCancel: _cancel,
    sig.Decide: _decision,
    sig.GrantLocks: _grant,
    sig.AwaitLocks: _await,
    sig.RefuseLocks: _refuse,
    sig.AnswerBreaker: _breaker,
    sig.SupplyFacts: _supply,
    sig.Tick: _tick,
    sig.LeapClock: _leap,
    sig.Interrupt: _interrupt,
    sig.Resume: _resume,
}
