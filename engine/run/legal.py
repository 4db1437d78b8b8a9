"""The preconditions of events: what must hold of a run before each kind of event changes it.

Pure. Checked before every change, when an event is decided and when it is read from a journal: an event that does not
fit is a broken invariant, and no state is made of it. The tables of `run.state` add which status may follow which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.run import events as ev
from engine.run.events import ASKED, Role, RunStatus, WaitReason
from engine.run.state import AFTER_ITS_WORK, END_STATES, NodeStatus, is_undone_now

if TYPE_CHECKING:
    from engine.run.state import NodeState, Run

Rule: TypeAlias = "Callable[[Run, Any], bool]"

TAKES_UP = frozenset({ev.RunResumed, ev.RunReopened})
"""The only events that may happen to a run that has ended."""
_OVER = frozenset(
    {
        NodeStatus.COMPLETED,
        NodeStatus.FAILED,
        NodeStatus.SKIPPED,
        NodeStatus.CANCELLED,
        NodeStatus.COMPENSATED,
        NodeStatus.COMPENSATION_FAILED,
    }
)
_BY_ITSELF = frozenset({RunStatus.COMPLETED, RunStatus.DEGRADED})
_WHILE_UNDOING = frozenset({WaitReason.LOCKS, WaitReason.BREAKER, WaitReason.RETRY})


def may_happen(run: Run, event: ev.Event) -> bool:
    """Whether *event* is legal in the state of *run*, by the rule of its kind."""
    kind = type(event)
    try:
        return RULES[kind](run, event) and (run.status not in END_STATES or kind in TAKES_UP)
    except LookupError:  # it names a node or a phase that the run does not have
        return False


def _run_started(run: Run, _event: ev.RunStarted) -> bool:
    return run.status is RunStatus.PENDING


def _phase_opened(run: Run, event: ev.PhaseOpened) -> bool:
    phase = run.phases[event.phase]
    return event.phase >= 0 and phase.opened_at is None and run.stop is None and run.status is RunStatus.RUNNING


def _phase_ended(run: Run, event: ev.PhaseEnded) -> bool:
    return event.phase in run.drained


def _run_stopping(run: Run, event: ev.RunStopping) -> bool:
    return run.stop is None or (run.stop.compensate and not event.cause.compensate)


def _saga_started(run: Run, event: ev.SagaStarted) -> bool:
    if any(name not in run.nodes for name in event.order):
        return False
    if event.group is None:
        return run.stop is not None and run.saga is None and not run.live
    return run.stopping[event.group] is None


def _run_interrupted(_run: Run, _event: ev.RunInterrupted) -> bool:
    return True


def _run_resumed(run: Run, event: ev.RunResumed) -> bool:
    return run.status is RunStatus.INTERRUPTED and all(run.nodes[name].live is not None for name in event.standing)


def _clock_jumped(run: Run, event: ev.ClockJumped) -> bool:
    return event.number == len(run.jumps) + 1


def _run_reopened(run: Run, _event: ev.RunReopened) -> bool:
    return run.status in {RunStatus.FAILED, RunStatus.DEGRADED}


def _run_ended(run: Run, event: ev.RunEnded) -> bool:
    if event.status not in END_STATES or event.status is RunStatus.INTERRUPTED or run.live:
        return False
    return event.status not in _BY_ITSELF or not (run.stop or run.open_phases or run.settled < len(run.nodes))


def _node_waiting(run: Run, event: ev.NodeWaiting) -> bool:
    node = run.nodes[event.node]
    waiting = node.waiting
    if node.live is not None:
        return False
    if waiting is not None:  # it asks, and waits for the answer, in turns
        asks = waiting.reason is event.reason and event.reason in ASKED
        return asks and (waiting.until is None) is not (event.until is None)
    if node.status in AFTER_ITS_WORK:
        return event.reason in _WHILE_UNDOING and is_undone_now(run, event.node)
    return True


def _nodes_unfolded(run: Run, event: ev.NodesUnfolded) -> bool:
    node = run.nodes[event.node]
    keys = len(event.keys) in {0, len(event.items)}
    return node.plan.each is not None and event.node not in run.unfolded and node.live is None and keys


def _iteration_opened(run: Run, event: ev.IterationOpened) -> bool:
    node = run.nodes[event.node]
    count = run.unfolded[event.node].count if event.node in run.unfolded else 0
    over = run.passed.get(event.node, 0) == len(node.plan.inner)
    return node.plan.loop is not None and event.number == count + 1 and node.live is not None and over


def _node_ready(run: Run, event: ev.NodeReady) -> bool:
    node = run.nodes[event.node]
    return node.waiting is not None or _is_lost(node)


def _is_lost(node: NodeState) -> bool:
    """Whether its attempt has ended and no event has said yet what follows."""
    return node.status is NodeStatus.RUNNING and node.live is None


def _node_ended(run: Run, event: ev.NodeSkipped | ev.NodeFailed | ev.NodeCancelled) -> bool:
    return run.nodes[event.node].live is None


def _node_reset(run: Run, event: ev.NodeReset) -> bool:
    node = run.nodes[event.node]
    return node.status in _OVER and node.live is None


def _attempt_scheduled(run: Run, event: ev.AttemptScheduled) -> bool:
    node = run.nodes[event.node]
    if node.live is not None or event.number != len(node.attempts) + 1 or event.version > run.version:
        return False
    if event.role is Role.FORWARD:
        return not node.blockers and run.stop is None and node.plan.phase in run.open_phases
    return node.waiting is None and is_undone_now(run, event.node)


def _attempt_started(run: Run, event: ev.AttemptStarted) -> bool:
    live = run.nodes[event.node].live
    if live is None or live.number != event.number or live.started_at is not None or live.stopping is not None:
        return False
    return event.since is None or live.scheduled_at <= event.since <= event.at


def _attempt_is_live(
    run: Run, event: ev.AttemptStopping | ev.AttemptWarned | ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptLost
) -> bool:
    live = run.nodes[event.node].live
    return live is not None and live.number == event.number


def _attempt_renewed(run: Run, event: ev.AttemptRenewed) -> bool:
    live = run.nodes[event.node].live
    return live is not None and live.number == event.number and live.stopping is None


def _compensation_failed(run: Run, event: ev.CompensationFailed) -> bool:
    return run.nodes[event.node].live is None and is_undone_now(run, event.node)


RULES: dict[type[Any], Rule] = {
    ev.RunStarted: _run_started,
    ev.PhaseOpened: _phase_opened,
    ev.PhaseEnded: _phase_ended,
    ev.NodesUnfolded: _nodes_unfolded,
    ev.IterationOpened: _iteration_opened,
    ev.RunStopping: _run_stopping,
    ev.SagaStarted: _saga_started,
    ev.RunInterrupted: _run_interrupted,
    ev.RunResumed: _run_resumed,
    ev.ClockJumped: _clock_jumped,
    ev.RunReopened: _run_reopened,
    ev.RunEnded: _run_ended,
    ev.NodeWaiting: _node_waiting,
    ev.NodeReady: _node_ready,
    ev.NodeSkipped: _node_ended,
    ev.NodeFailed: _node_ended,
    ev.NodeCancelled: _node_ended,
    ev.NodeReset: _node_reset,
    ev.AttemptScheduled: _attempt_scheduled,
    ev.AttemptStarted: _attempt_started,
    ev.AttemptStopping: _attempt_is_live,
    ev.AttemptRenewed: _attempt_renewed,
    ev.AttemptWarned: _attempt_is_live,
    ev.AttemptSucceeded: _attempt_is_live,
    ev.AttemptFailed: _attempt_is_live,
    ev.AttemptLost: _attempt_is_live,
    ev.CompensationFailed: _compensation_failed,
}
"""By kind of event."""
