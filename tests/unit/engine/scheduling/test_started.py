"""Attempts that wait for their turn are not at work: their time runs from their start."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import InternalError, StateError
from engine.ids import NodeId
from engine.model.plan import NodePlan
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Role, RunStatus
from engine.run.reducer import apply
from engine.run.state import NodeStatus, Run
from engine.runtime.projections import samples
from engine.views.metrics import metrics
from engine.views.status import snapshot
from engine.views.timeline import timeline
from tests.support.by_hand import ByHand, all_queue, calling, rollback
from tests.support.definitions import command, node, phase

MINUTE = timedelta(minutes=1)
ONE = command(phase("p", node("a", timeout=60_000)))


def codes(story: ByHand) -> list[str]:
    return [event.failure.code for event in story.events if isinstance(event, ev.AttemptStopping)]


def test_an_attempt_that_waits_for_its_turn_is_not_timed_out_however_long_it_waits() -> None:
    story = ByHand(ONE, queues=all_queue)
    story.wait(hours=5)
    assert story.live() == ["a"]
    assert story.run.next_due() is None
    story.began("a")
    assert story.run.next_due() == story.now + MINUTE
    story.wait(seconds=59)
    assert codes(story) == []
    story.wait(seconds=1)
    assert codes(story) == ["TIMEOUT"]


@pytest.mark.parametrize(("ago", "counted"), [(30, 30), (100, 40), (-5, 0), (0, 0)])
def test_a_start_that_was_heard_of_later_counts_from_when_it_was_but_not_from_before_the_attempt(
    ago: int, counted: int
) -> None:
    story = ByHand(ONE, queues=all_queue)
    story.wait(seconds=40)
    [started] = story.send(sig.StartAttempt(NodeId("a"), 1, "w-1", timedelta(seconds=ago)))
    began = story.now - timedelta(seconds=counted)
    assert started == ev.AttemptStarted(
        story.now, NodeId("a"), 1, "w-1", began + MINUTE, since=began if counted else None
    )
    live = story.node("a").live
    assert live is not None
    assert (live.started_at, live.deadline) == (began, began + MINUTE)


@pytest.mark.parametrize("seconds", [-1, 41])
def test_no_journal_has_a_start_before_its_attempt_or_after_it_was_heard_of(seconds: int) -> None:
    story = ByHand(ONE, queues=all_queue)
    begun = story.now
    story.wait(seconds=40)
    since = begun + timedelta(seconds=seconds)
    with pytest.raises(InternalError, match="AttemptStarted cannot happen now"):
        apply(story.run, ev.AttemptStarted(story.now, NodeId("a"), 1, "w-1", story.now + MINUTE, since=since))


def test_what_need_not_wait_starts_at_once_in_one_event() -> None:
    story = ByHand(ONE)
    assert "AttemptStarted" not in story.kinds()
    live = story.node("a").live
    assert live is not None
    assert (live.started_at, live.deadline) == (story.now, story.now + MINUTE)


def test_a_start_says_who_does_it_and_is_good_once() -> None:
    story = ByHand(ONE, queues=all_queue)
    started = story.began("a", "machine-7")
    assert started == [ev.AttemptStarted(story.now, NodeId("a"), 1, "machine-7", story.now + MINUTE)]
    assert story.began("a", "machine-8") == []
    live = story.node("a").live
    assert live is not None
    assert live.worker == "machine-7"
    with pytest.raises(InternalError, match="AttemptStarted cannot happen now"):
        apply(story.run, started[0])


def test_what_is_said_about_an_attempt_that_goes_on_stands_with_it_at_its_end() -> None:
    story = ByHand(ONE)
    story.send(sig.WarnAttempt(NodeId("a"), 1, "a file was changed"))
    story.send(sig.ReportOutcome(NodeId("a"), 1, warnings=("and another",)))
    assert story.node("a").attempts[0].warnings == ("a file was changed", "and another")


def test_nothing_is_said_about_an_attempt_that_is_over() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))))
    story.succeed("a")
    with pytest.raises(StateError, match="has already ended"):
        story.send(sig.WarnAttempt(NodeId("a"), 1, "too late"))


def test_the_start_of_an_attempt_that_is_over_is_refused() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))), queues=all_queue)
    story.succeed("a")
    with pytest.raises(StateError, match="has already ended"):
        story.send(sig.StartAttempt(NodeId("a"), 1, "w-1"))
    story.succeed("b")
    assert story.send(sig.StartAttempt(NodeId("b"), 1, "w-1")) == []


def test_an_attempt_that_is_told_to_end_before_its_turn_does_not_start_any_more() -> None:
    story = ByHand(ONE, queues=all_queue)
    story.cancel()
    assert story.began("a") == []
    story.stopped("a")
    assert story.run.status is RunStatus.CANCELLED


def test_undoing_waits_for_its_turn_too_and_a_sub_command_never_does() -> None:
    sub = command(phase("s", node("x", compensation=rollback(), timeout=60_000)), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub"), node("z", "g"))), sub, queues=all_queue)
    group = story.node("g").live
    assert group is not None
    assert group.started_at == story.now
    story.began("g/x")
    story.succeed("g/x")
    story.fail("z")
    undo = story.node("g/x").live
    assert undo is not None
    assert (undo.role, undo.started_at) == (Role.COMPENSATE, None)
    story.wait(hours=1)
    story.began("g/x")
    story.succeed("g/x")
    assert story.run.status is RunStatus.COMPENSATED


def test_only_the_work_that_queues_waits() -> None:
    def queues(_run: Run, plan: NodePlan, _role: Role) -> bool:
        return plan.id == "a"

    story = ByHand(command(phase("p", node("a"), node("b"))), queues=queues)
    waits = {name: story.node(name).attempts[0].started_at is None for name in ("a", "b")}
    assert waits == {"a": True, "b": False}


def test_only_work_that_waits_for_its_turn_can_be_on_another_machine() -> None:
    asked: list[str] = []

    def elsewhere(_run: Run, plan: NodePlan, _role: Role) -> bool:
        asked.append(plan.id)
        return True

    def queues(_run: Run, plan: NodePlan, _role: Role) -> bool:
        return plan.id == "a"

    story = ByHand(command(phase("p", node("a"), node("b"))), queues=queues, elsewhere=elsewhere)
    assert asked == ["a"]
    assert [story.node(name).attempts[0].elsewhere for name in ("a", "b")] == [True, False]


def test_a_node_whose_attempt_waits_is_shown_as_waiting_and_takes_no_time() -> None:
    story = ByHand(command(phase("p", node("a", minutes=4))), queues=all_queue)
    story.now += 10 * MINUTE
    shown = snapshot(story.run, story.now)
    assert shown.nodes[0].state is NodeStatus.WAITING
    assert shown.nodes[0].waiting_for == "its turn"
    assert shown.running == ()
    assert shown.todos[0].content == "Do a (waiting for its turn)"
    assert shown.todos[0].status == "pending"
    assert shown.display.endswith("⏳ Do a (waiting for its turn)")
    assert shown.remaining == 4 * MINUTE
    story.began("a")
    shown = snapshot(story.run, story.now + MINUTE)
    assert (shown.running, shown.nodes[0].state) == (("a",), NodeStatus.RUNNING)
    assert shown.todos[0].status == "in_progress"
    assert shown.remaining == 3 * MINUTE


def test_durations_estimates_and_metrics_count_from_the_start() -> None:
    story = ByHand(ONE, queues=all_queue)
    story.now += 10 * MINUTE
    story.began("a")
    story.now += MINUTE / 2
    story.succeed("a")
    assert [sample.seconds for sample in samples(story.run)] == [30]
    assert metrics(story.run, story.now).work == MINUTE / 2
    assert snapshot(story.run, story.now).todos[0].content == "Do a (completed in 30.0s)"
    row = timeline(story.run, story.now).phases[0].rows[0]
    assert [(span.kind.value, span.start / MINUTE, span.end / MINUTE, span.note) for span in row.spans] == [
        ("wait", 0, 10, "its turn"),
        ("attempt", 10, 10.5, ""),
    ]


def test_an_attempt_that_ends_before_its_turn_has_taken_no_time() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy={"maxAttempts": 1}))), queues=all_queue)
    story.now += MINUTE
    story.fail("a")
    story.wait(minutes=1)
    story.now += MINUTE
    row = timeline(story.run, story.now).phases[0].rows[0]
    assert [(span.kind.value, span.outcome.value) for span in row.spans] == [
        ("wait", "ok"),
        ("attempt", "failed"),
        ("wait", "ok"),
        ("wait", "open"),
        ("attempt", "open"),
    ]
    assert row.duration == timedelta(0)
    assert metrics(story.run, story.now).phases[0].parallel_executions == 0
    story.succeed("a")
    assert samples(story.run) == []


def test_an_attempt_that_is_lost_before_its_turn_is_made_again_and_queues_again() -> None:
    story = ByHand(ONE, queues=all_queue)
    story.crash()
    story.resume()
    assert (story.number("a"), story.run.next_due()) == (2, None)
    story.began("a")
    story.succeed("a")
    assert story.run.status is RunStatus.COMPLETED
    row = timeline(story.run, story.now).phases[0].rows[0]
    assert [span.outcome.value for span in row.spans if span.attempt is not None] == ["lost", "ok"]


def test_a_silent_attempt_may_be_ended_before_its_turn_by_who_runs_it() -> None:
    story = ByHand(ONE, queues=all_queue)
    story.send(sig.EndAttempt(NodeId("a"), 1, Failure(FailureKind.TIMEOUT, "IDLE_TIMEOUT", "silent")))
    assert codes(story) == ["IDLE_TIMEOUT"]
