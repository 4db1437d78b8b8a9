"""The events of a run, in the past tense, each with the time it became true.

Pure. Events are the only truth about a run: `reducer.apply` folds them into the state, everything else is a projection.
They are stored forever, so fields are added with defaults and never renamed (`storage/codec.py` lifts older shapes).
No default ever changes: a field that has its default is not stored.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from engine.ids import NodeId, OwnerId, RunId
from engine.model.plan import Plan
from engine.model.policy import Failure, Usage


class Role(StrEnum):
    """The purpose of an attempt."""

    FORWARD = "forward"
    COMPENSATE = "compensate"


class RunStatus(StrEnum):
    """The status of a run; the last seven are end states (SPEC 4)."""

    PENDING = "pending"
    RUNNING = "running"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    DEGRADED = "degraded"
    FAILED = "failed"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class WaitReason(StrEnum):
    """Why a node does not run although its dependencies are settled."""

    LOCKS = "locks"
    BREAKER = "breaker"
    RETRY = "retry"
    APPROVAL = "approval"
    INTERVAL = "interval"
    """The time between two iterations."""
    DECISION = "decision"
    """An attempt of a node that is not idempotent was lost in a crash; a person decides."""


ASKED = frozenset({WaitReason.LOCKS, WaitReason.BREAKER})
"""Waits for a table of the project; the answer comes in the commit that asks."""


class StopKind(StrEnum):
    """The reason why a run stopped."""

    FAILURE = "failure"
    CANCEL = "cancel"


class ValueRef(msgspec.Struct, frozen=True, gc=False):
    """A stored value: the hash of its canonical JSON, and its length in bytes."""

    digest: str
    size: int


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a run may use; None: no limit."""

    max_parallelism: int | None = None
    max_cost_usd: float | None = None
    max_attempts_total: int | None = None
    max_duration_seconds: float | None = None

    def over(self, other: Limits) -> Limits:
        """These limits, completed by those of *other*."""
        return Limits(
            max_parallelism=self.max_parallelism or other.max_parallelism,
            max_cost_usd=other.max_cost_usd if self.max_cost_usd is None else self.max_cost_usd,
            max_attempts_total=self.max_attempts_total or other.max_attempts_total,
            max_duration_seconds=self.max_duration_seconds or other.max_duration_seconds,
        )


class StopCause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run stops before its end, and how far it is undone."""

    kind: StopKind
    message: str
    node: NodeId | None = None
    """The failed node; None for a cancel or an exceeded limit."""
    failure: Failure | None = None
    compensate: bool = True
    rollback_to: NodeId | None = None
    """Undo only what comes after this node; None: the whole run."""


class EventBase(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The base of all events: cheap to make and to keep, since a run makes two for every node.

    A struct is created six times faster than a frozen dataclass, and without `gc` the collector need not look at it: no
    event is part of a cycle.
    """


class RunCreated(EventBase, frozen=True):
    """A run was asked for; it starts when its own locks are granted."""

    at: datetime
    run: RunId
    plan: Plan
    owner: OwnerId
    executor: str
    """`auto`, `claude`, `host` or `simulate`, as requested."""
    initial: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    """Context before the first phase: session values, globalContext.initial, arguments; the last one wins."""
    arguments: str = ""
    """The argument text that replaces `$ARGUMENTS`."""
    limits: Limits = msgspec.field(default_factory=Limits)
    worktree: str = ""
    """The linked git worktree that it belongs to; empty if it is the one of the project that holds the journal."""
    definition: ValueRef | None = None
    """The command as v2 JSON data; absent in journals of older builds, and for plans that were made otherwise."""
    traceparent: str = ""
    """The span of a tracing system in which it was asked for, as the W3C writes it; empty: none, or nothing traces."""


class RunStarted(EventBase, frozen=True):
    """The run holds its locks and opens its first phase."""

    at: datetime


