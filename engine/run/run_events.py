"""How the events of runs and phases change a run.

Pure. Mechanical: no policy, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.run import events as ev
from engine.run.changes import close_phase, make_ready, move_node, move_run, open_phase, set_timer, stop_waiting
from engine.run.clock_jumps import jump
from engine.run.events import RunStatus, WaitReason
from engine.run.nesting import level_of
from engine.run.state import ZERO, Jump, NodeStatus, Run, Saga

if TYPE_CHECKING:
    from datetime import datetime

    from engine.run.state import NodeState


def _run_started(run: Run, event: ev.RunStarted) -> None:
    move_run(run, run.before_interrupt or RunStatus.RUNNING)
    run.before_interrupt = None
    run.started_at = run.started_at or event.at
    run.locked = bool(run.plan.locks)
    if run.counts_from is None:
        _allow_duration(run, event.at)


def _allow_duration(run: Run, at: datetime) -> None:
    run.counts_from = at
    if run.limits.max_duration_seconds is not None:
        run.deadline = at + timedelta(seconds=run.limits.max_duration_seconds)
        set_timer(run, run.deadline, "run")


def _phase_opened(run: Run, event: ev.PhaseOpened) -> None:
    open_phase(run, event.phase, event.at, event.deadline)


def _phase_ended(run: Run, event: ev.PhaseEnded) -> None:
    run.phases[event.phase].ended_at = event.at
    close_phase(run, event.phase)
    group = run.phases[event.phase].plan.group
    level = level_of(run, group)
    place = run.passed.get(group, 0)
    while place < len(level) and run.phases[level[place]].ended_at is not None:
        place += 1
    run.passed[group] = place
    if group is not None and place == len(level) and _is_judged(run.nodes[group]):
        run.judging[group] = None


def _is_judged(group: NodeState) -> bool:
    """Whether *group* is a loop at work: its condition is to be evaluated now."""
    return group.plan.loop is not None and group.live is not None and group.live.stopping is None


def _run_stopping(run: Run, event: ev.RunStopping) -> None:
    run.stop = event.cause
    for phase in run.phases:
        phase.ready.clear()


def _saga_started(run: Run, event: ev.SagaStarted) -> None:
    if event.group is not None:
        run.stopping[event.group] = Saga(event.order)
        run.undoing.update(event.order[:1])
        return
    move_run(run, RunStatus.COMPENSATING)
    run.saga = Saga(event.order)


def _run_interrupted(run: Run, event: ev.RunInterrupted) -> None:
    before = run.status
    move_run(run, RunStatus.INTERRUPTED)
    if run.before_interrupt is None:  # else it was waiting for its locks, to continue with its earlier status
        run.before_interrupt = before
    run.ended_at = event.at
    run.unowned_since = event.since or event.at
    run.message = event.reason


def _run_resumed(run: Run, event: ev.RunResumed) -> None:
    move_run(run, RunStatus.PENDING if run.plan.locks else run.before_interrupt or RunStatus.RUNNING)
    if not run.plan.locks or run.before_interrupt is RunStatus.PENDING:
        run.before_interrupt = None
    run.owner = event.owner
    run.message = ""
    _limit(run, event.limits)
    jump(run, run.unowned_since or event.at, event.at, attempts=event.standing)
    run.ended_at = run.unowned_since = None
    _drop_locks(run, event.at)


def _clock_jumped(run: Run, event: ev.ClockJumped) -> None:
    by = jump(run, event.since, event.at, attempts=run.live)
    run.jumps.append(Jump(event.at, by))


def _limit(run: Run, limits: ev.Limits | None) -> None:
    """Apply *limits* from now on; a longer duration extends the old one instead of starting afresh."""
    if limits is None:
        return
    before, run.limits = run.limits.max_duration_seconds, limits
    begun = run.counts_from
    if begun is not None and limits.max_duration_seconds not in {None, before}:
        longer = timedelta(seconds=limits.max_duration_seconds or 0)
        if run.deadline is None:
            idle = sum((until - max(since, begun) for since, until in run.pauses if until > begun), ZERO)
            run.deadline = begun + longer + idle
        else:
            run.deadline += longer - timedelta(seconds=before or 0)


def _drop_locks(run: Run, at: datetime) -> None:
    """Drop locks and trial calls, which die with their owner; nodes that had or wanted some ask again."""
    run.locked = False
    for node in run.nodes.values():
        node.locked = False
        if node.waiting is not None and node.waiting.reason in {WaitReason.LOCKS, WaitReason.BREAKER}:
            stop_waiting(run, node, at)
            if node.status is NodeStatus.WAITING:
                node.status = NodeStatus.PENDING
                make_ready(run, node)


def _run_reopened(run: Run, event: ev.RunReopened) -> None:
    move_run(run, RunStatus.PENDING if run.plan.locks else RunStatus.RUNNING)
    run.owner = event.owner
    jump(run, run.ended_at or event.at, event.at)
    run.retried += 1
    run.ended_at = None
    run.stop = None
    run.saga = None
    run.failures.clear()
    run.undo_failures.clear()
    run.exhausted.clear()
    run.message = ""
    run.limits = event.limits or run.limits
    _allow_duration(run, event.at)


def _run_ended(run: Run, event: ev.RunEnded) -> None:
    move_run(run, event.status)
    run.ended_at = event.at
    run.message = event.message
    run.locked = False
    if run.stop is not None:
        run.undoing.clear()
        for node in run.nodes.values():
            stop_waiting(run, node, event.at)
            if node.status in {NodeStatus.PENDING, NodeStatus.WAITING}:
                move_node(node, NodeStatus.CANCELLED)


APPLY: dict[type[Any], Callable[[Run, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.PhaseOpened: _phase_opened,
    ev.PhaseEnded: _phase_ended,
    ev.RunStopping: _run_stopping,
    ev.SagaStarted: _saga_started,
    ev.RunInterrupted: _run_interrupted,
    ev.RunResumed: _run_resumed,
    ev.ClockJumped: _clock_jumped,
    ev.RunReopened: _run_reopened,
    ev.RunEnded: _run_ended,
}
"""The change that each event of a run or phase makes."""
