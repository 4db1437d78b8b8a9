"""A run as folded from its events, and the table of legal status changes.

Pure. The state is changed by `reducer.apply` alone. It keeps counters and heaps (unsettled dependencies, ready nodes,
timers) so that no decision ever rescans the nodes: a run costs time in proportion to its nodes.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from engine.ids import NodeId
from engine.model.policy import Merge
from engine.run.events import Limits, Role, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from engine.ids import OwnerId, RunId
    from engine.model.plan import NodePlan, PhasePlan, Plan
    from engine.model.policy import Failure, Usage
    from engine.run.events import StopCause, ValueRef, WaitReason


ZERO = timedelta(0)


class NodeStatus(StrEnum):
    """Where a node stands (SPEC 4)."""

    PENDING = "pending"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


_N = NodeStatus
NODE_TRANSITIONS: dict[NodeStatus, frozenset[NodeStatus]] = {
    _N.PENDING: frozenset({_N.WAITING, _N.RUNNING, _N.SKIPPED, _N.FAILED, _N.CANCELLED}),
    _N.WAITING: frozenset({_N.PENDING, _N.WAITING, _N.RUNNING, _N.FAILED, _N.SKIPPED, _N.CANCELLED}),
    _N.RUNNING: frozenset({_N.COMPLETED, _N.FAILED, _N.WAITING, _N.CANCELLED, _N.PENDING}),
    _N.COMPLETED: frozenset({_N.COMPENSATING, _N.COMPENSATION_FAILED, _N.PENDING}),
    _N.FAILED: frozenset({_N.COMPENSATING, _N.COMPENSATION_FAILED, _N.PENDING}),
    _N.SKIPPED: frozenset({_N.COMPENSATING, _N.COMPENSATION_FAILED, _N.PENDING}),
    _N.CANCELLED: frozenset({_N.COMPENSATING, _N.COMPENSATION_FAILED, _N.PENDING}),
    _N.COMPENSATING: frozenset({_N.COMPENSATING, _N.COMPENSATED, _N.COMPENSATION_FAILED}),
    _N.COMPENSATED: frozenset({_N.PENDING}),
    _N.COMPENSATION_FAILED: frozenset(),
}
"""What a node may become; back to pending only by a retry, a resume or a reset."""

_R = RunStatus
RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    _R.PENDING: frozenset(
        {_R.RUNNING, _R.COMPENSATING, _R.FAILED, _R.CANCELLED, _R.COMPENSATION_FAILED, _R.INTERRUPTED}
    ),
    _R.RUNNING: frozenset(
        {_R.COMPENSATING, _R.COMPLETED, _R.DEGRADED, _R.FAILED, _R.CANCELLED, _R.COMPENSATION_FAILED, _R.INTERRUPTED}
    ),
    _R.COMPENSATING: frozenset({_R.COMPENSATED, _R.COMPENSATION_FAILED, _R.CANCELLED, _R.INTERRUPTED}),
    _R.COMPLETED: frozenset(),
    _R.DEGRADED: frozenset({_R.RUNNING, _R.PENDING}),
    _R.FAILED: frozenset({_R.RUNNING, _R.PENDING}),
    _R.COMPENSATED: frozenset(),
    _R.COMPENSATION_FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.INTERRUPTED: frozenset({_R.PENDING, _R.RUNNING, _R.COMPENSATING}),
}
"""What a run may become."""

END_STATES = frozenset(
    {_R.COMPLETED, _R.DEGRADED, _R.FAILED, _R.COMPENSATED, _R.COMPENSATION_FAILED, _R.CANCELLED, _R.INTERRUPTED}
)
AFTER_ITS_WORK = frozenset({_N.COMPLETED, _N.FAILED, _N.CANCELLED, _N.SKIPPED, _N.COMPENSATING})
"""Where a node stands that waits to be undone: waiting does not change what it is."""
STARTED_STATES = frozenset({_N.RUNNING, _N.COMPLETED, _N.FAILED, _N.CANCELLED, _N.SKIPPED})
"""What a node that started may be when its run stops; skipped by a decision, after an attempt was lost."""


class ReadyKey(NamedTuple):
    """A node that may start; the smallest starts first (SPEC 4)."""

    priority: int
    """Negative: higher priority first."""
    path: float
    """Negative seconds of the longest remaining path."""
    place: int
    """In file order."""
    node: NodeId


class Jump(NamedTuple):
    """The clock has jumped, ahead or, where *by* is negative, back."""

    at: datetime
    by: timedelta


class Timer(NamedTuple):
    """Something that is due; stale timers are recognised when they come up and dropped."""

    due: datetime
    order: int
    kind: str
    """`attempt`, `wait`, `phase` or `run`."""
    key: str
    """Node id, phase index as text, or empty."""
    number: int
    """Attempt number, for `attempt`."""


class Contribution(NamedTuple):
    """One value that a node, or the start of the run, gave to a key."""

    version: int
    ref: ValueRef
    merge: Merge
    node: NodeId | None
    at: datetime


class AttemptRecord(msgspec.Struct):
    """One try of a node, for views and for the fence."""

    number: int
    role: Role
    scheduled_at: datetime
    started_at: datetime | None
    """When its time began to run; None: it still waits for its turn, or was over before it came."""
    deadline: datetime | None
    """When its time is over; None before it has started."""
    worker: str = ""
    """Who does it, as its executor says; empty for what starts at once."""
    ended_at: datetime | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """What it has started and still runs, a line each."""
    warnings: tuple[str, ...] = ()
    """What else there is to say about it, a sentence each."""
    lost: bool = False
    stopping: Failure | None = None
    admitted: bool = False
    """A circuit breaker was asked before it, and hears how it ends."""
    budget: float | None = None
    """What it may cost, in dollars; None: no limit."""


@dataclass(slots=True)
class Waiting:
    """What a node waits for."""

    reason: WaitReason
    since: datetime
    until: datetime | None
    detail: str


class NodeState(msgspec.Struct):
    """One node of a run."""

    plan: NodePlan
    status: NodeStatus = NodeStatus.PENDING
    blockers: int = 0
    """Dependencies that are not settled yet."""
    settled: bool = False
    live: AttemptRecord | None = None
    """The attempt that runs now."""
    attempts: list[AttemptRecord] = msgspec.field(default_factory=list)
    retries: int = 0
    """Retries of the current role so far."""
    version: int | None = None
    """Context version that all its attempts see."""
    start_order: int = -1
    """Place in the order in which nodes first started; -1 before."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waiting: Waiting | None = None
    waited: dict[WaitReason, timedelta] = msgspec.field(default_factory=dict)
    checked: bool = False
    """Skip condition and required inputs were looked at."""
    approved: bool = False
    locked: bool = False
    """Its locks are granted."""
    asking: bool = False
    """Its locks or its circuit breaker are asked for; meanwhile it takes a slot, so that no more ask than can start,
    and nothing behind it starts in its place."""
    admitted_at: datetime | None = None
    """When its circuit breaker let it through; good for the same decision only, for the breaker may open after."""
    retried_by_compensation: bool = False
    failure: Failure | None = None
    compensation_failure: Failure | None = None
    skip_message: str | None = None
    outputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)


