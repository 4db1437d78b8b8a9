"""`apply` and `fold`: how each event changes the state of a run.

Pure. Total and dull: no policy, no clock. An event that is not legal in the state is a broken invariant and raises
`InternalError` before anything is changed.
"""

from __future__ import annotations

import heapq
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import InternalError
from engine.model.plan import NodeKind
from engine.model.policy import Merge
from engine.run import events as ev
from engine.run.events import Role, RunStatus, WaitReason
from engine.run.state import (
    NODE_TRANSITIONS,
    RUN_TRANSITIONS,
    AttemptRecord,
    Contribution,
    NodeState,
    NodeStatus,
    PhaseState,
    Run,
    Saga,
    Timer,
    Waiting,
    parts_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from engine.ids import NodeId


def create(event: ev.RunCreated) -> Run:
    """The state after a run's first event."""
    plan = event.plan
    run = Run(
        id=event.run,
        plan=plan,
        owner=event.owner,
        executor=event.executor,
        created_at=event.at,
        changed_at=event.at,
        arguments=event.arguments,
        limits=event.limits,
        nodes={node.id: NodeState(plan=node, blockers=len(node.depends_on)) for node in plan.nodes},
        phases=[PhaseState(plan=phase, unsettled=len(phase.nodes)) for phase in plan.phases],
        events=1,
    )
    for key, ref in event.initial.items():
        _contribute(run, key, ref, event.at, Merge.REPLACE, node=None)
    return run


def apply(run: Run, event: ev.Event) -> None:
    """Change *run* in place by *event*, in time proportional to what changes."""
    _APPLY[type(event)](run, event)
    run.events += 1
    run.changed_at = event.at


def fold(events: Iterable[ev.Event]) -> Run:
    """The state after *events*, the first of which creates the run."""
    run: Run | None = None
    for event in events:
        if run is None:
            if not isinstance(event, ev.RunCreated):
                raise InternalError(f"a journal starts with RunCreated, not {type(event).__name__}")
            run = create(event)
        else:
            apply(run, event)
    if run is None:
        raise InternalError("an empty journal folds to nothing")
    return run


def _contribute(run: Run, key: str, ref: ev.ValueRef, at: datetime, merge: Merge, *, node: NodeId | None) -> None:
    run.version += 1
    run.context.setdefault(key, []).append(Contribution(run.version, ref, merge, node, at))


def _to(node: NodeState, status: NodeStatus) -> None:
    if status not in NODE_TRANSITIONS[node.status]:
        raise InternalError(f'node "{node.plan.id}" cannot go from {node.status} to {status}')
    node.status = status


def _run_to(run: Run, status: RunStatus) -> None:
    if status not in RUN_TRANSITIONS[run.status]:
        raise InternalError(f"run {run.id} cannot go from {run.status} to {status}")
    run.status = status


def _set_timer(run: Run, due: datetime | None, kind: str, key: str = "", number: int = 0) -> None:
    if due is not None:
        run.timer_order += 1
        heapq.heappush(run.timers, Timer(due, run.timer_order, kind, key, number))


def _make_ready(run: Run, node: NodeState) -> None:
    plan = node.plan
    phase = run.phases[plan.phase]
    if phase.opened_at is not None and not node.settled:
        heapq.heappush(phase.ready, (-plan.priority, -plan.rank.total_seconds(), plan.index, plan.id))


def _settle(run: Run, node: NodeState) -> None:
    if node.settled:
        return
    node.settled = True
    run.settled += 1
    run.phases[node.plan.phase].unsettled -= 1
    for dependent in node.plan.dependents:
        successor = run.nodes[dependent]
        successor.blockers -= 1
        if not successor.blockers and successor.status is NodeStatus.PENDING:
            _make_ready(run, successor)


def _stop_waiting(node: NodeState, at: datetime) -> None:
    if node.waiting is not None:
        waited = at - node.waiting.since
        reason = node.waiting.reason
        node.waited[reason] = node.waited[reason] + waited if reason in node.waited else waited
        node.waiting = None


def _end_live(run: Run, node: NodeState, number: int, at: datetime) -> AttemptRecord:
    live = node.live
    if live is None or live.number != number:
        raise InternalError(f'attempt {number} of node "{node.plan.id}" is not live')
    node.live = None
    node.admitted = False
    live.ended_at = at
    run.live.discard(node.plan.id)
    if live.role is Role.FORWARD:
        run.running -= node.plan.kind is not NodeKind.GROUP
        run.phases[node.plan.phase].running -= 1
    return live


def _run_started(run: Run, event: ev.RunStarted) -> None:
    _run_to(run, run.before_interrupt or RunStatus.RUNNING)
    run.before_interrupt = None
    run.started_at = run.started_at or event.at
    run.locked = bool(run.plan.locks)
    if run.deadline is None:
        _allow_duration(run, event.at)


def _allow_duration(run: Run, at: datetime) -> None:
    if run.limits.max_duration_seconds is not None:
        run.deadline = at + timedelta(seconds=run.limits.max_duration_seconds)
        _set_timer(run, run.deadline, "run")


def _phase_opened(run: Run, event: ev.PhaseOpened) -> None:
    phase = run.phases[event.phase]
    phase.opened_at = event.at
    phase.deadline = event.deadline
    run.open_phases.append(event.phase)
    _set_timer(run, event.deadline, "phase", str(event.phase))
    for name in phase.plan.nodes:
        node = run.nodes[name]
        if not node.blockers and node.status is NodeStatus.PENDING:
            _make_ready(run, node)


def _phase_ended(run: Run, event: ev.PhaseEnded) -> None:
    run.phases[event.phase].ended_at = event.at
    run.open_phases.remove(event.phase)


def _node_waiting(run: Run, event: ev.NodeWaiting) -> None:
    node = run.nodes[event.node]
    if node.status is not NodeStatus.COMPENSATING:
        _to(node, NodeStatus.WAITING)
    node.checked = True
    if event.reason is WaitReason.RETRY:
        node.retries += 1
        node.retried_by_compensation |= event.by_compensation
    if event.reason is WaitReason.LOCKS:
        node.asked_locks = True
    node.waiting = Waiting(event.reason, event.at, event.until, event.detail)
    _set_timer(run, event.until, "wait", event.node)


def _node_ready(run: Run, event: ev.NodeReady) -> None:
    node = run.nodes[event.node]
    reason = node.waiting.reason if node.waiting else None
    _stop_waiting(node, event.at)
    if reason is WaitReason.LOCKS:
        node.locked = True
    if reason is WaitReason.APPROVAL:
        node.approved = True
    if reason is WaitReason.BREAKER:
        node.admitted = True
    if node.status is NodeStatus.COMPENSATING:
        return
    _to(node, NodeStatus.PENDING)
    _make_ready(run, node)


def _node_skipped(run: Run, event: ev.NodeSkipped) -> None:
    node = run.nodes[event.node]
    _to(node, NodeStatus.SKIPPED)
    _stop_waiting(node, event.at)
    node.skip_message = event.message
    node.ended_at = event.at
    _settle(run, node)


def _node_failed(run: Run, event: ev.NodeFailed) -> None:
    node = run.nodes[event.node]
    _to(node, NodeStatus.FAILED)
    _stop_waiting(node, event.at)
    node.failure = event.failure
    node.ended_at = event.at
    node.retries = 0
    run.failures.append(event.node)
    if event.compensating:
        run.undoing.add(event.node)
    else:
        node.locked = node.asked_locks = False
        _settle(run, node)


def _node_cancelled(run: Run, event: ev.NodeCancelled) -> None:
    node = run.nodes[event.node]
    _to(node, NodeStatus.CANCELLED)
    _stop_waiting(node, event.at)
    node.ended_at = event.at
    node.retries = 0
    node.locked = node.asked_locks = False


def _attempt_scheduled(run: Run, event: ev.AttemptScheduled) -> None:
    node = run.nodes[event.node]
    forward = event.role is Role.FORWARD
    _to(node, NodeStatus.RUNNING if forward else NodeStatus.COMPENSATING)
    record = AttemptRecord(event.number, event.role, event.at, event.deadline)
    node.attempts.append(record)
    node.live = record
    node.version = event.version
    node.checked = True
    if node.started_at is None:
        node.started_at = event.at
        node.start_order = run.starts
        run.starts += 1
    run.live.add(event.node)
    if forward:
        run.phases[node.plan.phase].running += 1
    if node.plan.kind is NodeKind.GROUP and forward:
        for key, ref in event.inputs.items():
            _contribute(run, f"{node.plan.id}/{key}", ref, event.at, Merge.REPLACE, node=node.plan.id)
    else:
        run.attempts_total += 1
        run.running += forward
    _set_timer(run, event.deadline, "attempt", event.node, event.number)


def _attempt_stopping(run: Run, event: ev.AttemptStopping) -> None:
    node = run.nodes[event.node]
    if node.live is None or node.live.number != event.number:
        raise InternalError(f'attempt {event.number} of node "{event.node}" is not live')
    node.live.stopping = event.failure


def _attempt_renewed(run: Run, event: ev.AttemptRenewed) -> None:
    node = run.nodes[event.node]
    if node.live is None or node.live.number != event.number:
        raise InternalError(f'attempt {event.number} of node "{event.node}" is not live')
    node.live.deadline = event.deadline
    _set_timer(run, event.deadline, "attempt", event.node, event.number)


def _attempt_succeeded(run: Run, event: ev.AttemptSucceeded) -> None:
    node = run.nodes[event.node]
    record = _end_live(run, node, event.number, event.at)
    record.usage = event.usage
    _add_cost(run, record)
    node.retries = 0
    if record.role is Role.COMPENSATE:
        _to(node, NodeStatus.COMPENSATED)
        node.locked = node.asked_locks = False
        _next_in_saga(run, node)
        return
    _to(node, NodeStatus.COMPLETED)
    node.locked = node.asked_locks = False
    node.ended_at = event.at
    node.failure = None
    if node.plan.kind is NodeKind.GROUP:
        _hand_out(run, node, event.at)
    elif event.outputs:
        node.outputs = event.outputs
        scope = node.plan.scope
        for output in node.plan.outputs:
            ref = event.outputs.get(output.key)
            if ref is not None:
                _contribute(run, scope + output.key, ref, event.at, output.merge, node=node.plan.id)
    _settle(run, node)


def _hand_out(run: Run, node: NodeState, at: datetime) -> None:
    """The declared outputs of a sub-command become values of the context around it."""
    plan = node.plan
    for output in plan.outputs:
        for place, part in enumerate(parts_at(run, f"{plan.id}/{output.key}", run.version)):
            merge = part.merge if place else output.merge
            _contribute(run, plan.scope + output.key, part.ref, at, merge, node=plan.id)
            node.outputs[output.key] = part.ref


def _attempt_failed(run: Run, event: ev.AttemptFailed) -> None:
    node = run.nodes[event.node]
    record = _end_live(run, node, event.number, event.at)
    record.failure = event.failure
    record.usage = event.usage
    _add_cost(run, record)


def _attempt_lost(run: Run, event: ev.AttemptLost) -> None:
    node = run.nodes[event.node]
    record = _end_live(run, node, event.number, event.at)
    record.lost = True


def _add_cost(run: Run, record: AttemptRecord) -> None:
    if record.usage is not None and record.usage.cost_usd is not None:
        run.cost_usd += record.usage.cost_usd


def _next_in_saga(run: Run, node: NodeState) -> None:
    if run.saga is not None and run.saga.order[run.saga.next] == node.plan.id:
        run.saga.next += 1
    else:
        run.undoing.discard(node.plan.id)
        _settle(run, node)


def _compensation_failed(run: Run, event: ev.CompensationFailed) -> None:
    node = run.nodes[event.node]
    _to(node, NodeStatus.COMPENSATION_FAILED)
    _stop_waiting(node, event.at)
    node.compensation_failure = event.failure
    node.locked = node.asked_locks = False
    run.undo_failures.append(event.node)
    _next_in_saga(run, node)


def _run_stopping(run: Run, event: ev.RunStopping) -> None:
    run.stop = event.cause
    for phase in run.phases:
        phase.ready.clear()


def _saga_started(run: Run, event: ev.SagaStarted) -> None:
    _run_to(run, RunStatus.COMPENSATING)
    run.saga = Saga(event.order)


def _run_interrupted(run: Run, event: ev.RunInterrupted) -> None:
    run.before_interrupt = run.status
    _run_to(run, RunStatus.INTERRUPTED)
    run.ended_at = event.at


def _run_resumed(run: Run, event: ev.RunResumed) -> None:
    run.owner = event.owner
    _postpone(run, event.at - (run.ended_at or event.at))
    run.ended_at = None
    _drop_locks(run, event.at)
    if run.plan.locks:
        if run.before_interrupt is RunStatus.PENDING:
            run.before_interrupt = None
        _run_to(run, RunStatus.PENDING)
        return
    _run_to(run, run.before_interrupt or RunStatus.RUNNING)
    run.before_interrupt = None


def _postpone(run: Run, pause: timedelta) -> None:
    """The time in which nobody owned the run counts against no limit."""
    if run.deadline is not None:
        run.deadline += pause
        _set_timer(run, run.deadline, "run")
    for index in run.open_phases:
        phase = run.phases[index]
        if phase.deadline is not None:
            phase.deadline += pause
            _set_timer(run, phase.deadline, "phase", str(index))


def _drop_locks(run: Run, at: datetime) -> None:
    """Locks and trial calls die with their owner; whoever had or wanted some asks anew."""
    run.locked = False
    for node in run.nodes.values():
        node.locked = node.asked_locks = node.admitted = False
        if node.waiting is not None and node.waiting.reason in {WaitReason.LOCKS, WaitReason.BREAKER}:
            _stop_waiting(node, at)
            if node.status is NodeStatus.WAITING:
                node.status = NodeStatus.PENDING
                _make_ready(run, node)


def _run_reopened(run: Run, event: ev.RunReopened) -> None:
    _run_to(run, RunStatus.PENDING if run.plan.locks else RunStatus.RUNNING)
    run.owner = event.owner
    run.ended_at = None
    run.stop = None
    run.saga = None
    run.failures.clear()
    run.undo_failures.clear()
    run.message = ""
    _allow_duration(run, event.at)


def _node_reset(run: Run, event: ev.NodeReset) -> None:
    node = run.nodes[event.node]
    plan = node.plan
    if node.status is not NodeStatus.PENDING:
        _to(node, NodeStatus.PENDING)
    if node.settled:
        node.settled = False
        run.settled -= 1
        phase = run.phases[plan.phase]
        phase.unsettled += 1
        for dependent in plan.dependents:
            run.nodes[dependent].blockers += 1
    for output in node.outputs:
        key = plan.scope + output
        run.context[key] = [part for part in run.context.get(key, ()) if part.node != plan.id]
    node.outputs = {}
    node.failure = node.compensation_failure = None
    node.skip_message = None
    node.version = node.started_at = node.ended_at = None
    node.checked = node.approved = node.locked = node.asked_locks = node.retried_by_compensation = False
    node.retries = 0
    phase = run.phases[plan.phase]
    if phase.opened_at is not None:
        phase.opened_at = phase.ended_at = None
        phase.ready.clear()
        if plan.phase in run.open_phases:
            run.open_phases.remove(plan.phase)


def _run_ended(run: Run, event: ev.RunEnded) -> None:
    _run_to(run, event.status)
    run.ended_at = event.at
    run.message = event.message
    run.locked = False
    if run.stop is not None:
        for node in run.nodes.values():
            if node.status in {NodeStatus.PENDING, NodeStatus.WAITING}:
                _stop_waiting(node, event.at)
                node.status = NodeStatus.CANCELLED


_APPLY: dict[type[Any], Callable[[Run, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.PhaseOpened: _phase_opened,
    ev.PhaseEnded: _phase_ended,
    ev.NodeWaiting: _node_waiting,
    ev.NodeReady: _node_ready,
    ev.NodeSkipped: _node_skipped,
    ev.NodeFailed: _node_failed,
    ev.NodeCancelled: _node_cancelled,
    ev.NodeReset: _node_reset,
    ev.AttemptScheduled: _attempt_scheduled,
    ev.AttemptStopping: _attempt_stopping,
    ev.AttemptRenewed: _attempt_renewed,
    ev.AttemptSucceeded: _attempt_succeeded,
    ev.AttemptFailed: _attempt_failed,
    ev.AttemptLost: _attempt_lost,
    ev.CompensationFailed: _compensation_failed,
    ev.RunStopping: _run_stopping,
    ev.SagaStarted: _saga_started,
    ev.RunInterrupted: _run_interrupted,
    ev.RunResumed: _run_resumed,
    ev.RunReopened: _run_reopened,
    ev.RunEnded: _run_ended,
}