class PhaseOpened(EventBase, frozen=True):
    """The nodes of a phase may start as their dependencies settle."""

    at: datetime
    phase: int
    deadline: datetime | None = None


class PhaseEnded(EventBase, frozen=True):
    """Every node of a phase is settled."""

    at: datetime
    phase: int


class NodeWaiting(EventBase, frozen=True):
    """A node whose dependencies are settled cannot start yet."""

    at: datetime
    node: NodeId
    reason: WaitReason
    until: datetime | None = None
    """The time at which the wait ends by itself: the retry's due time, the locks' deadline, the breaker's next trial.

    None for locks and breakers: they are asked now, and answer in the same commit. Meanwhile the node occupies a slot.
    """
    detail: str = ""
    by_compensation: bool = False
    """The retry that a compensation of type `retry` grants."""


class NodesUnfolded(EventBase, frozen=True):
    """The list of a node with forEach is known: it stands for one instance for each item from now on."""

    at: datetime
    node: NodeId
    items: tuple[ValueRef, ...] = ()
    keys: tuple[str, ...] = ()
    """Names of the items, if they have any."""
    inputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    """Values that all instances see besides their items."""


class IterationOpened(EventBase, frozen=True):
    """A node with repeat begins another iteration."""

    at: datetime
    node: NodeId
    number: int
    """From 1."""
    at_once: bool = False
    """Whether its phase is open with this event; else another one opens it."""
    lacked: str = ""
    """The values for which the condition did not hold after the iteration before, short."""


class NodeReady(EventBase, frozen=True):
    """The wait of a node is over: it has what it waited for."""

    at: datetime
    node: NodeId


class NodeSkipped(EventBase, frozen=True):
    """The skip condition held."""

    at: datetime
    node: NodeId
    message: str


class NodeFailed(EventBase, frozen=True):
    """A node failed for good."""

    at: datetime
    node: NodeId
    failure: Failure
    compensating: bool = False
    """Its own compensation runs before it counts as settled (continueOnError)."""


class AttemptScheduled(EventBase, frozen=True):
    """An attempt was scheduled; the executor gets it after the commit."""

    at: datetime
    node: NodeId
    number: int
    """From 1, forward attempts and compensations counted together."""
    role: Role
    version: int
    """Version of the context that the attempt sees."""
    deadline: datetime | None
    """Its deadline if it starts at once; None: it waits for its turn, and `AttemptStarted` has the deadline."""
    inputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    """For a sub-command: the first values of its own context."""
    budget: float | None = None
    """The most it may cost, in dollars; None: no limit."""
    elsewhere: bool = False
    """Another machine runs it, so that it may outlive the process that scheduled it."""


class AttemptStarted(EventBase, frozen=True):
    """An attempt that had to wait for its turn has begun, and its timeout with it."""

    at: datetime
    node: NodeId
    number: int
    worker: str
    """The machine or place that runs it, as its executor calls it."""
    deadline: datetime
    since: datetime | None = None
    """When it began, if that was heard of later."""


class AttemptStopping(EventBase, frozen=True):
    """An attempt was asked to end; it ends with *failure* unless it succeeded in the meantime."""

    at: datetime
    node: NodeId
    number: int
    failure: Failure


class AttemptRenewed(EventBase, frozen=True):
    """The client has sent a heartbeat for an attempt it works on."""

    at: datetime
    node: NodeId
    number: int
    deadline: datetime


class AttemptWarned(EventBase, frozen=True):
    """A warning about a live attempt, recorded at once in case it never ends."""

    at: datetime
    node: NodeId
    number: int
    text: str


class AttemptSucceeded(EventBase, frozen=True):
    """An attempt produced all its outputs."""

    at: datetime
    node: NodeId
    number: int
    outputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """Programs it started that still run, a line each."""
    warnings: tuple[str, ...] = ()
    """Warnings about it, a sentence each."""
    exhausted: bool = False
    """It is a loop that goes on without its condition."""