@dataclass(slots=True)
class PhaseState:
    """One phase of a run."""

    plan: PhasePlan
    unsettled: int
    running: int = 0
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    deadline: datetime | None = None
    ready: list[ReadyKey] = field(default_factory=list)
    """Heap of nodes that may start: priority, remaining path, file order."""


@dataclass(slots=True)
class Saga:
    """What is undone, and how far."""

    order: tuple[NodeId, ...]
    next: int = 0


@dataclass(slots=True)
class Run:
    """A run, folded."""

    id: RunId
    plan: Plan
    owner: OwnerId
    executor: str
    created_at: datetime
    arguments: str
    limits: Limits
    nodes: dict[NodeId, NodeState]
    phases: list[PhaseState]
    worktree: str = ""
    """The linked git worktree that it belongs to; empty where it is that of the project that has the journal."""
    status: RunStatus = RunStatus.PENDING
    before_interrupt: RunStatus | None = None
    events: int = 0
    """Number of events folded; the next one's place in the journal."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    unowned_since: datetime | None = None
    """While interrupted: since when nobody goes on with it, as far as is known."""
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When nobody went on with it, until it was resumed or taken up again, and what the clock has leapt over.

    They count as no time of the run.
    """
    jumps: list[Jump] = field(default_factory=list)
    """How the clock has jumped while it had an owner."""
    counts_from: datetime | None = None
    """From when on `max_duration_seconds` counts: the start, or when it was taken up at its failed nodes."""
    deadline: datetime | None = None
    """When `max_duration_seconds` is used up; time in which the run was interrupted does not count."""
    changed_at: datetime | None = None
    message: str = ""
    version: int = 0
    context: dict[str, list[Contribution]] = field(default_factory=dict)
    """Contributions by scoped key, oldest first."""
    open_phases: dict[int, None] = field(default_factory=dict)
    """In the order in which they opened."""
    drained: dict[int, None] = field(default_factory=dict)
    """Open phases in which every node is settled."""
    passed: dict[NodeId | None, int] = field(default_factory=dict)
    """How many phases have ended before the first that has not, by sub-command; None: at the top level."""
    top: tuple[int, ...] = ()
    """The phases that are in no sub-command, in order."""
    offers: list[tuple[ReadyKey, int]] = field(default_factory=list)
    """Heap of the first ready node of each phase that may have a free slot; stale ones are dropped as they come up."""
    running: int = 0
    """Live forward attempts."""
    live: set[NodeId] = field(default_factory=set)
    """Nodes with a live attempt of either role."""
    starts: int = 0
    attempts_total: int = 0
    cost_usd: float = 0.0
    scarce: bool = False
    """When a model agent was last heard of, its service was overloaded or its quota used up."""
    settled: int = 0
    failures: list[NodeId] = field(default_factory=list)
    undo_failures: list[NodeId] = field(default_factory=list)
    undoing: set[NodeId] = field(default_factory=set)
    """Nodes that are undone while the run goes on: failed ones, and those of sub-commands that have failed."""
    stopping: dict[NodeId, Saga | None] = field(default_factory=dict)
    """Sub-commands that have failed alone, and what of them is undone once nothing inside runs any more."""
    uses_locks: bool = False
    """The run itself or one of its nodes may ever have a claim."""
    locked: bool = False
    """The run's own locks are granted."""
    stop: StopCause | None = None
    saga: Saga | None = None
    timers: list[Timer] = field(default_factory=list)
    timer_order: int = 0
    repeated: frozenset[NodeId] = frozenset()
    """Nodes whose task does not tell them from each other."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in END_STATES

    @property
    def budget_left(self) -> float | None:
        """What the run may still cost, in dollars, beside what its live attempts may; None: no limit."""
        limit = self.limits.max_cost_usd
        if limit is None:
            return None
        live = (self.nodes[name].live for name in self.live)
        granted = math.fsum(record.budget or 0.0 for record in live if record is not None)
        return max(0.0, limit - self.cost_usd - granted)

    def lived(self, start: datetime, end: datetime) -> timedelta:
        """How long the run was under way from *start* to *end*: without the time in which nobody went on with it."""
        if not self.pauses and self.unowned_since is None:
            return max(ZERO, end - start)
        pauses = self.pauses if self.unowned_since is None else [*self.pauses, (self.unowned_since, end)]
        idle = sum((max(ZERO, min(end, until) - max(start, since)) for since, until in pauses), ZERO)
        return max(ZERO, end - start - idle)

    def worked(self, record: AttemptRecord, now: datetime) -> timedelta:
        """How long an attempt was at work, until *now* while it is; zero where it never began."""
        return ZERO if record.started_at is None else self.lived(record.started_at, record.ended_at or now)

    def is_due(self, now: datetime) -> bool:
        """Whether a timer is due at *now*."""
        if not self.timers or self.timers[0].due > now:
            return False
        due = self.next_due()
        return due is not None and due <= now

    def next_due(self) -> datetime | None:
        """When the next timer is due, stale ones dropped; None where nothing is."""
        timers = self.timers
        while timers and not self.is_live(timers[0]):
            heapq.heappop(timers)
        return timers[0].due if timers else None

    def is_live(self, timer: Timer) -> bool:
        """Whether what *timer* was set for is still going on."""
        if self.ended:
            return False
        if timer.kind == "attempt":
            live = self.nodes[timer.key].live  # type: ignore[index]
            fits = live is not None and live.number == timer.number and live.deadline == timer.due
            return fits and live is not None and live.stopping is None
        if timer.kind == "run":
            return self.stop is None and self.deadline == timer.due
        if timer.kind == "phase":
            phase = self.phases[int(timer.key)]
            return phase.ended_at is None and phase.deadline == timer.due and self.stop is None
        node = self.nodes[timer.key]  # type: ignore[index]
        return node.waiting is not None and node.waiting.until == timer.due


def is_model_work(run: Run, plan: NodePlan, *, undo: bool) -> bool:
    """Whether a model agent does the work of a node, or undoes it."""
    agent = run.plan.agents.get(plan.worker(undo=undo))
    return agent is not None and agent.kind.traits.needs_model


def level_of(run: Run, group: NodeId | None) -> tuple[int, ...]:
    """The phases of sub-command *group*, in order; None: those of the command itself."""
    return run.top if group is None else run.nodes[group].plan.inner


def inside(run: Run, group: NodeId) -> Iterator[NodeId]:
    """All nodes of the sub-command *group*, however deep, each sub-command before its nodes."""
    for index in run.nodes[group].plan.inner:
        for name in run.phases[index].plan.nodes:
            yield name
            yield from inside(run, name)


def outer(name: NodeId) -> Iterator[NodeId]:
    """The sub-commands around *name*, innermost first."""
    around = name.rpartition("/")[0]
    while around:
        yield NodeId(around)
        around = around.rpartition("/")[0]


def is_inside(name: NodeId, group: NodeId) -> bool:
    """Whether *name* is a node of the sub-command *group*."""
    return name.startswith(f"{group}/")


def is_undone_now(run: Run, name: NodeId) -> bool:
    """Whether it is the turn of *name* to be undone."""
    return name in run.undoing or (
        run.saga is not None and run.saga.order[run.saga.next : run.saga.next + 1] == (name,)
    )


def parts_at(run: Run, key: str, version: int) -> tuple[Contribution, ...]:
    """Contributions that make up the value of scoped *key* as seen at *version*; empty where there is none."""
    parts: list[Contribution] = []
    for part in run.context.get(key, ()):
        if part.version > version:
            break
        if part.merge is Merge.REPLACE:
            parts.clear()
        parts.append(part)
    return tuple(parts)


def keys_at(run: Run, scope: str, version: int) -> list[str]:
    """Keys of *scope* that have a value at *version*, without the scope, in order of first production."""
    start = len(scope)
    return [
        key[start:]
        for key, parts in run.context.items()
        if key.startswith(scope) and "/" not in key[start:] and parts and parts[0].version <= version
    ]
