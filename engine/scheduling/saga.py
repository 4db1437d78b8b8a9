"""The nodes to undo when a run or a sub-command stops, their order, and the steps of undoing them.

Pure. SPEC 7.

Theory of operation
===================

**The problem.** A stopped run has left effects: files, branches, calls to services. Undoing them in the wrong order, or
some of them twice, may do more harm than the failure did; and the process may die while it undoes.

**The order.** A node starts only after everything it depends on, so the reverse of the order in which nodes first
started undoes each node before those it built on. Nodes inside a sub-command come before it; a sub-command that was
resumed starts again after some of its nodes, so it counts as started no later than they. One saga runs one compensation
at a time. Its order is fixed once, in `SagaStarted`, since statuses change while nodes are undone.

**The position is part of the state.** Folding the end of a compensation advances `Saga.next`; after a crash the run
continues with the node at that place, and only a compensation that was under way is repeated. One that failed for good
advances it too: a broken compensation must not keep the effects of other nodes in the world.

**Two kinds.** `run.saga` undoes the whole run, once no attempt is live. While the run goes on, `run.undoing` holds the
nodes whose own compensation is due: a failed node of a phase that continues on error, and the next one of each failed
sub-command (`run.stopping`). If the run stops as well, these come first.

**Locks.** A node gave its locks back when it ended (unless it failed into its own compensation), so it asks for them
again before it is undone, with those of enclosing sub-commands that no longer have theirs. A resumed run undoes nothing
before it has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.plan import NodeKind
from engine.model.policy import CompensationType, Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, StopKind, WaitReason
from engine.run.nesting import inside, outer
from engine.run.state import STARTED_STATES, NodeStatus
from engine.scheduling import succession

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ids import NodeId
    from engine.model.policy import LockSpec
    from engine.run.state import NodeState, Run
    from engine.scheduling.step import Step

UNDOING = frozenset({CompensationType.ROLLBACK, CompensationType.CUSTOM})


def is_undone_after(run: Run, node: NodeState, kind: FailureKind) -> bool:
    """Whether a failure of *kind* has *node* undone: it has such a compensation, and something was done."""
    compensation = node.plan.compensation
    undoes = compensation is not None and compensation.type in UNDOING and kind in compensation.on
    return undoes and has_begun(run, node)


def has_begun(run: Run, node: NodeState) -> bool:
    """Whether an agent may have done some of the work of *node*; that of a group is the work of the nodes inside."""
    if node.plan.kind is NodeKind.SUB_COMMAND:  # one that a retry has reset keeps what is completed inside
        inner = (name for index in node.plan.inner for name in run.phases[index].plan.nodes)
        return any(has_begun(run, run.nodes[name]) for name in inner)
    start = node.started_at  # attempts before it were before its reset
    return start is not None and any(one.begun and one.scheduled_at >= start for one in node.forward)


def undo_order(run: Run) -> tuple[NodeId, ...]:
    """Nodes to undo when *run* stops, in order."""
    cause = run.stop
    if cause is None or not cause.compensate:
        return ()
    kind = cause.failure.kind if cause.failure is not None else FailureKind.CANCEL
    within = None if cause.rollback_to is None else succession.after(run, cause.rollback_to)
    nodes = run.nodes.values() if within is None else (run.nodes[name] for name in within)
    return _order(node for node in nodes if is_undone_after(run, node, kind))


def undo_order_inside(run: Run, group: NodeId, kind: FailureKind) -> tuple[NodeId, ...]:
    """Nodes to undo inside a sub-command that failed on its own, in order."""
    nodes = (run.nodes[name] for name in inside(run, group))
    return _order(node for node in nodes if is_undone_after(run, node, kind))


def _order(nodes: Iterable[NodeState]) -> tuple[NodeId, ...]:
    """*nodes*, of which each has started, last one first; nodes inside a sub-command before the sub-command."""
    chosen = {node.plan.id: node.start_order for node in nodes if node.status in STARTED_STATES}
    first = dict(chosen)
    for name, start in chosen.items():
        for around in outer(name):  # a resumed sub-command has started after nodes inside it
            if around in first:
                first[around] = min(first[around], start)
    return tuple(sorted(chosen, key=lambda name: (first[name], name.count("/")), reverse=True))


def begin(step: Step) -> None:
    """All forward attempts have ended: start undoing, or end the run if there is nothing to undo."""
    order = undo_order(step.run)
    if order:
        step.emit(ev.SagaStarted(step.now, order))
        undo_next(step)
    else:
        step.emit(ev.RunEnded(step.now, _end_status(step.run), _end_message(step.run)))


def give_up(step: Step) -> None:
    """End the run without undoing more; a node that waits for another try of its compensation has failed."""
    run = step.run
    waiting = sorted(run.undoing, key=lambda name: run.nodes[name].plan.place)
    if run.saga is not None:
        waiting += run.saga.order[run.saga.next : run.saga.next + 1]
    for node in (run.nodes[name] for name in waiting):
        if node.status is NodeStatus.COMPENSATING:
            message = f'Undoing node "{node.plan.id}" was abandoned'
            failure = node.attempts[-1].failure or Failure(FailureKind.CANCEL, "CANCELLED", message)
            step.emit(ev.CompensationFailed(step.now, node.plan.id, failure))
    step.emit(ev.RunEnded(step.now, _end_status(run), _end_message(run)))


def undo_next(step: Step) -> None:
    """Start the next compensation, or end the run after the last one."""
    run = step.run
    saga = run.saga
    if saga is None or saga.next >= len(saga.order):
        step.emit(ev.RunEnded(step.now, _end_status(run), _end_message(run)))
        return
    compensate(step, run.nodes[saga.order[saga.next]])


def compensate(step: Step, node: NodeState) -> None:
    """Schedule the compensation of *node*, or wait for its locks first.

    A resumed run undoes nothing before it has its own locks again.
    """
    plan = node.plan
    if node.waiting is not None or node.live is not None or step.run.status is RunStatus.PENDING:
        return
    if locks_to_undo(step.run, node) and not node.locked:
        step.emit(ev.NodeWaiting(step.now, plan.id, WaitReason.LOCKS, None))
        return
    deadline, elsewhere = step.place(plan, Role.COMPENSATE)
    step.emit(
        ev.AttemptScheduled(
            step.now,
            plan.id,
            len(node.attempts) + 1,
            Role.COMPENSATE,
            step.run.version if node.version is None else node.version,
            deadline,
            elsewhere=elsewhere,
        )
    )


def locks_to_undo(run: Run, node: NodeState) -> tuple[LockSpec, ...]:
    """The locks needed to undo *node*: its own, and those of enclosing sub-commands that do not hold theirs."""
    locks = list(node.plan.locks)
    for group in (run.nodes[name] for name in outer(node.plan.id)):
        if group.live is None or not group.locked:
            locks += group.plan.locks
    return tuple(dict.fromkeys(locks))


def not_undone(run: Run) -> list[NodeId]:
    """Started nodes whose effects a compensation should have undone but did not."""
    return [
        node.plan.id
        for node in run.nodes.values()
        if node.plan.compensation is not None
        and node.plan.compensation.type in UNDOING
        and node.status is not NodeStatus.COMPENSATED
        and has_begun(run, node)
    ]


def _end_status(run: Run) -> RunStatus:
    if run.undo_failures:
        return RunStatus.COMPENSATION_FAILED
    if run.stop is not None and run.stop.kind is StopKind.CANCEL:
        return RunStatus.CANCELLED
    return RunStatus.FAILED if run.saga is None else RunStatus.COMPENSATED


def _end_message(run: Run) -> str:
    message = run.stop.message if run.stop else ""
    if run.undo_failures:
        message = "\n".join(failure_text(run.nodes[name], run) for name in run.undo_failures)
    if run.stop is not None and not run.stop.compensate:
        left = not_undone(run)
        if left:
            return f"{message} (not undone: {', '.join(left)})".strip()
    return message


def failure_text(node: NodeState, run: Run) -> str:
    """The guide's three lines about a compensation that failed."""
    original: Failure | None = node.failure
    if original is None and run.stop is not None:
        original = run.stop.failure
    first = original.message if original else (run.stop.message if run.stop else "cancelled")
    second = node.compensation_failure.message if node.compensation_failure else "unknown"
    return f'Compensation failed for node "{node.plan.id}"\nOriginal error: {first}\nCompensation error: {second}'
