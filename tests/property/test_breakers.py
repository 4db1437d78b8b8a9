"""The laws of the circuit breaker, against a reference that keeps the whole history and counts it anew each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.ids import AttemptId, NodeId, RunId, attempt_id
from engine.tables.breakers import (
    Admitted,
    BreakerConfig,
    BreakerPhase,
    BreakerState,
    Rejected,
    abandon,
    admit,
    record_cancel,
    record_failure,
    record_success,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNS = [RunId("r-1"), RunId("r-2")]
CODES = ["AGENT_ERROR", "CONNECTION_RESET", "RATE_LIMIT", "overloaded", "QUOTA_EXHAUSTED"]
SCARCE = {"RATE_LIMIT", "OVERLOADED", "QUOTA_EXHAUSTED"}
CONFIG = BreakerConfig(
    failure_threshold=3, reset_timeout=timedelta(seconds=10), monitoring_period=timedelta(seconds=30)
)


@dataclass
class History:
    """What happened since the breaker was last closed, as a reader of SPEC 9 would tell it."""

    failures: list[tuple[datetime, bool]] = field(default_factory=list)
    opened: datetime | None = None
    waits: bool = False
    exhausted: int = 0
    """Calls in a row that found the quota used up and opened it."""

    @property
    def trial_at(self) -> datetime:
        assert self.opened is not None
        return self.opened + CONFIG.reset_timeout * {0: 1, 1: 1, 2: 2, 3: 4, 4: 8}.get(self.exhausted, 16)

    def count(self, at: datetime, *, scarce: bool) -> None:
        self.failures.append((at, scarce))
        within = [one for one in self.failures if at < one[0] + CONFIG.monitoring_period]
        if len(within) >= CONFIG.failure_threshold:
            self.open(at, within)

    def open(self, at: datetime, because: list[tuple[datetime, bool]]) -> None:
        self.opened = at
        self.waits = sum(scarce for _, scarce in because) >= sum(not scarce for _, scarce in because)


class BreakerMachine(RuleBasedStateMachine):
    """Calls that are let through or not, and end well, badly or not at all, late ones among them."""

    def __init__(self) -> None:
        super().__init__()
        self.state = BreakerState()
        self.history = History()
        self.now = NOW
        self.live: dict[AttemptId, bool] = {}
        """Attempts that were let through, and whether as the trial."""
        self.made = 0

    def trials(self) -> list[AttemptId]:
        return [attempt for attempt, is_trial in self.live.items() if is_trial]

    @rule(seconds=st.sampled_from([0, 1, 5, 9, 10, 20, 29, 30, 31]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(run=st.sampled_from(RUNS))
    def call(self, run: RunId) -> None:
        self.made += 1
        attempt = attempt_id(run, NodeId("call"), self.made)
        admission = admit(self.state, attempt, self.now)
        opened = self.history.opened
        if opened is None:
            assert admission == Admitted(self.state)
            self.live[attempt] = False
        elif self.trials():
            assert admission == Rejected(None, self.history.waits)
        elif self.now < self.history.trial_at:
            assert admission == Rejected(self.history.trial_at, self.history.waits)
        else:
            assert isinstance(admission, Admitted)
            self.state = admission.state
            self.live[attempt] = True
            assert admit(self.state, attempt, self.now) == admission

    @rule(data=st.data())
    def success(self, data: st.DataObject) -> None:
        attempt, is_trial = self.ended(data)
        if attempt is None:
            return
        self.state = record_success(self.state, attempt)
        if is_trial:
            self.history = History()

    @rule(data=st.data(), code=st.sampled_from(CODES))
    def failure(self, data: st.DataObject, code: str) -> None:
        attempt, is_trial = self.ended(data)
        if attempt is None:
            return
        self.state = record_failure(self.state, CONFIG, attempt, code, self.now)
        scarce = code.upper() in SCARCE
        if is_trial or (self.history.opened is None and code == "QUOTA_EXHAUSTED"):
            self.history.open(self.now, [(self.now, scarce)])
            self.history.exhausted = self.history.exhausted + 1 if code == "QUOTA_EXHAUSTED" else 0
        elif self.history.opened is None:
            self.history.count(self.now, scarce=scarce)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        attempt, _ = self.ended(data)
        if attempt is not None:
            self.state = record_cancel(self.state, attempt)

    @rule(run=st.sampled_from(RUNS))
    def the_owner_dies(self, run: RunId) -> None:
        self.live = {attempt: trial for attempt, trial in self.live.items() if not attempt.startswith(f"{run}:")}
        self.state = abandon(self.state, run)

    def ended(self, data: st.DataObject) -> tuple[AttemptId | None, bool]:
        if not self.live:
            return None, False
        attempt = data.draw(st.sampled_from(sorted(self.live)))
        return attempt, self.live.pop(attempt)

    @invariant()
    def it_is_open_exactly_when_the_history_says_so(self) -> None:
        assert (self.state.phase is BreakerPhase.CLOSED) == (self.history.opened is None)

    @invariant()
    def there_is_at_most_one_trial_and_it_is_known(self) -> None:
        assert self.trials() == ([] if self.state.trial is None else [self.state.trial])
        assert (self.state.phase is BreakerPhase.HALF_OPEN) == bool(self.trials())

    @invariant()
    def it_keeps_no_more_than_it_needs(self) -> None:
        assert len(self.state.strikes) < CONFIG.failure_threshold


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
test_the_breaker_follows_its_history = BreakerMachine.TestCase
