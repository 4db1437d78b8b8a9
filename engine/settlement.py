"""What follows when an attempt ends: success, another try, a failed node, a stopping run.

Pure. SPEC 4 and 5. Undoing is `saga`'s; starting nodes is `admission`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine import retry, saga
from engine.errors import StateError
from engine.model.agent import AgentKind
from engine.model.plan import NodeKind
from engine.model.policy import CompensationType, Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, StopKind, WaitReason
from engine.run.state import NodeStatus

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.run.events import StopCause
    from engine.run.signals import ReportOutcome
    from engine.run.state import AttemptRecord, NodeState
    from engine.turn import Turn

PHASE_TIMEOUT = "PHASE_TIMEOUT"


def live_attempt(turn: Turn, name: NodeId, number: int) -> tuple[NodeState, AttemptRecord]:
    """Node and record of an attempt; one that is not live is refused (the fence)."""
    node = turn.run.nodes.get(name)
    live = None if node is None else node.live
    if node is None or live is None or live.number != number:
        raise StateError(
            f'attempt {number} of node "{name}" has ended; its report is refused',
            code="STALE_ATTEMPT",
            hint="A new try has a new attempt id; ask `status` for the work that is open now.",
        )
    return node, live


def attempt_ended(turn: Turn, signal: ReportOutcome) -> None:
    """Take the report of an attempt."""
    node, live = live_attempt(turn, signal.node, signal.number)
    failure = signal.failure
    stopping = live.stopping
    if stopping is not None and (failure is not None or stopping.kind is not FailureKind.CANCEL):
        failure = replace(stopping, partial=failure.partial if failure else None)
    if failure is None:
        turn.emit(ev.AttemptSucceeded(turn.now, signal.node, signal.number, dict(signal.outputs), signal.usage))
    else:
        turn.emit(ev.AttemptFailed(turn.now, signal.node, signal.number, failure, signal.usage))
        if live.role is Role.FORWARD:
            _forward_failed(turn, node, failure)
        else:
            _compensation_failed(turn, node, failure)
    go_on_stopping(turn)


def renew(turn: Turn, name: NodeId, number: int) -> None:
    """Let the time of an attempt begin anew; only the client's own work is renewed."""
    node, live = live_attempt(turn, name, number)
    if is_delegated(turn, node) and live.stopping is None:
        turn.emit(ev.AttemptRenewed(turn.now, name, number, turn.now + node.plan.timeout))


def go_on_stopping(turn: Turn) -> None:
    """While the run stops: begin the saga when the last attempt has ended, or take its next step."""
    run = turn.run
    if run.stop is None or run.live or run.undoing or run.ended:
        return
    if run.saga is None:
        saga.begin(turn)
    else:
        saga.step(turn)


def _forward_failed(turn: Turn, node: NodeState, failure: Failure) -> None:
    plan = node.plan
    if turn.run.stop is not None:
        if failure.kind is FailureKind.CANCEL:
            turn.emit(ev.NodeCancelled(turn.now, plan.id))
        else:
            turn.emit(ev.NodeFailed(turn.now, plan.id, failure))
        return
    if failure.code != PHASE_TIMEOUT and _try_again(turn, node, failure):
        return
    compensation = plan.compensation
    if (
        compensation is not None
        and compensation.type is CompensationType.RETRY
        and failure.kind in compensation.on
        and not node.retried_by_compensation
    ):
        turn.emit(ev.NodeWaiting(turn.now, plan.id, WaitReason.RETRY, turn.now, by_compensation=True))
        turn.emit(ev.NodeReady(turn.now, plan.id))
        return
    fail(turn, node, failure)


def _try_again(turn: Turn, node: NodeState, failure: Failure) -> bool:
    policy = node.plan.retry
    if policy is None or node.retries >= policy.max_retries or not retry.is_retryable(policy, failure):
        return False
    due = turn.now + retry.next_delay(policy, node.retries + 1)
    detail = f"{node.retries + 1} of {policy.max_retries} after {failure.code}"
    turn.emit(ev.NodeWaiting(turn.now, node.plan.id, WaitReason.RETRY, due, detail))
    if due <= turn.now:
        turn.emit(ev.NodeReady(turn.now, node.plan.id))
        if node.status is NodeStatus.COMPENSATING:
            saga.compensate(turn, node)
    return True


def _compensation_failed(turn: Turn, node: NodeState, failure: Failure) -> None:
    if not _try_again(turn, node, failure):
        turn.emit(ev.CompensationFailed(turn.now, node.plan.id, failure))


def fail(turn: Turn, node: NodeState, failure: Failure) -> None:
    """The node has failed for good: go on where the phase allows it, else stop the run."""
    plan = node.plan
    compensation = plan.compensation
    cascade = (
        compensation is not None and compensation.type is CompensationType.CASCADE and failure.kind in compensation.on
    )
    if turn.run.phases[plan.phase].plan.continue_on_error and not cascade:
        undo = node.started_at is not None and saga.answers(node, failure.kind)
        turn.emit(ev.NodeFailed(turn.now, plan.id, failure, compensating=undo))
        if undo:
            saga.compensate(turn, node)
        return
    turn.emit(ev.NodeFailed(turn.now, plan.id, failure))
    target = compensation.rollback_to if cascade and compensation is not None else None
    stop(
        turn,
        ev.StopCause(
            kind=StopKind.FAILURE,
            message=f'Node "{plan.id}" failed: {failure.message}',
            node=plan.id,
            failure=failure,
            rollback_to=target,
        ),
    )


def stop(turn: Turn, cause: StopCause) -> None:
    """Stop the run: nothing new starts, forward attempts are told to end; undoing waits for them."""
    run = turn.run
    turn.emit(ev.RunStopping(turn.now, cause))
    failure = Failure(FailureKind.CANCEL, "CANCELLED", f"cancelled: {cause.message}")
    for name in [name for name in run.nodes if name in run.live] if run.live else ():
        live = run.nodes[name].live
        if live is not None and live.role is Role.FORWARD and live.stopping is None:
            end_attempt(turn, name, failure)
    go_on_stopping(turn)


def end_attempt(turn: Turn, name: NodeId, failure: Failure) -> None:
    """Tell a live attempt to end with *failure*; work that the client does ends at once."""
    node = turn.run.nodes[name]
    live = node.live
    if live is None:
        return
    turn.emit(ev.AttemptStopping(turn.now, name, live.number, failure))
    if is_delegated(turn, node):
        turn.emit(ev.AttemptFailed(turn.now, name, live.number, failure))
        if live.role is Role.FORWARD:
            _forward_failed(turn, node, failure)
        else:
            _compensation_failed(turn, node, failure)


def is_delegated(turn: Turn, node: NodeState) -> bool:
    """Whether no process of ours has to end: the client does the work, or it is a sub-command, which has none."""
    if node.plan.kind is NodeKind.GROUP:
        return True
    agent = turn.run.plan.agents.get(node.plan.agent)
    return turn.run.executor == "host" and agent is not None and agent.kind is AgentKind.CLAUDE


def timed_out(node: NodeState) -> Failure:
    """The guide's three lines about an attempt that took too long."""
    plan = node.plan
    limit = round(plan.timeout.total_seconds() * 1000)
    estimate = round(plan.estimate.total_seconds() * 1000)
    return Failure(
        FailureKind.TIMEOUT,
        "TIMEOUT",
        f'Node "{plan.id}" timed out after {limit}ms\n'
        f"Estimated time was: {estimate}ms\n"
        f"Actual time exceeded by: {limit - estimate}ms",
        hint="Raise `timeout`, add a retryPolicy, or split the task.",
    )