class AttemptFailed(EventBase, frozen=True):
    """An attempt ended without its outputs; the next event of the node says what follows."""

    at: datetime
    node: NodeId
    number: int
    failure: Failure
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """Programs it started that still run, a line each."""
    warnings: tuple[str, ...] = ()
    """Warnings about it, a sentence each."""
    begun: bool = True
    """False: its agent never began, so that there is nothing to undo."""


class AttemptLost(EventBase, frozen=True):
    """The process or the worker that ran an attempt is gone; how far the attempt got is unknown."""

    at: datetime
    node: NodeId
    number: int
    worker: str = ""
    """The worker that was lost while its run continued; empty: the process that owned the run died."""


class NodeCancelled(EventBase, frozen=True):
    """A node that had started or waited was ended because the run, or the sub-command around it, stops."""

    at: datetime
    node: NodeId


class CompensationFailed(EventBase, frozen=True):
    """Undoing a node failed for good; the other nodes are still undone."""

    at: datetime
    node: NodeId
    failure: Failure


class RunStopping(EventBase, frozen=True):
    """Nothing new starts; running attempts are ended, then nodes are undone."""

    at: datetime
    cause: StopCause


class SagaStarted(EventBase, frozen=True):
    """The nodes to undo, in order."""

    at: datetime
    order: tuple[NodeId, ...]
    group: NodeId | None = None
    """The sub-command that failed on its own while the run continues; None: the run stops."""


class RunInterrupted(EventBase, frozen=True):
    """The owner of the run died or closed in mid-run, or the run lacks something it needs to continue.

    A resumed run may not get its locks back; the program that undoes a node may be one that the user has not trusted.
    """

    at: datetime
    reason: str = ""
    """The reason, if it is more than the end of the process."""
    since: datetime | None = None
    """When an owner that was found dead was last seen alive; None: it recorded this itself."""


class RunResumed(EventBase, frozen=True):
    """A new owner continues an interrupted run."""

    at: datetime
    owner: OwnerId
    limits: Limits | None = None
    """Its limits from now on; None: as before."""
    standing: tuple[NodeId, ...] = ()
    """Nodes whose attempts other machines still run, or have ended: they continue, while all others are lost."""


class ClockJumped(EventBase, frozen=True):
    """The clock jumped: the machine slept, or somebody set the clock.

    From `since` to `at` no time passed for the run, and no limit counts it. If `at` is earlier, the clock was set back.
    """

    at: datetime
    since: datetime
    """The time that the clock would show without the jump."""
    number: int
    """From 1: how many jumps the run has seen."""


class NodeReset(EventBase, frozen=True):
    """A failed run is retried: the node is to run again, and its outputs are withdrawn."""

    at: datetime
    node: NodeId
    whole: bool = False
    """Its instances are dropped: its list or its loop begins from the start."""


class RunReopened(EventBase, frozen=True):
    """A failed or degraded run is retried from its failed nodes."""

    at: datetime
    owner: OwnerId
    limits: Limits | None = None
    """Its limits from now on; None: as before."""


class RunEnded(EventBase, frozen=True):
    """The run is over."""

    at: datetime
    status: RunStatus
    message: str = ""


Event = (
    RunCreated
    | RunStarted
    | PhaseOpened
    | PhaseEnded
    | NodesUnfolded
    | IterationOpened
    | NodeWaiting
    | NodeReady
    | NodeSkipped
    | NodeFailed
    | NodeCancelled
    | NodeReset
    | AttemptScheduled
    | AttemptStarted
    | AttemptStopping
    | AttemptRenewed
    | AttemptWarned
    | AttemptSucceeded
    | AttemptFailed
    | AttemptLost
    | CompensationFailed
    | RunStopping
    | SagaStarted
    | RunInterrupted
    | RunResumed
    | ClockJumped
    | RunReopened
    | RunEnded
)
