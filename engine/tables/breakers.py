"""Circuit breakers: after too many failures calls stop, and one trial at a time finds out when they may resume.

Pure. It reads no clock and keeps no table: the runtime stores one `BreakerState` per name and writes back what these
functions return. The scheduler decides which failures concern a breaker, and what a rejected node does.

    closed ── threshold failures within the period ──> open ── reset timeout, next call ──> half-open
       ^                                                ^                                    │  │  │
       │                                                └──── the trial fails ───────────────┘  │  │
       │                                    (open, next call tries) <── the trial is cancelled ─┘  │
       └──────────────────────────────────────────────────────────────── the trial succeeds ───────┘

Reports of attempts that were admitted before it opened change nothing while it is open: only the trial counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec import structs

from engine.errors import InputError
from engine.ids import AttemptId, NodeId, RunId, parse_attempt_id
from engine.model.policy import MODEL_BREAKER, QUOTA_EXHAUSTED, SCARCITY_CODES, Failure, FailureKind

MAX_RESET_FACTOR = 16
"""How much an exhausted quota may lengthen the reset timeout at most."""


class BreakerPhase(StrEnum):
    """How a breaker treats calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and when it tries again (SPEC 9)."""

    failure_threshold: int = 5
    """Failures within the monitoring period that open it."""
    reset_timeout: timedelta = timedelta(seconds=60)
    """The time from opening to the first trial."""
    monitoring_period: timedelta = timedelta(seconds=300)
    """How long a failure counts; one exactly this old does not."""

    def __post_init__(self) -> None:
        """Reject numbers that do not make a breaker."""
        if self.failure_threshold < 1:
            message = f"failureThreshold must be at least 1, not {self.failure_threshold}"
            raise InputError(message)
        for name, value in (("resetTimeout", self.reset_timeout), ("monitoringPeriod", self.monitoring_period)):
            if value <= timedelta(0):
                message = f"{name} must be above 0, not {value.total_seconds() * 1000:g} ms"
                raise InputError(message)


class Strike(msgspec.Struct, frozen=True):
    """A failure that counts towards opening."""

    at: datetime
    scarcity: bool
    """Whether its code is one of `SCARCITY_CODES`."""


class BreakerState(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker; a new one is closed."""

    strikes: tuple[Strike, ...] = ()
    """While closed: failures, of which those within the monitoring period count."""
    next_trial_at: datetime | None = None
    """While open or half-open: the earliest time of a trial."""
    trial: AttemptId | None = None
    """While half-open: the one attempt that was admitted."""
    callers_wait: bool = False
    """While open or half-open: opened by scarcity, so callers wait for the next trial instead of failing."""
    exhausted: int = 0
    """How many calls in a row opened it because the quota was exhausted."""
    reset: timedelta | None = None
    """While open or half-open: the time from opening to the first trial; None: opened by an earlier version."""

    @property
    def phase(self) -> BreakerPhase:
        """Closed, open or half-open."""
        if self.next_trial_at is None:
            return BreakerPhase.CLOSED
        return BreakerPhase.OPEN if self.trial is None else BreakerPhase.HALF_OPEN


class Admitted(msgspec.Struct, frozen=True):
    """The call may be made, once *state* is stored."""

    state: BreakerState


class Rejected(msgspec.Struct, frozen=True):
    """The call may not be made now."""

    next_trial_at: datetime | None
    """When to ask again; None: a trial is under way, ask when the breaker changes."""
    waits: bool
    """True: the caller waits; False: it fails with `circuit_open`."""


Verdict: TypeAlias = Admitted | Rejected


def admit(state: BreakerState, attempt: AttemptId, now: datetime) -> Verdict:
    """Whether *attempt* may call now. The first to ask after the reset timeout becomes the trial."""
    if state.next_trial_at is None or state.trial == attempt:
        return Admitted(state)
    if state.trial is not None:
        return Rejected(None, state.callers_wait)
    if now < state.next_trial_at:
        return Rejected(state.next_trial_at, state.callers_wait)
    return Admitted(structs.replace(state, trial=attempt))


def limit_trial_delay(state: BreakerState, now: datetime) -> BreakerState:
    """*state* with its trial no farther ahead than the reset timeout, which it exceeds after the clock was set back."""
    if state.next_trial_at is None or state.reset is None or state.next_trial_at <= now + state.reset:
        return state
    return structs.replace(state, next_trial_at=now + state.reset)


def record_success(state: BreakerState, attempt: AttemptId) -> BreakerState:
    """Close the breaker if *attempt* is the trial. A success while closed clears no failure: time does."""
    return BreakerState() if state.trial == attempt else state


def record_failure(
    state: BreakerState, config: BreakerConfig, attempt: AttemptId, code: str, now: datetime
) -> BreakerState:
    """Count the failure of *attempt*, and open at the threshold, or at once again if it was the trial.

    Callers will wait if at least half of the failures that opened the breaker are of `SCARCITY_CODES`, so that paid
    work is not rolled back. An exhausted quota opens it at once: every other call would fail as well. As it lasts for
    hours, each trial that meets it doubles the time to the next, up to `MAX_RESET_FACTOR` times the reset timeout.
    """
    strike = Strike(now, code.upper() in SCARCITY_CODES)
    exhausted = code.upper() == QUOTA_EXHAUSTED
    if state.trial == attempt or (state.next_trial_at is None and exhausted):
        return _opened((strike,), config, now, exhausted=state.exhausted + 1 if exhausted else 0)
    if state.next_trial_at is not None:
        return state
    recent = (*(past for past in state.strikes if abs(now - past.at) < config.monitoring_period), strike)
    if len(recent) >= config.failure_threshold:
        return _opened(recent, config, now)
    return BreakerState(strikes=recent)


def concerns(name: str, code: str) -> bool:
    """Whether a failure with *code* counts for breaker *name*: the built-in one counts scarcity only."""
    return name != MODEL_BREAKER or code.upper() in SCARCITY_CODES


def record_cancel(state: BreakerState, attempt: AttemptId) -> BreakerState:
    """A cancelled or lost trial proves nothing: the next call becomes the trial. Any other attempt changes nothing."""
    return structs.replace(state, trial=None) if state.trial == attempt else state


def abandon(state: BreakerState, run: RunId, node: NodeId | None = None) -> BreakerState:
    """Like `record_cancel`, for the trial of *node*, or of any node of *run*, which will make no more calls."""
    parsed = None if state.trial is None else parse_attempt_id(state.trial)
    if parsed is None or parsed[0] != run or node not in {None, parsed[1]}:
        return state
    return structs.replace(state, trial=None)


def circuit_open(name: str, rejected: Rejected) -> Failure:
    """The failure of a node that breaker *name* rejected."""
    if rejected.next_trial_at is None:
        when = "a trial call is under way, the next one follows if it fails"
    else:
        when = f"next trial at {rejected.next_trial_at.isoformat(timespec='seconds')}"
    return Failure(
        FailureKind.ERROR,
        "CIRCUIT_OPEN",
        f'Circuit breaker "{name}" is open; {when}',
        hint="Wait for the next trial, or look at the failures that opened the breaker.",
    )


def _opened(strikes: tuple[Strike, ...], config: BreakerConfig, now: datetime, *, exhausted: int = 0) -> BreakerState:
    scarce = sum(strike.scarcity for strike in strikes)
    reset = config.reset_timeout * min(2 ** max(0, exhausted - 1), MAX_RESET_FACTOR)
    return BreakerState(
        next_trial_at=now + reset, callers_wait=2 * scarce >= len(strikes), exhausted=exhausted, reset=reset
    )
