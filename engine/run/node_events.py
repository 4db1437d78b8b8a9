"""How the events of nodes and attempts change a run.

Pure. Mechanical: no policy, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.model.plan import NodeKind
from engine.model.policy import SCARCITY_CODES, Merge
from engine.run import events as ev
from engine.run.changes import (
    ask,
    close_phase,
    contribute,
    end_live,
    live_of,
    make_ready,
    move_node,
    offer,
    set_timer,
    settle,
    stop_waiting,
    take_place,
)
from engine.run.events import ASKED, Role, WaitReason
from engine.run.lookup import own_parts, parts_at
from engine.run.state import AFTER_ITS_WORK, AttemptRecord, NodeState, NodeStatus, Run, Waiting, is_model_work
from engine.run.unfold import drop, join, opened, seed, unfolded

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.plan import NodePlan
    from engine.run.state import Contribution


def _node_waiting(run: Run, event: ev.NodeWaiting) -> None:
    node = run.nodes[event.node]
    if node.status not in AFTER_ITS_WORK:
        move_node(node, NodeStatus.WAITING)
    node.checked = True
    if event.reason is WaitReason.RETRY:
        node.retries += not event.by_compensation  # that retry is beyond those the policy allows
        node.retried_by_compensation |= event.by_compensation
    stop_waiting(run, node, event.at)
    if event.reason in ASKED and event.until is None and node.status is NodeStatus.WAITING:  # undoing takes no slot
        ask(run, node)
    node.waiting = Waiting(event.reason, event.at, event.until, event.detail)
    run.waits.add(event.node)
    set_timer(run, event.until, "wait", event.node)


def _node_ready(run: Run, event: ev.NodeReady) -> None:
    node = run.nodes[event.node]
    reason = node.waiting.reason if node.waiting else None
    stop_waiting(run, node, event.at)
    if reason is WaitReason.LOCKS:
        node.locked = True
    if reason is WaitReason.APPROVAL:
        node.approved = True
    if reason is WaitReason.BREAKER:
        node.admitted_at = event.at
    if reason is WaitReason.DECISION:
        node.workers_lost = 0  # a person knows of them, and has it run again
    if node.status in AFTER_ITS_WORK:
        return
    move_node(node, NodeStatus.PENDING)
    make_ready(run, node)


def _node_skipped(run: Run, event: ev.NodeSkipped) -> None:
    node = run.nodes[event.node]
    move_node(node, NodeStatus.SKIPPED)
    stop_waiting(run, node, event.at)
    node.skip_message = event.message
    node.ended_at = event.at
    node.retries = 0  # undoing it has retries of its own
    node.locked = False
    settle(run, node, event.at)


def _node_failed(run: Run, event: ev.NodeFailed) -> None:
    node = run.nodes[event.node]
    move_node(node, NodeStatus.FAILED)
    stop_waiting(run, node, event.at)
    node.failure = event.failure
    node.ended_at = event.at
    node.retries = node.workers_lost = 0
    run.failures.append(event.node)
    if event.compensating:
        run.undoing.add(event.node)
    else:
        node.locked = False
        settle(run, node, event.at)


def _node_cancelled(run: Run, event: ev.NodeCancelled) -> None:
    node = run.nodes[event.node]
    move_node(node, NodeStatus.CANCELLED)
    stop_waiting(run, node, event.at)
    node.ended_at = event.at
    node.retries = 0
    node.locked = False


def _attempt_scheduled(run: Run, event: ev.AttemptScheduled) -> None:
    node = run.nodes[event.node]
    forward = event.role is Role.FORWARD
    move_node(node, NodeStatus.RUNNING if forward else NodeStatus.COMPENSATING)
    admitted = node.admitted_at is not None
    stop_waiting(run, node, event.at)
    at_once = None if event.deadline is None and node.plan.template is None else event.at
    record = AttemptRecord(
        event.number,
        event.role,
        event.at,
        at_once,
        event.deadline,
        admitted=admitted,
        budget=event.budget,
        elsewhere=event.elsewhere,
    )
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
        take_place(run, node.plan)
    if node.plan.kind is NodeKind.SUB_COMMAND and forward:
        seed(run, node, event.at)
        for key, ref in event.inputs.items():
            inner = f"{node.plan.id}/{key}"
            if all(part.node in {None, event.node} for part in run.context.get(inner, ())):  # else newer inside
                contribute(run, inner, ref, event.at, Merge.REPLACE, node=node.plan.id)
        for index in node.plan.inner:  # already open if the sub-command continues after a crash
            offer(run, run.phases[index])
        if node.plan.loop is not None and node.plan.inner and run.passed.get(event.node, 0) == len(node.plan.inner):
            run.judging[event.node] = None  # it continues between two iterations
    else:
        run.attempts_total += 1
        run.running += forward
    set_timer(run, event.deadline, "attempt", event.node, event.number)


def _attempt_started(run: Run, event: ev.AttemptStarted) -> None:
    live = live_of(run.nodes[event.node])
    live.started_at = event.since or event.at
    live.deadline = event.deadline
    live.worker = event.worker
    set_timer(run, event.deadline, "attempt", event.node, event.number)


def _attempt_stopping(run: Run, event: ev.AttemptStopping) -> None:
    node = run.nodes[event.node]
    live = live_of(node)
    live.stopping = event.failure
    run.stopped[event.node] = None
    run.judging.pop(event.node, None)
    if node.plan.kind is NodeKind.SUB_COMMAND and live.role is Role.FORWARD:
        run.stopping.setdefault(event.node, None)


def _attempt_renewed(run: Run, event: ev.AttemptRenewed) -> None:
    live_of(run.nodes[event.node]).deadline = event.deadline
    set_timer(run, event.deadline, "attempt", event.node, event.number)


def _attempt_warned(run: Run, event: ev.AttemptWarned) -> None:
    live = live_of(run.nodes[event.node])
    live.warnings = (*live.warnings, event.text)
    run.remarks[event.node] = None


def _attempt_succeeded(run: Run, event: ev.AttemptSucceeded) -> None:
    node = run.nodes[event.node]
    record = end_live(run, node, event.at)
    record.usage = event.usage
    record.left = event.left
    record.warnings = (*record.warnings, *event.warnings)
    if record.warnings or record.left:
        run.remarks[event.node] = None
    _add_cost(run, record)
    if run.scarce and _is_model(run, node, record):
        run.scarce = False
    node.retries = node.workers_lost = 0
    if record.role is Role.COMPENSATE:
        move_node(node, NodeStatus.COMPENSATED)
        node.locked = False
        _next_in_saga(run, node, event.at)
        return
    move_node(node, NodeStatus.COMPLETED)
    node.locked = False
    node.ended_at = event.at
    node.failure = None
    if node.plan.kind is NodeKind.SUB_COMMAND:
        if event.exhausted:
            run.exhausted.append(event.node)
            run.unfolded[event.node].exhausted = run.unfolded[event.node].count
        if node.plan.each is not None:
            join(run, node, event.at)
        else:
            _hand_out(run, node, event.at)
    elif event.outputs:
        node.outputs = {**event.outputs}
        scope = node.plan.output_scope
        for output in node.plan.outputs:
            ref = event.outputs.get(output.key)
            if ref is not None:
                contribute(run, scope + output.key, ref, event.at, output.merge, node=node.plan.id)
    settle(run, node, event.at)


def _hand_out(run: Run, node: NodeState, at: datetime) -> None:
    """Pass the declared outputs of a sub-command to the context around it."""
    plan = node.plan
    if plan.output_scope == f"{plan.id}/":  # an item's: they are joined with those of the others
        return
    for output in plan.outputs:
        for place, part in enumerate(_written(run, plan, output.key)):
            merge = part.merge if place else output.merge
            contribute(run, plan.output_scope + output.key, part.ref, at, merge, node=plan.id)
            node.outputs[output.key] = part.ref


def _written(run: Run, plan: NodePlan, key: str) -> tuple[Contribution, ...]:
    """The contributions that a group hands out under *key*; of loops and iterations only what they wrote themselves."""
    if plan.target is not None:
        return tuple(part for part in own_parts(run, f"{plan.id}/{key}", run.version) if part.node is not None)
    parts = parts_at(run, f"{plan.id}/{key}", run.version)
    own = tuple(part for part in parts if part.node not in {None, plan.id}) if plan.loop is not None else ()
    return own or parts


def _attempt_failed(run: Run, event: ev.AttemptFailed) -> None:
    node = run.nodes[event.node]
    record = end_live(run, node, event.at)
    record.failure = event.failure
    record.begun = event.begun
    record.usage = event.usage
    record.left = event.left
    record.warnings = (*record.warnings, *event.warnings)
    if record.warnings or record.left:
        run.remarks[event.node] = None
    _add_cost(run, record)
    if event.failure.code in EXHAUSTED and node.plan.loop is not None:
        run.unfolded[event.node].exhausted = run.unfolded[event.node].count
    if event.failure.code in SCARCITY_CODES and _is_model(run, node, record):
        run.scarce = True


def _attempt_lost(run: Run, event: ev.AttemptLost) -> None:
    node = run.nodes[event.node]
    record = end_live(run, node, event.at)
    record.lost = True
    record.lost_worker = event.worker
    node.workers_lost += event.worker != ""


def _add_cost(run: Run, record: AttemptRecord) -> None:
    if record.usage is not None and record.usage.cost_usd is not None:
        run.cost_usd += record.usage.cost_usd


def _is_model(run: Run, node: NodeState, record: AttemptRecord) -> bool:
    return is_model_work(run, node.plan, undo=record.role is Role.COMPENSATE)


def _next_in_saga(run: Run, node: NodeState, at: datetime) -> None:
    name = node.plan.id
    if run.saga is not None and name not in run.undoing:
        run.saga.next += 1
        return
    run.undoing.discard(name)
    for saga in run.stopping.values():
        if saga is not None and saga.order[saga.next : saga.next + 1] == (name,):
            saga.next += 1
            run.undoing.update(saga.order[saga.next : saga.next + 1])
    settle(run, node, at)


def _compensation_failed(run: Run, event: ev.CompensationFailed) -> None:
    node = run.nodes[event.node]
    move_node(node, NodeStatus.COMPENSATION_FAILED)
    stop_waiting(run, node, event.at)
    node.compensation_failure = event.failure
    node.locked = False
    run.undo_failures.append(event.node)
    _next_in_saga(run, node, event.at)


def _node_reset(run: Run, event: ev.NodeReset) -> None:
    node = run.nodes[event.node]
    plan = node.plan
    move_node(node, NodeStatus.PENDING)
    if node.settled:
        node.settled = False
        run.settled -= 1
        run.settled_of_file -= not plan.origin
        phase = run.phases[plan.phase]
        phase.unsettled += 1
        for dependent in plan.dependents:
            run.nodes[dependent].blockers += 1
    if event.whole:
        drop(run, node)
    for output in node.outputs:
        key = plan.output_scope + output
        run.context[key] = [part for part in run.context.get(key, ()) if part.node != plan.id]
    node.outputs = {}
    node.failure = node.compensation_failure = None
    node.skip_message = None
    node.version = node.started_at = node.ended_at = None
    node.checked = node.approved = node.locked = node.retried_by_compensation = False
    node.retries = node.workers_lost = 0
    phase = run.phases[plan.phase]
    if phase.opened_at is not None:
        phase.opened_at = phase.ended_at = phase.deadline = None
        phase.ready.clear()
        close_phase(run, plan.phase)
        run.passed.pop(phase.plan.group, None)


EXHAUSTED = frozenset({"NOT_CONVERGED", "NO_PROGRESS"})
"""Failures of a loop that ended without its condition."""

APPLY: dict[type[Any], Callable[[Run, Any], None]] = {
    ev.NodesUnfolded: unfolded,
    ev.IterationOpened: opened,
    ev.NodeWaiting: _node_waiting,
    ev.NodeReady: _node_ready,
    ev.NodeSkipped: _node_skipped,
    ev.NodeFailed: _node_failed,
    ev.NodeCancelled: _node_cancelled,
    ev.NodeReset: _node_reset,
    ev.AttemptScheduled: _attempt_scheduled,
    ev.AttemptStarted: _attempt_started,
    ev.AttemptStopping: _attempt_stopping,
    ev.AttemptRenewed: _attempt_renewed,
    ev.AttemptWarned: _attempt_warned,
    ev.AttemptSucceeded: _attempt_succeeded,
    ev.AttemptFailed: _attempt_failed,
    ev.AttemptLost: _attempt_lost,
    ev.CompensationFailed: _compensation_failed,
}
"""The change that each event of a node or attempt makes."""
