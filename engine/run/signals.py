"""Requests to a run, in the imperative.

Pure. A signal is never stored: `scheduling.decide` turns it into events, and those are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.ids import NodeId, OwnerId, RunId
    from engine.model.plan import Plan
    from engine.model.policy import Failure, Usage
    from engine.run.events import Limits, ValueRef


class Request(msgspec.Struct, frozen=True, gc=False):
    """The base of all signals: cheap to make, like `run.events.EventBase`."""


class StartRun(Request, frozen=True, kw_only=True):
    """Create the run and start it, or wait for its locks."""

    run: RunId
    plan: Plan
    owner: OwnerId
    executor: str = "auto"
    initial: Mapping[str, ValueRef] = msgspec.field(default_factory=dict)
    arguments: str = ""
    limits: Limits | None = None
    worktree: str = ""
    definition: ValueRef | None = None
    traceparent: str = ""


class ReportOutcome(Request, frozen=True):
    """An attempt has ended: with its outputs, or with a failure."""

    node: NodeId
    number: int
    outputs: Mapping[str, ValueRef] = msgspec.field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None
    in_time: bool = False
    """The outputs were there before the attempt timed out."""
    left: tuple[str, ...] = ()
    """Programs that the attempt started and that still run."""
    warnings: tuple[str, ...] = ()
    """Warnings about the attempt."""
    begun: bool = True
    """False: its agent never began."""


class StartAttempt(Request, frozen=True):
    """It is the turn of a waiting attempt: *worker* begins it."""

    node: NodeId
    number: int
    worker: str
    ago: timedelta = timedelta()
    """How long ago it began."""


class RenewAttempt(Request, frozen=True):
    """The client still works on an attempt: its timeout restarts."""

    node: NodeId
    number: int


class WarnAttempt(Request, frozen=True):
    """The runtime warns about an attempt before it begins."""

    node: NodeId
    number: int
    text: str


class EndAttempt(Request, frozen=True):
    """The runtime ends an attempt that was silent for too long."""

    node: NodeId
    number: int
    failure: Failure


class LoseAttempt(Request, frozen=True):
    """The worker that ran an attempt is gone, and so is all that the attempt had started."""

    node: NodeId
    number: int
    worker: str


class RequestCancel(Request, frozen=True):
    """End the run; undo its work unless *compensate* is false."""

    reason: str = ""
    compensate: bool = True


class Decide(Request, frozen=True):
    """A person's answer for a node that waits for an approval or a decision."""

    node: NodeId
    answer: str
    """Approval: `yes` or `no`. Decision: `retry`, `skip` or `fail`."""
    failure: Failure | None = None
    """The failure to record for a `no` or `fail` that no person gave."""


class GrantLocks(Request, frozen=True):
    """The lock table granted the request of the node, or of the run itself if *node* is None."""

    node: NodeId | None


class AwaitLocks(Request, frozen=True):
    """The lock table cannot grant the request yet: it waits in the queue."""

    node: NodeId | None
    until: datetime


class RefuseLocks(Request, frozen=True):
    """The lock table refused the request: waited too long, deadlock, reserved."""

    node: NodeId | None
    failure: Failure


class AnswerBreaker(Request, frozen=True):
    """The answer of the circuit breaker to a node."""

    node: NodeId
    admitted: bool
    until: datetime | None = None
    """Not admitted: when to ask again; None while a trial is under way."""
    failure: Failure | None = None
    """Not admitted, and the node does not wait: its failure."""


class SupplyObservations(Request, frozen=True):
    """The facts that `decide` needs about a node's skip condition and inputs."""

    node: NodeId
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Context values by key, as far as the node's condition and transforms read them."""
    inputs: Mapping[str, ValueRef] = msgspec.field(default_factory=dict)
    """For a sub-command: its bound inputs, stored."""
    holds: bool | None = None
    """Whether a condition that is not a context expression holds."""
    failure: Failure | None = None
    """Why the observations could not be made."""
    items: tuple[ValueRef, ...] = ()
    """For a node with forEach: its list, stored."""
    keys: tuple[str, ...] = ()
    """Names of the items, if they have any."""
    first: tuple[str, ...] = ()
    """The first items as texts, for people."""
    unusable: Failure | None = None
    """For a node with forEach: why its list cannot be used."""
    message: str | None = None
    """The message of its skip condition, if that has placeholders."""


class Tick(Request, frozen=True):
    """Time has passed: handle the timers that are due."""


class JumpClock(Request, frozen=True):
    """The clock has jumped: no time has passed since it showed *since*."""

    since: datetime


class Interrupt(Request, frozen=True):
    """The owner is closing, or was found dead."""

    dead: bool = False
    seen: datetime | None = None
    """When the dead owner was last seen alive, if known."""


class Resume(Request, frozen=True):
    """Continue an interrupted run, or retry a failed one from its failed nodes."""

    owner: OwnerId
    failed: bool = False
    limits: Limits | None = None
    """New limits; those left out stay as they are."""
    reports: tuple[ReportOutcome, ...] = ()
    """Known outcomes of attempts that are live in the journal of an interrupted run."""
    standing: frozenset[NodeId] = frozenset()
    """Nodes whose live attempts exist on other machines: these are not lost."""


Signal = (
    StartRun
    | ReportOutcome
    | EndAttempt
    | LoseAttempt
    | StartAttempt
    | RenewAttempt
    | WarnAttempt
    | RequestCancel
    | Decide
    | GrantLocks
    | AwaitLocks
    | RefuseLocks
    | AnswerBreaker
    | SupplyObservations
    | Tick
    | JumpClock
    | Interrupt
    | Resume
)
