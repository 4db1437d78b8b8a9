"""The few ways in which folding an event changes a run; the modules beside this one say what the events mean.

Pure.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from engine.errors import InternalError
from engine.model.plan import NodeKind
from engine.model.policy import Merge
from engine.run import events as ev
from engine.run.events import Role, RunStatus
from engine.run.state import (
    NODE_TRANSITIONS,
    RUN_TRANSITIONS,
    AttemptRecord,
    Contribution,
    NodeState,
    NodeStatus,
    PhaseState,
    ReadyKey,
    Run,
    Timer,
)

if TYPE_CHECKING:
    from datetime import datetime

    from engine.ids import NodeId
    from engine.model.plan import NodePlan
    from engine.run.made import Ref


def contribute(run: Run, key: str, ref: Ref, at: datetime, merge: Merge, *, node: NodeId | None) -> None:
    """Give *key* a value, which makes a new version of the context."""
    run.version += 1
    run.context.setdefault(key, []).append(Contribution(run.version, ref, merge, node, at))


def illegal(run: Run, event: ev.Event) -> InternalError:
    """The error for an event that is not legal now."""
    name = getattr(event, "node", None)
    node = run.nodes.get(name) if name is not None else None
    where = f"run {run.id} is {run.status}" if node is None else f'node "{name}" is {node.status}'
    return InternalError(f"{type(event).__name__} cannot happen now: {where}")


def move_node(node: NodeState, status: NodeStatus) -> None:
    """Move *node* to *status*, if the table allows it."""
    if status not in NODE_TRANSITIONS[node.status]:
        raise InternalError(f'node "{node.plan.id}" cannot go from {node.status} to {status}')
    node.status = status


def move_run(run: Run, status: RunStatus) -> None:
    """Move *run* to *status*, if the table allows it."""
    if status not in RUN_TRANSITIONS[run.status]:
        raise InternalError(f"run {run.id} cannot go from {run.status} to {status}")
    run.status = status


def set_timer(run: Run, due: datetime | None, kind: str, key: str = "", number: int = 0) -> None:
    """Add a timer; a stale one is recognised when it comes up."""
    if due is not None:
        run.timer_order += 1
        heapq.heappush(run.timers, Timer(due, run.timer_order, kind, key, number))


def make_ready(run: Run, node: NodeState) -> None:
    """Queue *node* in its phase if that is open."""
    plan = node.plan
    phase = run.phases[plan.phase]
    if phase.opened_at is not None and not node.settled:
        key = ReadyKey(-plan.priority, -plan.rank.total_seconds(), plan.index, plan.turn, plan.id)
        heapq.heappush(phase.ready, key)
        if phase.ready[0] is key:
            offer(run, phase)


def offer(run: Run, phase: PhaseState) -> None:
    """Offer the first ready node of *phase* for the next free slot."""
    if phase.ready:
        heapq.heappush(run.offers, (phase.ready[0], phase.plan.index))


def take_place(run: Run, plan: NodePlan) -> None:
    """Have a node take its place in its phase; an instance takes one in the phase of the node around it too.

    The node that stands for all instances takes none.
    """
    if plan.template is None:
        phase = run.phases[plan.phase]
        phase.running += 1
        if phase.plan.host is not None:
            run.phases[phase.plan.host].running += 1


def give_place(run: Run, plan: NodePlan) -> None:
    """Return the place of a node, and offer it to the next one."""
    if plan.template is None:
        phase = run.phases[plan.phase]
        phase.running -= 1
        offer(run, phase)
        if phase.plan.host is not None:
            phase = run.phases[phase.plan.host]
            phase.running -= 1
            offer(run, phase)
        if phase.guests:
            call_guest(run, phase)


def call_guest(run: Run, host: PhaseState) -> None:
    """Repeat the best offer that found no place in *host*.

    One at a time is enough: whenever an offer leads to a node, or to nothing, the next guest is called.
    """
    while host.guests:
        key, index = heapq.heappop(host.guests)
        ready = run.phases[index].ready
        if ready and ready[0] == key:
            heapq.heappush(run.offers, (key, index))
            return


def settle(run: Run, node: NodeState, at: datetime) -> None:
    """Count *node* and the nodes inside it as settled; nodes that depended on it alone become ready."""
    if node.settled:
        return
    node.settled = True
    run.settled += 1
    run.settled_of_file += not node.plan.origin
    phase = run.phases[node.plan.phase]
    phase.unsettled -= 1
    if not phase.unsettled and node.plan.phase in run.open_phases:
        run.drained[node.plan.phase] = None
    if node.plan.inner:
        _close(run, node, at)
    for dependent in node.plan.dependents:
        successor = run.nodes[dependent]
        successor.blockers -= 1
        if not successor.blockers and successor.status is NodeStatus.PENDING:
            make_ready(run, successor)


def _close(run: Run, group: NodeState, at: datetime) -> None:
    """Skip or cancel the nodes inside a sub-command that is over and have not run."""
    status = NodeStatus.SKIPPED if group.status is NodeStatus.SKIPPED else NodeStatus.CANCELLED
    for index in group.plan.inner:
        phase = run.phases[index]
        if phase.ended_at is not None:  # as those of all iterations but the last
            continue
        phase.ready.clear()
        for name in phase.plan.nodes:
            node = run.nodes[name]
            if node.status is NodeStatus.PENDING:
                move_node(node, status)
                node.skip_message = group.skip_message
            if run.follower is not None:
                run.follower.touch(name)
            settle(run, node, at)
        if index in run.open_phases:
            close_phase(run, index)
            phase.ended_at = at


def open_phase(run: Run, index: int, at: datetime, deadline: datetime | None = None) -> None:
    """Let the nodes of the phase start as their dependencies settle."""
    phase = run.phases[index]
    phase.opened_at = at
    phase.deadline = deadline
    run.open_phases[index] = None
    if not phase.unsettled:
        run.drained[index] = None
    set_timer(run, deadline, "phase", str(index))
    for name in phase.plan.nodes:
        node = run.nodes[name]
        if not node.blockers and node.status is NodeStatus.PENDING:
            make_ready(run, node)


def close_phase(run: Run, index: int) -> None:
    """Take the phase out of the open ones."""
    run.open_phases.pop(index, None)
    run.drained.pop(index, None)


def ask(run: Run, node: NodeState) -> None:
    """Take a slot while *node* asks for its locks or circuit breaker, so that later nodes stay behind it."""
    node.asking = True
    run.running += 1
    take_place(run, node.plan)


def stop_asking(run: Run, node: NodeState) -> None:
    """Return the slot that asking took."""
    if node.asking:
        node.asking = False
        run.running -= 1
        give_place(run, node.plan)


def stop_waiting(run: Run, node: NodeState, at: datetime) -> None:
    """End the wait of *node* and count its time."""
    stop_asking(run, node)
    if node.waiting is not None:
        waited = at - node.waiting.since
        reason = node.waiting.reason
        node.waited[reason] = node.waited[reason] + waited if reason in node.waited else waited
        node.waiting = None
        run.waits.discard(node.plan.id)


def live_of(node: NodeState) -> AttemptRecord:
    """The live attempt of *node*, which has one."""
    assert node.live is not None  # noqa: S101 - `run.legal` has seen it
    return node.live


def end_live(run: Run, node: NodeState, at: datetime) -> AttemptRecord:
    """End the live attempt of *node* and return its record."""
    live = live_of(node)
    node.live = None
    node.admitted_at = None
    live.ended_at = at
    run.live.discard(node.plan.id)
    run.stopping.pop(node.plan.id, None)
    if live.role is Role.FORWARD:
        run.running -= node.plan.kind is not NodeKind.SUB_COMMAND
        give_place(run, node.plan)
    if run.judging:
        run.judging.pop(node.plan.id, None)
    return live
