"""What someone asks of a run, in the imperative.

Pure. A signal is never stored: `scheduler.decide` turns it into events, and those are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.ids import NodeId, OwnerId, RunId
    from engine.model.plan import Plan
    from engine.model.policy import Failure, Usage
    from engine.run.events import Limits, ValueRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun:
    """Create the run and start it, or wait for its locks."""

    run: RunId
    plan: Plan
    owner: OwnerId
    executor: str = "auto"
    initial: Mapping[str, ValueRef] = field(default_factory=dict)
    arguments: str = ""
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """An attempt has ended: with its outputs, or with a failure."""

    node: NodeId
    number: int
    outputs: Mapping[str, ValueRef] = field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class RenewAttempt:
    """The client still works on an attempt: its time begins anew."""

    node: NodeId
    number: int


@dataclass(frozen=True, slots=True)
class EndAttempt:
    """The runtime has found that an attempt must not go on: it gave no sign of life for too long."""

    node: NodeId
    number: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """End the run; undo what it did unless *compensate* is false."""

    reason: str = ""
    compensate: bool = True


@dataclass(frozen=True, slots=True)
class Decide:
    """A person's answer to an approval or to a held node."""

    node: NodeId
    answer: str
    """Approval: `yes` or `no`. Held node: `retry`, `skip` or `fail`."""
    failure: Failure | None = None
    """What a `no` or `fail` is recorded as, where nobody was there to say it."""


@dataclass(frozen=True, slots=True)
class GrantLocks:
    """The lock table granted what the node, or the run itself where *node* is None, had asked for."""

    node: NodeId | None


@dataclass(frozen=True, slots=True)
class RefuseLocks:
    """The lock table refused: waited too long, deadlock, reserved."""

    node: NodeId | None
    failure: Failure


@dataclass(frozen=True, slots=True)
class AnswerBreaker:
    """What the circuit breaker said that a node had asked."""

    node: NodeId
    admitted: bool
    until: datetime | None = None
    """Not admitted: when to ask again; None while a trial is under way."""
    failure: Failure | None = None
    """Not admitted, and nobody waits: how the node fails."""


@dataclass(frozen=True, slots=True)
class SupplyFacts:
    """What `decide` had wanted to know about a node's skip condition and inputs."""

    node: NodeId
    values: Mapping[str, Any] = field(default_factory=dict)
    """Context values by key, as far as the node's condition and transforms read them."""
    inputs: Mapping[str, ValueRef] = field(default_factory=dict)
    """For a sub-command: its bound inputs, put away."""
    holds: bool | None = None
    """Whether a condition that is no context expression holds."""
    failure: Failure | None = None
    """Why the facts could not be had."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: look at what is due."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The owner is closing, or was found dead."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with an interrupted run, or take a failed one up at its failed nodes."""

    owner: OwnerId
    failed: bool = False


Signal = (
    StartRun
    | ReportOutcome
    | EndAttempt
    | RenewAttempt
    | RequestCancel
    | Decide
    | GrantLocks
    | RefuseLocks
    | AnswerBreaker
    | SupplyFacts
    | Tick
    | Interrupt
    | Resume
)
