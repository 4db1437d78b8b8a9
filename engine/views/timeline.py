"""A run over time: a row for each node, a span for each attempt and each wait, and the critical path.

Pure, a projection of the run. `report_text.py` and `report_html.py` draw it.

Theory of operation
===================

**The problem.** A run keeps when attempts were scheduled, started and ended, and how long each node waited for each
reason in total; it does not keep when a wait began or what ended it. The report has to show both, and which nodes made
the run as long as it was. All of that is reconstructed here.

**Spans.** A node's row is read from left to right. `free` is the time from which the node could go on: at first its
phase's opening or its last dependency's end (`ready_at`), later the end of its previous attempt. A gap between `free`
and the next attempt is a wait. Its reason is a retry or a new owner between attempts; before the first one, the reason
that held the node longest, or a free slot if there is none. A second gap, between scheduling and start, is the
executor's queue. Gaps below `SHORTEST_WAIT` are the engine's own time. The gap between a node's work and its
compensation is not a wait either.

**Critical path.** It is walked backwards from the agent node that ended last. Each step asks which end let the node
start: that of its last predecessor, or, if the node was ready earlier and waited for no named reason, that of the node
whose slot it took. The walk passes through nodes that never started (skipped ones), since they may have held up
others, but does not list them. Equal times could make it run in a circle; `seen` stops it.

**Time.** All spans count from the request for the run. A lost attempt is recorded as ended only when its run is taken
over, perhaps days later, so its span ends at its deadline at the latest, and it does not count as work.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from engine.model.plan import NodeKind
from engine.run.events import Role, WaitReason
from engine.run.state import ZERO, NodeStatus
from engine.scheduling.readiness import A_WORKER, ITS_TURN, WAITS, standing
from engine.scheduling.succession import before
from engine.views.lanes import Lane, lanes
from engine.views.progress import phases_of_file
from engine.views.status import session_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import AttemptRecord, NodeState, PhaseState, Run, Waiting

MAX_INSTANCES = 20
"""Items of a list that have a row of their own: failed ones, then the slowest; of a loop, the last iterations."""
SHORTEST_WAIT = timedelta(milliseconds=1)
"""A shorter gap is the engine's own time, not a wait."""
FREE_SLOT = "a free slot"
"""The reason of a wait for the limit of the phase or of the run."""


class SpanKind(StrEnum):
    """The kind of a stretch of time."""

    ATTEMPT = "attempt"
    WAIT = "wait"
    UNDO = "undo"


class SpanEnd(StrEnum):
    """How a stretch of time ended."""

    OK = "ok"
    FAILED = "failed"
    LOST = "lost"
    """The process that ran the attempt died."""
    OPEN = "open"
    """It has not ended yet."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time, counted from the request for the run."""

    kind: SpanKind
    start: timedelta
    end: timedelta
    outcome: SpanEnd
    attempt: int | None = None
    """Number of the attempt; None for a wait."""
    note: str = ""
    """The reason of a wait, or the code and message of a failed attempt."""
    last_output: str = ""
    """The last output of a failed attempt."""
    session: str | None = None
    """The Claude Code session of an attempt."""

    @property
    def duration(self) -> timedelta:
        """Its length."""
        return self.end - self.start


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    node: NodeId
    agent: str
    doer: str
    """Its agent, `sub-command` or `phases`, for a reader."""
    status: NodeStatus
    spans: tuple[Span, ...]
    """In order; empty if the node never did anything."""
    estimate: timedelta
    duration: timedelta
    """Time in forward attempts, without waits."""
    critical: bool
    group: bool
    """Whether it is a sub-command or phases in place: its work is that of the nodes inside."""
    note: str = ""
    """Why it was skipped."""

    @property
    def start(self) -> timedelta | None:
        """The start of its first forward attempt."""
        return next((span.start for span in self.spans if span.kind is SpanKind.ATTEMPT), None)


