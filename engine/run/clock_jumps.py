"""Time that passed on the clock but not for a run: what it moves, and what it leaves in place.

Pure. Two kinds of time count towards no limit: the time between two owners, and a jump of the clock (the machine
slept, or somebody set the clock). If the clock was set back, all past times move back with it, so that what began
earlier still began earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from engine.run.changes import set_timer
from engine.run.events import WaitReason
from engine.run.state import ZERO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from engine.ids import NodeId
    from engine.run.state import AttemptRecord, Run, Timer, Waiting


Moved: TypeAlias = "tuple[datetime, str, str, int]"
"""The new due time, kind, key and attempt number of a timer."""


def jump(run: Run, since: datetime, at: datetime, *, attempts: Iterable[NodeId] = ()) -> timedelta:
    """Continue *run* at *at* as if *since* had been a moment ago; returns by how much its times were moved.

    The live attempts of the nodes *attempts* keep as much time as they had.
    """
    by = at - since
    if not by:
        return by
    # In their former order: what is due at one time must not depend on the order in which this module moves it.
    order = {(timer.due, timer.kind, timer.key): timer.order for timer in sorted(run.timers, key=_newest_first)}
    if by < ZERO:
        _set_back(run, by)
    else:
        run.pauses.append((since, at))
    moved = [*_postponed(run, by), *_postponed_attempts(run, attempts, by)]
    for timer in sorted(moved, key=lambda timer: order.get((timer[0] - by, *timer[1:3]), 0)):
        set_timer(run, *timer)
    return by


def _newest_first(timer: Timer) -> int:
    return -timer.order


def _postponed_attempts(run: Run, names: Iterable[NodeId], by: timedelta) -> Iterator[Moved]:
    for name in names:
        live = run.nodes[name].live
        if live is not None and live.deadline is not None:
            live.deadline += by
            yield live.deadline, "attempt", name, live.number


def _postponed(run: Run, by: timedelta) -> Iterator[Moved]:
    if run.deadline is not None:
        run.deadline += by
        yield run.deadline, "run", "", 0
    for index in run.open_phases:
        phase = run.phases[index]
        if phase.deadline is not None:
            phase.deadline += by
            yield phase.deadline, "phase", str(index), 0
    for node in run.nodes.values():
        if node.waiting is not None:
            yield from _postponed_wait(node.plan.id, node.waiting, by)


def _postponed_wait(name: NodeId, waiting: Waiting, by: timedelta) -> Iterator[Moved]:
    """Postpone the limit of a wait, which counts lived time; a delay ends when either reckoning says so."""
    if by > ZERO:  # else it was moved with the past
        waiting.since += by
    if waiting.until is not None and (by < ZERO or waiting.reason is WaitReason.LOCKS):
        waiting.until += by
        yield waiting.until, "wait", name, 0


def _set_back(run: Run, by: timedelta) -> None:
    """Move every past time by *by*."""
    run.created_at += by
    run.started_at, run.ended_at = _moved(run.started_at, by), _moved(run.ended_at, by)
    run.counts_from = _moved(run.counts_from, by)
    run.pauses = [(since + by, until + by) for since, until in run.pauses]
    for phase in run.phases:
        phase.opened_at, phase.ended_at = _moved(phase.opened_at, by), _moved(phase.ended_at, by)
    for node in run.nodes.values():
        node.started_at, node.ended_at = _moved(node.started_at, by), _moved(node.ended_at, by)
        node.admitted_at = _moved(node.admitted_at, by)
        if node.waiting is not None:
            node.waiting.since += by
        for record in node.attempts:
            _set_attempt_back(record, by)
    for key, parts in run.context.items():
        run.context[key] = [part._replace(at=part.at + by) for part in parts]


def _set_attempt_back(record: AttemptRecord, by: timedelta) -> None:
    record.scheduled_at += by
    record.started_at, record.ended_at = _moved(record.started_at, by), _moved(record.ended_at, by)


def _moved(at: datetime | None, by: timedelta) -> datetime | None:
    return None if at is None else at + by
