"""Laws of delays: they never shrink, never pass the limit and never fail."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.model.policy import RetryPolicy, RetryStrategy
from engine.scheduling.retry import next_delay

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(1, 10),
    strategy=st.sampled_from(RetryStrategy),
    initial_delay=st.timedeltas(timedelta(0), timedelta(days=400)),
    max_delay=st.timedeltas(timedelta(0), timedelta(days=400)),
    multiplier=st.floats(allow_nan=True, allow_infinity=True),
)


@given(policies, st.integers(1, 10_000))
def test_delays_never_shrink_and_never_pass_the_limit(policy: RetryPolicy, retry: int) -> None:
    delay, following = next_delay(policy, retry), next_delay(policy, retry + 1)
    assert timedelta(0) <= delay <= following <= policy.max_delay


@given(policies)
def test_the_first_delay_is_the_initial_one_unless_immediate_or_capped(policy: RetryPolicy) -> None:
    immediate = policy.strategy is RetryStrategy.IMMEDIATE
    expected = timedelta(0) if immediate else min(policy.initial_delay, policy.max_delay)
    assert abs(next_delay(policy, 1) - expected) <= timedelta(microseconds=1)
