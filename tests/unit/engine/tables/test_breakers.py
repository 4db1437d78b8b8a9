"""Opening, the trial and closing of a circuit breaker, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from engine.errors import InputError
from engine.ids import AttemptId, NodeId, RunId, attempt_id
from engine.model.policy import FailureKind
from engine.tables.breakers import (
    Admitted,
    BreakerConfig,
    BreakerPhase,
    BreakerState,
    Rejected,
    abandon,
    admit,
    circuit_open,
    concerns,
    limit_trial_delay,
    record_cancel,
    record_failure,
    record_success,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG = BreakerConfig(failure_threshold=3)
FIRST, SECOND, THIRD = (attempt_id(RunId(f"r-{n}"), NodeId("call"), 1) for n in (1, 2, 3))


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def failed(
    state: BreakerState, *codes: str, at: datetime = NOW, attempt: AttemptId = FIRST, config: BreakerConfig = CONFIG
) -> BreakerState:
    for code in codes:
        state = record_failure(state, config, attempt, code, at)
    return state


def opened(*codes: str) -> BreakerState:
    state = failed(BreakerState(), *(codes or ("AGENT_ERROR",) * 3))
    assert state.phase is BreakerPhase.OPEN
    return state


def tried(state: BreakerState, attempt: AttemptId = FIRST) -> BreakerState:
    admission = admit(state, attempt, NOW + CONFIG.reset_timeout)
    assert isinstance(admission, Admitted)
    assert admission.state.phase is BreakerPhase.HALF_OPEN
    return admission.state


def test_an_exhausted_quota_opens_it_at_once_and_callers_wait() -> None:
    state = failed(BreakerState(), "AGENT_ERROR", "quota_exhausted")
    assert admit(state, SECOND, NOW) == Rejected(NOW + CONFIG.reset_timeout, waits=True)
    assert failed(state, "AGENT_ERROR", attempt=SECOND) == state


def test_the_built_in_breaker_is_told_of_a_scarce_service_only() -> None:
    codes = ("RATE_LIMIT", "overloaded", "QUOTA_EXHAUSTED", "AGENT_ERROR")
    assert [concerns("claude", code) for code in codes] == [True, True, True, False]
    assert all(concerns("external-api", code) for code in codes)


def test_a_new_breaker_is_closed_and_lets_everything_through() -> None:
    state = BreakerState()
    assert state.phase is BreakerPhase.CLOSED
    assert admit(state, FIRST, NOW) == Admitted(state)


def test_the_defaults_are_those_of_the_guide() -> None:
    assert BreakerConfig() == BreakerConfig(
        failure_threshold=5, reset_timeout=seconds(60), monitoring_period=seconds(300)
    )


def test_it_opens_at_the_threshold_and_not_before() -> None:
    state = failed(BreakerState(), "AGENT_ERROR", "AGENT_ERROR")
    assert state.phase is BreakerPhase.CLOSED
    state = failed(state, "AGENT_ERROR", at=NOW + seconds(9))
    assert state == BreakerState(next_trial_at=NOW + seconds(69), reset=seconds(60))


def test_failures_as_old_as_the_monitoring_period_no_longer_count() -> None:
    state = failed(BreakerState(), "AGENT_ERROR", "AGENT_ERROR")
    late = failed(state, "AGENT_ERROR", at=NOW + seconds(300))
    assert late.phase is BreakerPhase.CLOSED
    assert len(late.strikes) == 1
    assert failed(state, "AGENT_ERROR", at=NOW + seconds(299.9)).phase is BreakerPhase.OPEN


def test_a_failure_of_before_the_clock_was_set_back_counts_for_as_long_as_any_other() -> None:
    state = failed(BreakerState(), "AGENT_ERROR", "AGENT_ERROR")
    assert failed(state, "AGENT_ERROR", at=NOW - seconds(299)).phase is BreakerPhase.OPEN
    assert failed(state, "AGENT_ERROR", at=NOW - seconds(3600)).phase is BreakerPhase.CLOSED


def test_a_clock_that_is_set_back_delays_the_next_trial_by_the_reset_timeout_at_most() -> None:
    earlier = NOW - seconds(86_400)
    right = limit_trial_delay(opened(), earlier)
    assert admit(right, SECOND, earlier) == Rejected(earlier + CONFIG.reset_timeout, waits=False)
    assert limit_trial_delay(right, earlier + seconds(30)) is right
    assert isinstance(admit(right, SECOND, earlier + CONFIG.reset_timeout), Admitted)


@pytest.mark.parametrize("state", [BreakerState(), opened(), structs.replace(opened(), reset=None)])
def test_what_the_clock_did_not_leave_behind_is_right_as_it_is(state: BreakerState) -> None:
    assert limit_trial_delay(state, NOW) is state
    assert limit_trial_delay(state, NOW + seconds(3600)) is state


def test_what_an_earlier_version_has_opened_opens_when_it_said() -> None:
    state = structs.replace(opened(), reset=None)
    assert limit_trial_delay(state, NOW - seconds(3600)) is state


def test_a_success_while_closed_forgives_nothing() -> None:
    state = failed(BreakerState(), "AGENT_ERROR", "AGENT_ERROR")
    assert record_success(state, SECOND) is state
    assert failed(state, "AGENT_ERROR").phase is BreakerPhase.OPEN


def test_an_open_breaker_fails_callers_and_names_the_next_trial() -> None:
    rejected = admit(opened(), SECOND, NOW + seconds(59))
    assert rejected == Rejected(NOW + seconds(60), waits=False)
    assert isinstance(rejected, Rejected)
    failure = circuit_open("external-api", rejected)
    assert failure.kind is FailureKind.ERROR
    assert failure.code == "CIRCUIT_OPEN"
    assert failure.message == 'Circuit breaker "external-api" is open; next trial at 2026-03-01T12:01:00+00:00'
    assert failure.hint is not None


def test_the_first_caller_after_the_reset_timeout_is_the_only_trial() -> None:
    state = tried(opened())
    assert admit(state, FIRST, NOW + seconds(61)) == Admitted(state)
    rejected = admit(state, SECOND, NOW + seconds(900))
    assert rejected == Rejected(None, waits=False)
    assert isinstance(rejected, Rejected)
    assert "a trial call is under way" in circuit_open("api", rejected).message


def test_a_successful_trial_closes_it_and_forgets_the_past() -> None:
    assert record_success(tried(opened()), FIRST) == BreakerState()


def test_a_failed_trial_opens_it_again_from_now() -> None:
    state = failed(tried(opened()), "AGENT_ERROR", at=NOW + seconds(70))
    assert state == BreakerState(next_trial_at=NOW + seconds(130), reset=seconds(60))


def test_a_cancelled_trial_says_nothing_and_the_next_call_is_the_trial() -> None:
    state = record_cancel(tried(opened()), FIRST)
    assert state.phase is BreakerPhase.OPEN
    admission = admit(state, SECOND, NOW + seconds(61))
    assert isinstance(admission, Admitted)
    assert admission.state.trial == SECOND


def test_the_trial_of_a_dead_run_is_given_up() -> None:
    state = tried(opened())
    assert abandon(state, RunId("r-2")) is state
    assert abandon(state, RunId("r-1")).phase is BreakerPhase.OPEN
    assert abandon(BreakerState(), RunId("r-1")) == BreakerState()


def test_reports_of_others_change_nothing_while_it_is_not_closed() -> None:
    for state in (opened(), tried(opened())):
        assert record_success(state, SECOND) is state
        assert record_cancel(state, SECOND) is state
        assert failed(state, "AGENT_ERROR", attempt=SECOND) is state


def test_a_cancel_while_closed_changes_nothing() -> None:
    state = failed(BreakerState(), "AGENT_ERROR")
    assert record_cancel(state, FIRST) is state


@pytest.mark.parametrize(
    ("codes", "waits"),
    [
        (("RATE_LIMIT", "OVERLOADED", "QUOTA_EXHAUSTED"), True),
        (("rate_limit", "rate_limit", "AGENT_ERROR"), True),
        (("RATE_LIMIT", "AGENT_ERROR", "CONNECTION_RESET"), False),
        (("AGENT_ERROR", "CONNECTION_RESET", "RATE_LIMIT"), False),
    ],
)
def test_opened_by_scarcity_it_makes_callers_wait(codes: tuple[str, ...], *, waits: bool) -> None:
    state = opened(*codes)
    assert admit(state, SECOND, NOW) == Rejected(NOW + seconds(60), waits)
    assert admit(tried(state, THIRD), SECOND, NOW + seconds(61)) == Rejected(None, waits)


def test_half_of_the_failures_being_scarcity_is_enough_to_wait() -> None:
    config = BreakerConfig(failure_threshold=2)
    state = failed(BreakerState(), "RATE_LIMIT", "AGENT_ERROR", config=config)
    assert state.callers_wait


def test_the_failure_of_the_trial_decides_anew_whether_callers_wait() -> None:
    assert failed(tried(opened()), "QUOTA_EXHAUSTED").callers_wait
    assert not failed(tried(opened("RATE_LIMIT", "RATE_LIMIT", "RATE_LIMIT")), "AGENT_ERROR").callers_wait


def test_a_quota_that_stays_used_up_is_asked_for_less_and_less_often() -> None:
    state, now, waits = BreakerState(), NOW, []
    for _ in range(7):
        state = record_failure(state, BreakerConfig(), FIRST, "QUOTA_EXHAUSTED", now)
        assert state.next_trial_at is not None
        waits.append((state.next_trial_at - now).total_seconds() / 60)
        now = state.next_trial_at
        state = structs.replace(state, trial=FIRST)
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    other = record_failure(state, BreakerConfig(), FIRST, "OVERLOADED", now)
    assert other.next_trial_at == now + seconds(60)


@pytest.mark.parametrize(
    ("threshold", "reset", "period", "message"),
    [
        (0, 60, 300, "failureThreshold must be at least 1, not 0"),
        (5, 0, 300, "resetTimeout must be above 0, not 0 ms"),
        (5, 60, -1, "monitoringPeriod must be above 0, not -1000 ms"),
    ],
)
def test_a_breaker_that_cannot_work_is_refused(threshold: int, reset: int, period: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BreakerConfig(failure_threshold=threshold, reset_timeout=seconds(reset), monitoring_period=seconds(period))
