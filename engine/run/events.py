"""The events of a run, in the past tense, each with the time it became true.

Pure. Events are the only truth about a run: `reducer.apply` folds them to the state, everything else is a projection.
They are stored for ever, so fields are added with defaults and never renamed (`storage/codec.py` lifts older shapes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from engine.ids import NodeId, OwnerId, RunId
from engine.model.plan import Plan
from engine.model.policy import Failure, Usage


class Role(StrEnum):
    """What an attempt is for."""

    FORWARD = "forward"
    COMPENSATE = "compensate"


class RunStatus(StrEnum):
    """Where a run stands; the last six are end states (SPEC 4)."""

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
    DECISION = "decision"
    """An attempt of a node that is not idempotent was lost in a crash; a person decides."""


ASKED = frozenset({WaitReason.LOCKS, WaitReason.BREAKER})
"""What a table of the project is asked for; the answer comes in the commit that asks."""


class StopKind(StrEnum):
    """What stopped a run."""

    FAILURE = "failure"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class ValueRef:
    """A stored value: the hash of its canonical JSON, and its length in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may use at most; None: no limit."""

    max_parallelism: int | None = None
    max_cost_usd: float | None = None
    max_attempts_total: int | None = None
    max_duration_seconds: float | None = None

    def over(self, other: Limits) -> Limits:
        """These, and those of *other* where these say nothing."""
        return Limits(
            max_parallelism=self.max_parallelism or other.max_parallelism,
            max_cost_usd=other.max_cost_usd if self.max_cost_usd is None else self.max_cost_usd,
            max_attempts_total=self.max_attempts_total or other.max_attempts_total,
            max_duration_seconds=self.max_duration_seconds or other.max_duration_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """Why a run stops before its end, and how far it is undone."""

    kind: StopKind
    message: str
    node: NodeId | None = None
    """The failed node; None for a cancel or an exceeded limit."""
    failure: Failure | None = None
    compensate: bool = True
    rollback_to: NodeId | None = None
    """Undo only what comes after this node; None: the whole run."""


class EventBase(msgspec.Struct, frozen=True, gc=False):
    """What all events are: cheap to make and to keep, since a run makes two for every node.

    A struct is made six times faster than a frozen dataclass, and without `gc` the collector need not look at it: no
    event is part of a cycle.
    """


class RunCreated(EventBase, frozen=True):
    """A run was asked for; it starts when its own locks are granted."""

    at: datetime
    run: RunId
    plan: Plan
    owner: OwnerId
    executor: str
    """`auto`, `claude`, `host` or `simulate`, as asked."""
    initial: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    """Context before the first phase: session values, globalContext.initial, arguments; later ones win."""
    arguments: str = ""
    """The argument text that replaces `$ARGUMENTS`."""
    limits: Limits = msgspec.field(default_factory=Limits)
    worktree: str = ""
    """The linked git worktree that it belongs to; empty where it is that of the project that has the journal."""


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
    """When the wait ends by itself: the retry's due time, the locks' deadline, the breaker's next trial.

    None for locks and breakers: they are asked now, and answer in the same commit. Meanwhile the node takes a slot.
    """
    detail: str = ""
    by_compensation: bool = False
    """The retry that a compensation of type `retry` grants."""


class NodeReady(EventBase, frozen=True):
    """What a node waited for has come."""

    at: datetime
    node: NodeId


class NodeSkipped(EventBase, frozen=True):
    """The skip condition held."""

    at: datetime
    node: NodeId
    message: str


class NodeFailed(EventBase, frozen=True):
    """A node will not be tried again."""

    at: datetime
    node: NodeId
    failure: Failure
    compensating: bool = False
    """Its own compensation runs before it counts as settled (continueOnError)."""


class AttemptScheduled(EventBase, frozen=True):
    """An attempt exists and is claimed; the executor gets it after the commit."""

    at: datetime
    node: NodeId
    number: int
    """From 1, forward attempts and compensations counted together."""
    role: Role
    version: int
    """Version of the context that the attempt sees."""
    deadline: datetime | None
    """When its time is over, where it starts at once; None: it waits for its turn, and `AttemptStarted` says."""
    inputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    """For a sub-command: what its own context begins with."""
    budget: float | None = None
    """What it may cost, in dollars; None: no limit."""


class AttemptStarted(EventBase, frozen=True):
    """An attempt that had to wait for its turn has begun: its time runs from now on."""

    at: datetime
    node: NodeId
    number: int
    worker: str
    """The machine or place that does it, as its executor calls it."""
    deadline: datetime


class AttemptStopping(EventBase, frozen=True):
    """An attempt was told to end; it ends with *failure* unless it succeeded in the meantime."""

    at: datetime
    node: NodeId
    number: int
    failure: Failure


class AttemptRenewed(EventBase, frozen=True):
    """The client that does an attempt has shown that it still works on it."""

    at: datetime
    node: NodeId
    number: int
    deadline: datetime


class AttemptWarned(EventBase, frozen=True):
    """There is something to say about an attempt that must be known though it never ends."""

    at: datetime
    node: NodeId
    number: int
    text: str


class AttemptSucceeded(EventBase, frozen=True):
    """An attempt gave all its outputs."""

    at: datetime
    node: NodeId
    number: int
    outputs: dict[str, ValueRef] = msgspec.field(default_factory=dict)
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """What it has started and still runs, a line each."""
    warnings: tuple[str, ...] = ()
    """What else there is to say about it, a sentence each."""


class AttemptFailed(EventBase, frozen=True):
    """An attempt ended without its outputs; what follows is said by the next event of the node."""

    at: datetime
    node: NodeId
    number: int
    failure: Failure
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """What it has started and still runs, a line each."""
    warnings: tuple[str, ...] = ()
    """What else there is to say about it, a sentence each."""


class AttemptLost(EventBase, frozen=True):
    """The process that ran an attempt died; how far the attempt came is not known."""

    at: datetime
    node: NodeId
    number: int


class NodeCancelled(EventBase, frozen=True):
    """A node that had started or waited was ended because the run stops, or the sub-command around it."""

    at: datetime
    node: NodeId


class CompensationFailed(EventBase, frozen=True):
    """Undoing a node failed for good; the others are still undone."""

    at: datetime
    node: NodeId
    failure: Failure


class RunStopping(EventBase, frozen=True):
    """Nothing new starts; running attempts are ended, then what is to be undone is undone."""

    at: datetime
    cause: StopCause


class SagaStarted(EventBase, frozen=True):
    """The nodes to undo, in the order in which they are undone."""

    at: datetime
    order: tuple[NodeId, ...]
    group: NodeId | None = None
    """The sub-command that has failed alone while the run goes on; None: the run stops."""


class RunInterrupted(EventBase, frozen=True):
    """The owner of the run died or was closed in mid-run, or the run waits for what it needs to go on.

    A resumed run may not get its locks back; what undoes a node may be a program that the user does not trust as it is.
    """

    at: datetime
    reason: str = ""
    """Why, where there is more to say than that its process ended."""
    since: datetime | None = None
    """The last that was heard of an owner who was found dead; None: it said so itself."""


class RunResumed(EventBase, frozen=True):
    """A new owner goes on with an interrupted run."""

    at: datetime
    owner: OwnerId
    limits: Limits | None = None
    """What the run may use from now on; None: what it might before."""


class ClockJumped(EventBase, frozen=True):
    """The clock has left the time that was lived: the machine slept, or somebody set the clock.

    From `since` to `at` no time passed for the run, and no limit counts any. Where `at` is earlier the clock was set
    back.
    """

    at: datetime
    since: datetime
    """What the clock would show without the jump."""
    number: int
    """From 1: how many jumps the run has seen."""


class NodeReset(EventBase, frozen=True):
    """A failed run is taken up again: the node is to run anew, and what it had given is withdrawn."""

    at: datetime
    node: NodeId


class RunReopened(EventBase, frozen=True):
    """A failed or degraded run is taken up at its failed nodes."""

    at: datetime
    owner: OwnerId
    limits: Limits | None = None
    """What the run may use from now on; None: what it might before."""


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
