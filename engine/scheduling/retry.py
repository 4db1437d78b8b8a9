"""Whether a failed attempt is tried again, and after which delay (SPEC 5).

Pure. It counts nothing: the run's events record how many retries a node has had and when the next is due.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from engine.model.policy import WORKER_LOST, FailureKind, RetryStrategy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.policy import Failure, RetryPolicy

PERMISSION_CODES = frozenset(
    {
        "ACCESS_DENIED",
        "AUTHENTICATION_ERROR",
        "AUTHENTICATION_FAILED",
        "EACCES",
        "EPERM",
        "FORBIDDEN",
        "NOT_AUTHORIZED",
        "NOT_TRUSTED",
        "PERMISSION_DENIED",
        "PERMISSION_ERROR",
        "UNAUTHENTICATED",
        "UNAUTHORIZED",
    }
)
"""Codes that a retry does not cure; retried only if a policy lists them."""
_FINAL_CODES = PERMISSION_CODES | {WORKER_LOST}


def next_delay(policy: RetryPolicy, retry: int) -> timedelta:
    """How long to wait before retry number *retry*, counted from 1; never longer than the policy's `max_delay`.

    Tutorial 2's policy (exponential, 2 s) returns 2 s and 4 s. A multiplier below 1 counts as 1: delays do not shrink.
    """
    if retry < 1:
        message = f"retries count from 1, not {retry}"
        raise ValueError(message)
    limit = policy.max_delay.total_seconds()
    initial = policy.initial_delay.total_seconds()
    if policy.strategy is RetryStrategy.IMMEDIATE or initial <= 0:
        return timedelta(0)
    seconds = min(initial * _factor(policy, retry, limit / initial), limit)
    return max(timedelta(seconds=seconds), timedelta(0))


def is_retryable(policy: RetryPolicy | None, failure: Failure) -> bool:
    """Whether *failure* is one that *policy* retries, however many retries are left.

    A list decides alone, whatever the case of its codes. Without one everything is retried but validation and
    permission errors, and nodes that have lost too many workers. A cancelled attempt is never retried, whatever its
    code.
    """
    if policy is None or failure.kind is FailureKind.CANCEL:
        return False
    code = failure.code.upper()
    if policy.retryable is not None:
        return any(listed.upper() == code for listed in policy.retryable)
    return failure.kind is not FailureKind.VALIDATION and code not in _FINAL_CODES


def _factor(policy: RetryPolicy, retry: int, enough: float) -> float:
    """The factor on the initial delay; a number beyond *enough* may be any such number."""
    if policy.strategy is RetryStrategy.LINEAR:
        return min(retry, enough)
    if policy.strategy is RetryStrategy.FIBONACCI:
        return next(islice(_fibonacci(enough), retry - 1, None), enough)
    try:
        return max(1.0, policy.multiplier) ** (retry - 1)
    except OverflowError:
        return enough


def _fibonacci(enough: float) -> Iterator[int]:
    """1, 1, 2, 3, 5, … up to *enough*."""
    one, two = 1, 1
    while one < enough:
        yield one
        one, two = two, one + two
