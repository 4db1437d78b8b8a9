"""A run as folded from its events, and the table of legal status changes.

Pure. The state is changed by `reducer.apply` alone.

Theory of operation
===================

**The problem.** After every event the same questions come up: which node starts next, which phase is over, what is due?
Looking through all nodes each time would make a run of n nodes cost n² steps.

**The idea.** Each event updates the answers as it is folded. Counters hold what is left (`blockers`, `unsettled`),
heaps hold what comes next: ready nodes by phase, one offer for each phase (`offers`), due times (`timers`). A run then
costs little more than time in proportion to its events.

**Nothing is searched in a heap.** An entry that became wrong stays, and is dropped when it comes up: an offer that no
longer names its phase's first node, a timer whose due time is not the current one (`is_live`). So one rule holds for
all heaps: an event that changes an answer pushes the new entry. A missing push loses the node or the deadline for good;
a surplus entry does no harm.

**Values are versioned.** A new value is added beside the old ones with the next version (only a reset withdraws some).
A node keeps the version of its first attempt, so a retry or a compensation sees what that attempt saw (`lookup`).

**Derived fields follow from the events alone**, so a state folded from the journal continues like the live one.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from engine.ids import NodeId
from engine.model.plan import NodeKind
from engine.run.events import Limits, Role, RunStatus

if TYPE_CHECKING:
    from datetime import datetime

    from engine.ids import OwnerId, RunId
    from engine.model.agent import Agent
    from engine.model.plan import NodePlan, PhasePlan, Plan
    from engine.model.policy import Failure, Merge, Usage
    from engine.run.events import Event, StopCause, ValueRef, WaitReason
    from engine.run.made import Ref, Unfolded


ZERO = timedelta(0)


class NodeStatus(StrEnum):
    """The status of a node (SPEC 4)."""

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
"""The statuses that may follow; pending again only by a retry, a resume or a reset."""

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
"""The statuses that may follow."""

END_STATES = frozenset(
    {_R.COMPLETED, _R.DEGRADED, _R.FAILED, _R.COMPENSATED, _R.COMPENSATION_FAILED, _R.CANCELLED, _R.INTERRUPTED}
)
AFTER_ITS_WORK = frozenset({_N.COMPLETED, _N.FAILED, _N.CANCELLED, _N.SKIPPED, _N.COMPENSATING})
"""Statuses that a node keeps while it waits to be undone."""
STARTED_STATES = frozenset({_N.RUNNING, _N.COMPLETED, _N.FAILED, _N.CANCELLED, _N.SKIPPED})
"""Statuses of a started node when its run stops; skipped: by a decision, after an attempt was lost."""


class ReadyKey(NamedTuple):
    """A node that may start; the smallest starts first (SPEC 4)."""

    priority: int
    """Negative: higher priority first."""
    path: float
    """Negative seconds of the longest remaining path."""
    place: int
    """In file order."""
    turn: int
    """Among instances in order of creation."""
    node: NodeId


class Jump(NamedTuple):
    """A jump of the clock, ahead or, if *by* is negative, back."""

    at: datetime
    by: timedelta


class Timer(NamedTuple):
    """A due time; stale timers are recognised when they come up, and dropped."""

    due: datetime
    order: int
    kind: str
    """`attempt`, `wait`, `phase` or `run`."""
    key: str
    """Node id, phase index as text, or empty."""
    number: int
    """Attempt number, for `attempt`."""


class Contribution(NamedTuple):
    """One value for a key, from a node or the start of the run."""

    version: int
    ref: Ref
    merge: Merge
    node: NodeId | None
    at: datetime


class AttemptRecord(msgspec.Struct):
    """One attempt of a node, for views and for the fence."""

    number: int
    role: Role
    scheduled_at: datetime
    started_at: datetime | None
    """When its timeout began; None: it still waits for its turn, or ended before that."""
    deadline: datetime | None
    """When its timeout ends; None before it has started."""
    worker: str = ""
    """The worker, as its executor calls it; empty for an attempt that starts at once."""
    ended_at: datetime | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """Programs it started that still run, a line each."""
    warnings: tuple[str, ...] = ()
    """Warnings about it, a sentence each."""
    begun: bool = True
    """False: it has failed, and its agent is known not to have begun."""
    lost: bool = False
    lost_worker: str = ""
    """The worker that was lost with it; empty if it was its run's owner that died."""
    elsewhere: bool = False
    stopping: Failure | None = None
    admitted: bool = False
    """A circuit breaker admitted it, and counts its outcome."""
    budget: float | None = None
    """The most it may cost, in dollars; None: no limit."""


