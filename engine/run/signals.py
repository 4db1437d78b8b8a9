"""What someone asks of a run, in the imperative.

Pure. A signal is never stored: `scheduler.decide` turns it into events, and those are.
"""

from __future__ import annotations

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
    """What all signals are: cheap to make, as `run.events.EventBase`."""


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


class ReportOutcome(Request, frozen=True):
    """An attempt has ended: with its outputs, or with a failure."""

    node: NodeId
    number: int
    outputs: Mapping[str, ValueRef] = msgspec.field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None
    in_time: bool = False
    """The outputs were there before the attempt was stopped for its time."""
    left: tuple[str, ...] = ()
    """What the attempt has started and still runs."""
    warnings: tuple[str, ...] = ()
    """What else there is to say about the attempt."""


class StartAttempt(Request, frozen=True):
    """An attempt that waited for its turn has got it: *worker* begins to do it."""

    node: NodeId
    number: int
    worker: str


class RenewAttempt(Request, frozen=True):
    """The client still works on an attempt: its time begins anew."""

    node: NodeId
    number: int


class WarnAttempt(Request, frozen=True):
    """The runtime has found something to say about an attempt before it begins."""

    node: NodeId
    number: int
    text: str


class EndAttempt(Request, frozen=True):
    """The runtime has found that an attempt must not go on: it gave no sign of life for too long."""

    node: NodeId
    number: int
    failure: Failure


class RequestCancel(Request, frozen=True):
    """End the run; undo what it did unless *compensate* is false."""

    reason: str = ""
    compensate: bool = True


class Decide(Request, frozen=True):
    """A person's answer to an approval or to a held node."""

    node: NodeId
    answer: str
    """Approval: `yes` or `no`. Held node: `retry`, `skip` or `fail`."""
    failure: Failure | None = None
    """What a `no` or `fail` is recorded as, where nobody was there to say it."""


class GrantLocks(Request, frozen=True):
    """The lock table granted what the node, or the run itself where *node* is None, had asked for."""

    node: NodeId | None


class AwaitLocks(Request, frozen=True):
    """The lock table cannot grant yet what the node had asked for: it waits in the queue."""

    node: NodeId | None
    until: datetime


class RefuseLocks(Request, frozen=True):
    """The lock table refused: waited too long, deadlock, reserved."""

    node: NodeId | None
    failure: Failure


class AnswerBreaker(Request, frozen=True):
    """What the circuit breaker said that a node had asked."""

    node: NodeId
    admitted: bool
    until: datetime | None = None
    """Not admitted: when to ask again; None while a trial is under way."""
    failure: Failure | None = None
    """Not admitted, and nobody waits: how the node fails."""


class SupplyObservations(Request, frozen=True):
    """What `decide` had wanted to know about a node's skip condition and inputs."""

    node: NodeId
    values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Context values by key, as far as the node's condition and transforms read them."""
    inputs: Mapping[str, ValueRef] = msgspec.field(default_factory=dict)
    """For a sub-command: its bound inputs, put away."""
    holds: bool | None = None
    """Whether a condition that is no context expression holds."""
    failure: Failure | None = None
    """Why they could not be made."""


class Tick(Request, frozen=True):
    """Time has passed: look at what is due."""


class LeapClock(Request, frozen=True):
    """The clock has jumped: no time has passed since it showed *since*."""

    since: datetime


class Interrupt(Request, frozen=True):
    """The owner is closing, or was found dead."""

    dead: bool = False
    seen: datetime | None = None
    """When the dead owner was last heard of, where that is known."""


class Resume(Request, frozen=True):
    """Go on with an interrupted run, or take a failed one up at its failed nodes."""

    owner: OwnerId
    failed: bool = False
    limits: Limits | None = None
    """New limits in the place of the run's; what they do not say stays as it is."""
    reports: tuple[ReportOutcome, ...] = ()
    """How attempts of an interrupted run ended that are live in its journal, as far as somebody knows."""


Signal = (
    StartRun
    | ReportOutcome
    | EndAttempt
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
    | LeapClock
    | Interrupt
    | Resume
)
