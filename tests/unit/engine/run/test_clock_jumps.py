"""Time that a run has not lived: sleeps, a clock that is set, and the time between two owners."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import InternalError
from engine.run import events as ev
from engine.run.events import RunStatus, WaitReason
from engine.run.reducer import apply
from engine.views.metrics import metrics
from engine.views.status import snapshot
from engine.views.timeline import timeline
from tests.support.by_hand import NOON, ByHand, all_queue, locks
from tests.support.definitions import command, node, phase
from tests.support.random_commands import random_family

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
EITHER_WAY = pytest.mark.parametrize("hours", [6.0, -6.0], ids=["ahead", "back"])
RETRY = {"maxAttempts": 1, "initialDelay": 60_000}


def codes(story: ByHand) -> list[str]:
    return [event.failure.code for event in story.events if isinstance(event, ev.AttemptStopping | ev.NodeFailed)]


@EITHER_WAY
def test_what_is_left_of_every_limit_is_left_after_a_jump(hours: float) -> None:
    one = command(phase("p", node("a", timeout=120_000), timeout=300_000))
    story = ByHand(one, limits=ev.Limits(max_duration_seconds=600))
    story.wait(minutes=1)
    story.leap(hours=hours)
    live = story.node("a").live
    assert live is not None
    assert live.deadline == story.now + MINUTE
    assert story.run.phases[0].deadline == story.now + 4 * MINUTE
    assert story.run.deadline == story.now + 9 * MINUTE
    assert story.run.next_due() == story.now + MINUTE


@EITHER_WAY
def test_a_jump_ends_nothing_and_the_limit_does_as_soon_as_it_was_lived(hours: float) -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000))))
    story.wait(minutes=1)
    story.leap(hours=hours)
    story.wait(seconds=59)
    assert codes(story) == []
    story.wait(seconds=1)
    assert codes(story) == ["TIMEOUT"]


@EITHER_WAY
def test_durations_are_what_was_lived(hours: float) -> None:
    story = ByHand(command(phase("p", node("a", minutes=10), node("b", "a"))))
    story.wait(minutes=1)
    story.leap(hours=hours)
    story.wait(minutes=2)
    shown = snapshot(story.run, story.now)
    assert shown.elapsed == 3 * MINUTE
    assert shown.remaining == 8 * MINUTE
    story.succeed("a")
    story.wait(minutes=4)
    story.succeed("b")
    assert story.run.status is RunStatus.COMPLETED
    seen = metrics(story.run, story.now)
    assert (seen.total, seen.work) == (7 * MINUTE, 7 * MINUTE)
    assert [line.duration for line in snapshot(story.run, story.now).nodes] == [3 * MINUTE, 4 * MINUTE]
    assert [row.duration for row in timeline(story.run, story.now).phases[0].rows] == [3 * MINUTE, 4 * MINUTE]


def test_a_clock_that_is_set_back_moves_what_was_before_it() -> None:
    story = ByHand(command(phase("p", node("a", context={"outputs": [{"key": "k"}]})), phase("q", node("b"))))
    story.wait(minutes=1)
    story.succeed("a", k=1)
    story.wait(minutes=1)
    story.leap(hours=-6)
    run, a = story.run, story.node("a")
    begun = NOON - 6 * HOUR
    assert (run.created_at, run.started_at, run.counts_from) == (begun, begun, begun)
    assert (run.phases[0].opened_at, run.phases[0].ended_at) == (begun, begun + MINUTE)
    assert (a.started_at, a.ended_at) == (begun, begun + MINUTE)
    assert (a.attempts[0].scheduled_at, a.attempts[0].started_at, a.attempts[0].ended_at) == (
        begun,
        begun,
        begun + MINUTE,
    )
    assert run.context["k"][0].at == begun + MINUTE
    assert (run.pauses, run.jumps[0].by) == ([], -6 * HOUR)


def test_a_sleep_moves_nothing_of_the_past_and_counts_as_a_pause() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.leap(hours=6)
    assert story.run.created_at == NOON
    assert story.run.pauses == [(NOON, NOON + 6 * HOUR)]


@EITHER_WAY
def test_waiting_for_a_lock_ends_when_its_time_was_lived(hours: float) -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db", maxWaitTime=120_000)))))
    story.queue("a")
    story.now += MINUTE
    story.leap(hours=hours)
    waiting = story.node("a").waiting
    assert waiting is not None
    assert (waiting.since, waiting.until) == (story.now - MINUTE, story.now + MINUTE)
    story.grant("a")
    assert story.node("a").waited == {WaitReason.LOCKS: MINUTE}


def test_a_delay_is_over_after_a_sleep_and_never_longer_than_it_was_to_be() -> None:
    def waiting() -> ByHand:
        story = ByHand(command(phase("p", node("a", retryPolicy=RETRY))))
        story.fail("a")
        return story

    slept, back = waiting(), waiting()
    slept.leap(hours=6)
    slept.wait()
    assert slept.live() == ["a"]
    back.leap(hours=-6)
    back.wait(seconds=59)
    assert back.live() == []
    back.wait(seconds=1)
    assert back.live() == ["a"]


def test_the_time_without_an_owner_is_no_time_of_what_waits() -> None:
    story = ByHand(command(phase("p", node("a", circuitBreaker="api"))))
    story.now += MINUTE
    story.crash()
    story.now += 48 * HOUR
    story.resume()
    assert story.node("a").waited == {WaitReason.BREAKER: MINUTE}


@EITHER_WAY
def test_a_clock_that_is_set_while_nobody_owns_the_run_takes_nothing_from_its_limits(hours: float) -> None:
    raw = command(phase("p", node("a", retryPolicy=RETRY), timeout=300_000))
    story = ByHand(raw, limits=ev.Limits(max_duration_seconds=600))
    story.wait(minutes=1)
    story.fail("a")
    story.crash()
    story.now += hours * HOUR
    story.resume()
    assert story.run.phases[0].deadline == story.now + 4 * MINUTE
    assert story.run.deadline == story.now + 9 * MINUTE
    assert snapshot(story.run, story.now).elapsed == MINUTE
    story.wait(minutes=1)
    assert story.live() == ["a"]


def test_a_limit_that_is_given_late_does_not_count_earlier_pauses() -> None:
    story = ByHand(command(phase("p", node("a"))))
    for _ in range(2):
        story.wait(minutes=1)
        story.crash()
        story.now += HOUR
        story.resume(limits=ev.Limits(max_duration_seconds=600) if story.run.pauses else None)
    assert story.run.deadline == story.now + 8 * MINUTE


def test_an_attempt_that_waits_for_its_turn_has_no_time_that_a_jump_could_take() -> None:
    story = ByHand(command(phase("p", node("a", timeout=60_000))), queues=all_queue)
    story.leap(hours=6)
    assert story.run.next_due() is None
    story.began("a")
    assert story.run.next_due() == story.now + MINUTE


def test_a_jump_happens_once() -> None:
    story = ByHand(command(phase("p", node("a"))))
    [event] = story.leap(hours=-1)
    with pytest.raises(InternalError):
        apply(story.run, event)


def test_a_jump_after_the_end_changes_nothing() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.succeed("a")
    assert story.leap(hours=1) == []


@pytest.mark.parametrize(
    ("jumps", "told"),
    [
        ((), []),
        ((2.0,), ["The clock of this machine jumped ahead by 2 h. The skipped time does not count against any limit"]),
        (
            (2.0, -0.5),
            [
                (
                    "The clock of this machine jumped 2 times, the last time back by 30 min. "
                    "The skipped time does not count against any limit"
                )
            ],
        ),
    ],
)
def test_a_jump_is_told(jumps: tuple[float, ...], told: list[str]) -> None:
    story = ByHand(command(phase("p", node("a"))))
    for hours in jumps:
        story.leap(hours=hours)
    assert list(snapshot(story.run, story.now).warnings) == told


def played(seed: int, size: int, jumps: Random | None) -> tuple[list[Any], timedelta, list[timedelta | None]]:
    """A random run in which attempts end and time passes: what happened, and how long all of it took."""
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    story = ByHand(*random_family(dice, size), limits=ev.Limits(max_duration_seconds=900))
    for _ in range(60):
        if jumps is not None and jumps.randrange(3) == 0:
            story.leap(seconds=-jumps.randrange(1, 100_000))
        live = story.live()
        match dice.randrange(4):
            case 0 if live:
                story.fail(dice.choice(live))
            case 1:
                story.wait(seconds=dice.choice((1, 30, 400)))
            case _ if live:
                story.succeed(dice.choice(live))
            case _:
                story.wait(seconds=5)
    happened = [
        (type(event), getattr(event, "node", None), getattr(getattr(event, "failure", None), "code", None))
        for event in story.events
        if not isinstance(event, ev.ClockJumped)
    ]
    shown = snapshot(story.run, story.now)
    return happened, shown.elapsed, [line.duration for line in shown.nodes]


@given(seed=st.integers(0, 2**64), size=st.integers(1, 4))
@example(seed=111, size=4)  # an attempt and its phase are due at one time
@example(seed=1311, size=4)  # an attempt and the sub-command around it
@example(seed=1631, size=4)
@example(seed=1918, size=3)  # two retries
@example(seed=2000, size=2)  # two attempts
@example(seed=2914, size=3)
def test_a_run_whose_clock_is_set_back_goes_as_it_would_have_gone(seed: int, size: int) -> None:
    assert played(seed, size, Random(seed)) == played(seed, size, None)  # noqa: S311 - repeatable by intent