class PhaseRows(msgspec.Struct, frozen=True, kw_only=True):
    """One phase with its nodes."""

    id: str
    name: str
    depth: int
    """0 at the top, one more for each node around it."""
    start: timedelta | None
    end: timedelta | None
    rows: tuple[Row, ...]
    lanes: tuple[Lane, ...] = ()
    """The items of a long list that have no row of their own."""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A run over time."""

    origin: datetime
    """When the run was requested; all times count from here."""
    total: timedelta
    phases: tuple[PhaseRows, ...]
    path: tuple[NodeId, ...]
    """The critical path: each node waited for the one before."""


def timeline(run: Run, now: datetime) -> Timeline:
    """*run* over time; spans that are still open end at *now*."""
    until = ending(run, now)
    path = critical_path(run, until)
    critical = frozenset(path)
    return Timeline(
        origin=run.created_at,
        total=until - run.created_at,
        phases=tuple(_phase(run, phase, names, until, critical) for phase, names in _phases(run, until)),
        path=path,
    )


def ending(run: Run, now: datetime) -> datetime:
    """When *run* ended, or *now* while it lives."""
    return run.ended_at or (run.changed_at if run.ended and run.changed_at else now)


def closing(run: Run, phase: PhaseState, until: datetime) -> datetime:
    """When *phase* ended or was stopped; *until* while it goes on. A rollback does not belong to a phase."""
    if phase.ended_at is not None or run.stop is None:
        return phase.ended_at or until
    ends = [node.ended_at or until for name in phase.plan.nodes if (node := run.nodes[name]).started_at is not None]
    return max(ends, default=phase.opened_at or until)


def work_of(run: Run, node: NodeState, until: datetime) -> timedelta:
    """The time that *node* spent in forward attempts; lost ones do not count, since their real end is unknown."""
    tries = (record for record in node.forward if not record.lost)
    return sum((run.worked(record, until) for record in tries), ZERO)


def end_of(record: AttemptRecord) -> datetime | None:
    """When an attempt was over; the end of a lost one is recorded late, so its deadline limits it."""
    if record.lost and record.ended_at is not None and record.deadline is not None:
        return min(record.ended_at, record.deadline)
    return record.ended_at


def _phases(run: Run, until: datetime) -> Iterator[tuple[PhaseState, Sequence[NodeId]]]:
    """The phases of the file, each followed by those of instances of its nodes, with the nodes to show."""
    for phase in phases_of_file(run):
        yield phase, phase.plan.nodes
        for name in phase.plan.nodes:
            if run.nodes[name].plan.template is not None:
                yield from _instances(run, run.nodes[name], until)


def _instances(run: Run, node: NodeState, until: datetime) -> Iterator[tuple[PhaseState, Sequence[NodeId]]]:
    """The phases inside *node* with failed and slow instances; of a loop, the last iterations."""
    for index in node.plan.inner[-MAX_INSTANCES:]:
        phase = run.phases[index]
        names: Sequence[NodeId] = phase.plan.nodes
        if len(names) > MAX_INSTANCES and node.plan.each is not None:
            names = _notable(run, names, until)
        yield phase, names
        for name in names:
            yield from _instances(run, run.nodes[name], until)


def _notable(run: Run, names: Sequence[NodeId], until: datetime) -> Sequence[NodeId]:
    """Some of the instances *names*: failed ones first, then the slowest, in their order."""
    nodes = sorted(
        (run.nodes[name] for name in names), key=lambda node: (node.failure is None, -work_of(run, node, until))
    )
    return [node.plan.id for node in sorted(nodes[:MAX_INSTANCES], key=lambda node: node.plan.turn)]


def _phase(
    run: Run, phase: PhaseState, names: Sequence[NodeId], until: datetime, critical: frozenset[NodeId]
) -> PhaseRows:
    depth, group = 0, phase.plan.group
    while group is not None:
        depth, group = depth + 1, run.phases[run.nodes[group].plan.phase].plan.group
    start = phase.opened_at
    shown = set(names)
    others = [run.nodes[name] for name in phase.plan.nodes if name not in shown]
    return PhaseRows(
        id=phase.plan.id,
        name=phase.plan.name,
        depth=depth,
        start=start - run.created_at if start else None,
        end=closing(run, phase, until) - run.created_at if start else None,
        rows=tuple(_row(run, run.nodes[name], until, critical) for name in names),
        lanes=lanes(run, others, until),
    )


def _row(run: Run, node: NodeState, until: datetime, critical: frozenset[NodeId]) -> Row:
    return Row(
        node=node.plan.id,
        agent=node.plan.agent,
        doer=node.plan.doer,
        status=standing(node),
        spans=tuple(_spans(run, node, until)),
        estimate=node.plan.estimate,
        duration=work_of(run, node, until),
        critical=node.plan.id in critical,
        group=node.plan.kind is NodeKind.SUB_COMMAND,
        note=node.skip_message or "",
    )


def _spans(run: Run, node: NodeState, until: datetime) -> Iterator[Span]:
    free = ready_at(run, node)
    before: AttemptRecord | None = None
    for record in node.attempts:
        wait = _wait(run, node, free, record.scheduled_at, before, role=record.role)
        if wait is not None:
            yield wait
        began = record.started_at or end_of(record) or until
        if began - record.scheduled_at >= SHORTEST_WAIT:
            yield _queue(run, record, began)
        yield _attempt(run, node, record, began, until)
        free, before = end_of(record), record
    if node.waiting is not None and not run.ended:
        yield _open_wait(run, node.waiting, until)
    elif node.status is NodeStatus.FAILED and not node.attempts and node.ended_at is not None:
        refused = _wait(run, node, free, node.ended_at, None, role=Role.FORWARD)
        yield from [refused] if refused is not None else []


def _queue(run: Run, record: AttemptRecord, began: datetime) -> Span:
    """The wait of a scheduled attempt until it *began*, or was over without starting."""
    waits = record.started_at is None and record.ended_at is None
    return Span(
        kind=SpanKind.WAIT,
        start=record.scheduled_at - run.created_at,
        end=began - run.created_at,
        outcome=SpanEnd.OPEN if waits else SpanEnd.OK,
        note=A_WORKER if record.elsewhere else ITS_TURN,
    )


def _attempt(run: Run, node: NodeState, record: AttemptRecord, began: datetime, until: datetime) -> Span:
    failure = record.failure
    outcome = SpanEnd.OK
    if record.ended_at is None:
        outcome = SpanEnd.OPEN
    elif record.lost:
        outcome = SpanEnd.LOST
    elif failure is not None:
        outcome = SpanEnd.FAILED
    return Span(
        kind=SpanKind.ATTEMPT if record.role is Role.FORWARD else SpanKind.UNDO,
        start=began - run.created_at,
        end=(end_of(record) or until) - run.created_at,
        outcome=outcome,
        attempt=record.number,
        note=f"{failure.code}: {failure.message.splitlines()[0] if failure.message else ''}" if failure else "",
        last_output=(failure.partial or "") if failure else "",
        session=session_of(run, node, record),
    )


def _wait(
    run: Run, node: NodeState, free: datetime | None, start: datetime, before: AttemptRecord | None, *, role: Role
) -> Span | None:
    """The wait between *free*, from when the node could go on, and *start*; None if there was none."""
    if free is None or start - free < SHORTEST_WAIT or (role is Role.COMPENSATE and _first_undo(before)):
        return None
    return Span(
        kind=SpanKind.WAIT,
        start=free - run.created_at,
        end=start - run.created_at,
        outcome=SpanEnd.OK,
        note=_reason(node, before),
    )


def _first_undo(before: AttemptRecord | None) -> bool:
    """Whether the gap lies between a node's work and its compensation: it is not a wait."""
    return before is None or before.role is Role.FORWARD