@dataclass(slots=True)
class Waiting:
    """The wait of a node."""

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
    workers_lost: int = 0
    """Workers that were lost in a row while they ran it."""
    version: int | None = None
    """The context version that all its attempts see."""
    start_order: int = -1
    """Its place in the order in which nodes first started; -1 before."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waiting: Waiting | None = None
    waited: dict[WaitReason, timedelta] = msgspec.field(default_factory=dict)
    checked: bool = False
    """Its skip condition and required inputs were checked."""
    approved: bool = False
    locked: bool = False
    """Its locks are granted."""
    asking: bool = False
    """It asks for its locks or its circuit breaker before its work; meanwhile it occupies a slot, so that no more ask
    than can start, and nothing behind it starts in its place."""
    admitted_at: datetime | None = None
    """When its circuit breaker admitted it; valid for the same decision only, as the breaker may open later."""
    retried_by_compensation: bool = False
    failure: Failure | None = None
    compensation_failure: Failure | None = None
    skip_message: str | None = None
    outputs: dict[str, Ref] = msgspec.field(default_factory=dict)

    @property
    def forward(self) -> list[AttemptRecord]:
        """Its attempts to do its work, without those to undo it."""
        return [record for record in self.attempts if record.role is Role.FORWARD]


class PhaseState(msgspec.Struct):
    """One phase of a run."""

    plan: PhasePlan
    unsettled: int
    running: int = 0
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    deadline: datetime | None = None
    ready: list[ReadyKey] = msgspec.field(default_factory=list)
    """Heap of nodes that may start: priority, remaining path, file order."""
    guests: list[tuple[ReadyKey, int]] = msgspec.field(default_factory=list)
    """Heap of offers of phases that use the places of this one, and found none."""


@dataclass(slots=True)
class Saga:
    """The nodes to undo in order, and the place of the next."""

    order: tuple[NodeId, ...]
    next: int = 0


class Follower(Protocol):
    """A view that follows a run instead of looking at all of it again."""

    def follow(self, event: Event) -> None:
        """*event* has been folded."""

    def touch(self, name: NodeId) -> None:
        """The node *name* has changed by an event that does not name it."""


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
    """The linked git worktree that it belongs to; empty if it is the one of the project that holds the journal."""
    definition: ValueRef | None = None
    """The command as v2 JSON data, if it is known."""
    traceparent: str = ""
    status: RunStatus = RunStatus.PENDING
    before_interrupt: RunStatus | None = None
    events: int = 0
    """Number of events folded; the next one's place in the journal."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    unowned_since: datetime | None = None
    """While interrupted: since when it has had no owner, as far as is known."""
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)
    """Times that it did not live through: without an owner, until it went on, and those that the clock jumped over."""
    jumps: list[Jump] = field(default_factory=list)
    """Jumps of the clock while it had an owner."""
    retried: int = 0
    """How often it was retried from its failed nodes."""
    counts_from: datetime | None = None
    """When `max_duration_seconds` begins to count: at the start, or when it was retried from its failed nodes."""
    deadline: datetime | None = None
    """When `max_duration_seconds` is used up; interruptions do not count."""
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
    """How many phases at the front have ended, by sub-command; None: at the top level."""
    top: tuple[int, ...] = ()
    """The phases outside all sub-commands, in order."""
    offers: list[tuple[ReadyKey, int]] = field(default_factory=list)
    """Heap of the first ready node of each phase that may have a free slot; stale ones are dropped as they come up."""
    running: int = 0
    """Live forward attempts."""
    live: set[NodeId] = field(default_factory=set)
    """Nodes with a live attempt of either role."""
    waits: set[NodeId] = field(default_factory=set)
    """Nodes that wait for something, such as locks or a person."""
    remarks: dict[NodeId, None] = field(default_factory=dict)
    """Nodes with warnings about their attempts, or programs that these left."""
    stopped: dict[NodeId, None] = field(default_factory=dict)
    """Nodes of which an attempt was stopped."""
    starts: int = 0
    attempts_total: int = 0
    cost_usd: float = 0.0
    scarce: bool = False
    """The last model call found its service overloaded or its quota exhausted."""
    settled: int = 0
    settled_of_file: int = 0
    """The same without instances and what is inside them."""
    failures: list[NodeId] = field(default_factory=list)
    undo_failures: list[NodeId] = field(default_factory=list)
    undoing: set[NodeId] = field(default_factory=set)
    """Nodes being undone while the run continues: failed ones, and those of failed sub-commands."""
    stopping: dict[NodeId, Saga | None] = field(default_factory=dict)
    """Sub-commands that failed on their own, with what is undone once nothing inside runs."""
    uses_locks: bool = False
    """The run itself or one of its nodes may ever have a claim."""
    locked: bool = False
    """The run's own locks are granted."""
    stop: StopCause | None = None
    saga: Saga | None = None
    timers: list[Timer] = field(default_factory=list)
    timer_order: int = 0
    repeated: frozenset[NodeId] = frozenset()
    """Nodes whose task does not distinguish them."""
    unfolded: dict[NodeId, Unfolded] = field(default_factory=dict)
    """Nodes whose instances exist."""
    judging: dict[NodeId, None] = field(default_factory=dict)
    """Loops whose last iteration is over, and whose condition has not been evaluated yet."""
    exhausted: list[NodeId] = field(default_factory=list)
    """Loops that were completed although their condition does not hold."""
    former: dict[NodeId, list[AttemptRecord]] = field(default_factory=dict)
    """Attempts of instances that were dropped by a retry of the run: those of later ones are numbered after them."""
    turns: int = 0
    """Instances and nodes inside them that were created."""
    follower: Follower | None = field(default=None, compare=False, repr=False)
    """The view that follows it; None: none has looked at it yet."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in END_STATES

    @property
    def budget_left(self) -> float | None:
        """The rest of its budget in dollars, less the budgets of its live attempts; None: no limit."""
        limit = self.limits.max_cost_usd
        if limit is None:
            return None
        live = (self.nodes[name].live for name in self.live)
        granted = math.fsum(record.budget or 0.0 for record in live if record is not None)
        return max(0.0, limit - self.cost_usd - granted)

    def lived(self, start: datetime, end: datetime) -> timedelta:
        """How long the run was under way from *start* to *end*, without the time in which it had no owner."""
        if not self.pauses and self.unowned_since is None:
            return max(ZERO, end - start)
        pauses = self.pauses if self.unowned_since is None else [*self.pauses, (self.unowned_since, end)]
        idle = sum((max(ZERO, min(end, until) - max(start, since)) for since, until in pauses), ZERO)
        return max(ZERO, end - start - idle)

    def worked(self, record: AttemptRecord, now: datetime) -> timedelta:
        """How long an attempt has worked, until *now* while it is live; zero if it never began."""
        return ZERO if record.started_at is None else self.lived(record.started_at, record.ended_at or now)

    def is_due(self, now: datetime) -> bool:
        """Whether a timer is due at *now*."""
        if not self.timers or self.timers[0].due > now:
            return False
        due = self.next_due()
        return due is not None and due <= now

    def next_due(self) -> datetime | None:
        """When the next timer is due, after dropping stale ones; None if there is none."""
        timers = self.timers
        while timers and not self.is_live(timers[0]):
            heapq.heappop(timers)
        return timers[0].due if timers else None

    def is_live(self, timer: Timer) -> bool:
        """Whether *timer* still applies."""
        if self.ended:
            return False
        if timer.kind == "attempt":
            node = self.nodes.get(timer.key)  # type: ignore[call-overload]
            live = None if node is None else node.live
            return live is not None and (live.number, live.deadline, live.stopping) == (timer.number, timer.due, None)
        if timer.kind == "run":
            return self.stop is None and self.deadline == timer.due
        if timer.kind == "phase":
            phase = self.phases[int(timer.key)]
            return phase.ended_at is None and phase.deadline == timer.due and self.stop is None
        node = self.nodes.get(timer.key)  # type: ignore[call-overload]
        return node is not None and node.waiting is not None and node.waiting.until == timer.due


def is_model_work(run: Run, plan: NodePlan, *, undo: bool) -> bool:
    """Whether a model agent does the work of a node, or undoes it."""
    agent = agent_of(run, plan, undo=undo)
    return agent is not None and agent.kind.traits.needs_model


def agent_of(run: Run, plan: NodePlan, *, undo: bool) -> Agent | None:
    """The agent that does the work of a node, or undoes it; None for a group, whose work the nodes inside do."""
    if undo:
        return run.plan.agents.get(plan.worker(undo=True))
    return None if plan.kind is NodeKind.SUB_COMMAND else run.plan.agents.get(plan.agent)


def is_undone_now(run: Run, name: NodeId) -> bool:
    """Whether *name* is the node to undo now."""
    return name in run.undoing or (
        run.saga is not None and run.saga.order[run.saga.next : run.saga.next + 1] == (name,)
    )
