"""Delays between tries, and which failures are tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.model.policy import Failure, FailureKind, RetryPolicy, RetryStrategy
from engine.scheduling.retry import is_retryable, next_delay


def policy(strategy: RetryStrategy, initial: float, *, limit: float = 60, multiplier: float = 2) -> RetryPolicy:
    return RetryPolicy(
        max_retries=10,
        strategy=strategy,
        initial_delay=timedelta(seconds=initial),
        max_delay=timedelta(seconds=limit),
        multiplier=multiplier,
    )


def delays(policy: RetryPolicy, count: int) -> list[float]:
    return [next_delay(policy, retry).total_seconds() for retry in range(1, count + 1)]


def test_tutorial_2_retries_after_two_and_four_seconds() -> None:
    assert delays(policy(RetryStrategy.EXPONENTIAL, 2), 2) == [2, 4]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RetryStrategy.IMMEDIATE, [0, 0, 0, 0, 0, 0]),
        (RetryStrategy.LINEAR, [3, 6, 9, 12, 15, 18]),
        (RetryStrategy.EXPONENTIAL, [3, 6, 12, 20, 20, 20]),
        (RetryStrategy.FIBONACCI, [3, 3, 6, 9, 15, 20]),
    ],
)
def test_each_strategy_grows_in_its_way_up_to_the_limit(strategy: RetryStrategy, expected: list[float]) -> None:
    assert delays(policy(strategy, 3, limit=20), 6) == expected


def test_the_multiplier_is_the_policys_and_never_shrinks_a_delay() -> None:
    assert delays(policy(RetryStrategy.EXPONENTIAL, 1, multiplier=3), 4) == [1, 3, 9, 27]
    assert delays(policy(RetryStrategy.EXPONENTIAL, 1, multiplier=0.5), 3) == [1, 1, 1]


@pytest.mark.parametrize("multiplier", [1e300, float("inf")])
def test_a_silly_multiplier_gives_the_limit(multiplier: float) -> None:
    assert delays(policy(RetryStrategy.EXPONENTIAL, 1, multiplier=multiplier), 4) == [1, 60, 60, 60]


def test_a_multiplier_that_is_no_number_counts_as_one() -> None:
    assert delays(policy(RetryStrategy.EXPONENTIAL, 1, multiplier=float("nan")), 2) == [1, 1]


@pytest.mark.parametrize("strategy", list(RetryStrategy))
def test_no_initial_delay_is_no_delay(strategy: RetryStrategy) -> None:
    assert delays(policy(strategy, 0), 3) == [0, 0, 0]


def test_an_initial_delay_above_the_limit_is_the_limit() -> None:
    assert delays(policy(RetryStrategy.FIBONACCI, 90), 2) == [60, 60]


def test_retries_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        next_delay(policy(RetryStrategy.LINEAR, 1), 0)


def failure(code: str, kind: FailureKind = FailureKind.ERROR) -> Failure:
    return Failure(kind, code, "it failed")


def test_without_a_policy_nothing_is_retried() -> None:
    assert not is_retryable(None, failure("TIMEOUT", FailureKind.TIMEOUT))


@pytest.mark.parametrize(
    ("code", "kind", "retried"),
    [
        ("AGENT_ERROR", FailureKind.ERROR, True),
        ("TIMEOUT", FailureKind.TIMEOUT, True),
        ("OUTPUT_SCHEMA", FailureKind.VALIDATION, False),
        ("CANCELLED", FailureKind.CANCEL, False),
        ("PERMISSION_DENIED", FailureKind.ERROR, False),
        ("permission_denied", FailureKind.ERROR, False),
        ("UNAUTHORIZED", FailureKind.ERROR, False),
        ("EACCES", FailureKind.ERROR, False),
    ],
)
def test_without_a_list_all_but_validation_cancelled_and_permission_errors_are_retried(
    code: str,
    kind: FailureKind,
    retried: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_retryable(policy(RetryStrategy.LINEAR, 1), failure(code, kind)) is retried


@pytest.mark.parametrize(
    ("code", "kind", "retried"),
    [
        ("DEADLOCK", FailureKind.ERROR, True),
        ("Connection_Reset", FailureKind.ERROR, True),
        ("TIMEOUT", FailureKind.TIMEOUT, False),
        ("PERMISSION_DENIED", FailureKind.ERROR, True),
        ("OUTPUT_SCHEMA", FailureKind.VALIDATION, True),
        ("DEADLOCK", FailureKind.CANCEL, False),
    ],
)
def test_a_list_decides_alone_but_what_was_cancelled_stays_so(
    code: str,
    kind: FailureKind,
    retried: bool,  # noqa: FBT001 - a column of the table
) -> None:
    listed = RetryPolicy(
        max_retries=1,
        retryable=frozenset({"DEADLOCK", "CONNECTION_RESET", "permission_denied", "OUTPUT_SCHEMA"}),
    )
    assert is_retryable(listed, failure(code, kind)) is retried