def _reason(node: NodeState, before: AttemptRecord | None) -> str:
    """The reason of a wait: the longest one, since the state keeps totals for each reason, not times."""
    if before is not None:
        return "retry" if not before.lost else "a new owner" if not before.lost_worker else "another worker"
    reasons = [reason for reason in node.waited if reason is not WaitReason.RETRY]
    return WAITS[max(reasons, key=node.waited.__getitem__)] if reasons else FREE_SLOT


def _open_wait(run: Run, waiting: Waiting, until: datetime) -> Span:
    note = f"{WAITS[waiting.reason]}: {waiting.detail}" if waiting.detail else WAITS[waiting.reason]
    return Span(
        kind=SpanKind.WAIT,
        start=waiting.since - run.created_at,
        end=until - run.created_at,
        outcome=SpanEnd.OPEN,
        note=note,
    )


def ready_at(run: Run, node: NodeState) -> datetime | None:
    """When all dependencies of *node* were over and its phase was open; None if that never happened."""
    opened = run.phases[node.plan.phase].opened_at
    ends = [run.nodes[name].ended_at for name in node.plan.depends_on]
    if opened is None or None in ends:
        return None
    return max([opened, *(end for end in ends if end is not None)])


def critical_path(run: Run, until: datetime) -> tuple[NodeId, ...]:
    """The nodes that made *run* as long as it was, first to last."""
    agents = [node for node in run.nodes.values() if node.plan.kind is NodeKind.AGENT]
    ran = [node for node in agents if node.started_at is not None]
    if not ran:
        return ()
    ended = sorted((node for node in agents if node.ended_at is not None), key=_by_end)
    last: NodeState | None = max(ran, key=lambda node: (node.ended_at or until, -node.plan.index))
    path: list[NodeId] = []
    seen: set[NodeId] = set()
    while last is not None and last.plan.id not in seen:
        seen.add(last.plan.id)
        if last.started_at is not None:
            path.append(last.plan.id)
        last = _cause(run, last, ended)
    return tuple(reversed(path))


def _by_end(node: NodeState) -> tuple[datetime, int, int]:
    assert node.ended_at is not None  # noqa: S101 - only such nodes are compared
    return node.ended_at, -node.plan.index, -node.plan.turn


def _cause(run: Run, node: NodeState, ended: list[NodeState]) -> NodeState | None:
    """The node whose end let *node* start: the node whose slot it took, or else its last predecessor.

    *ended* are the nodes that have ended, by their end. A slot is free later than all predecessors have ended.
    """
    start = node.started_at or node.ended_at
    assert start is not None  # noqa: S101 - it ran, or it ended before another one
    ready = ready_at(run, node)
    if ready is not None and start - ready >= SHORTEST_WAIT and not node.waited:
        place = bisect_right(ended, start, key=lambda other: _by_end(other)[0])
        two = ended[max(0, place - 2) : place]  # one of them may be the node itself
        freed = [other for other in two if other is not node and _by_end(other)[0] > ready]
        if freed:
            return freed[-1]
    earlier = [
        other
        for name in before(run, node)
        if (other := run.nodes[name]).plan.kind is NodeKind.AGENT and other.ended_at is not None
        if other.ended_at <= start and other is not node
    ]
    return max(earlier, key=_by_end, default=None)
