"""The timeline tells what each node did when, and what made the run as long as it was."""

from __future__ import annotations

from datetime import timedelta

from engine.ids import OwnerId
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Limits
from engine.run.reducer import fold
from engine.scheduling import decide
from engine.simulation import Scenario, Simulated, simulate
from engine.views.timeline import Row, SpanEnd, SpanKind, Timeline, timeline
from tests.support.definitions import command, node, phase, plan, review_code
from tests.support.runs import simulated

MINUTE = timedelta(minutes=1)
RETRY = {"maxAttempts": 2, "strategy": "linear", "initialDelay": 60_000}
UNDO = {"type": "rollback", "task": "Undo it"}


def chart_of(done: Simulated) -> Timeline:
    return timeline(done.run, done.events[-1].at)


def at(done: Simulated, minutes: float) -> Timeline:
    """The timeline of the run as it stood *minutes* after its start."""
    now = done.events[0].at + minutes * MINUTE
    return timeline(fold([event for event in done.events if event.at <= now]), now)


def row(chart: Timeline, name: str) -> Row:
    return next(row for phase in chart.phases for row in phase.rows if row.node == name)


def spans(chart: Timeline, name: str) -> list[tuple[str, str, float, float]]:
    """Kind, outcome, start and end in minutes."""
    return [
        (span.kind.value, span.outcome.value, span.start / MINUTE, span.end / MINUTE) for span in row(chart, name).spans
    ]


def test_each_node_has_one_span_for_its_one_attempt() -> None:
    chart = chart_of(simulated(review_code()))
    assert spans(chart, "analyzer") == [("attempt", "ok", 0, 5)]
    assert spans(chart, "report-generator") == [("attempt", "ok", 15, 20)]
    assert chart.total == 20 * MINUTE


def test_phases_stand_in_file_order_with_their_times() -> None:
    chart = chart_of(simulated(review_code()))
    assert [(phase.id, phase.start, phase.end) for phase in chart.phases] == [
        ("analysis", 0 * MINUTE, 5 * MINUTE),
        ("reviews", 5 * MINUTE, 15 * MINUTE),
        ("reporting", 15 * MINUTE, 20 * MINUTE),
    ]


def test_retries_and_the_waits_between_them_are_seen() -> None:
    chart = chart_of(simulated(command(phase("one", node("a", retryPolicy=RETRY))), fail=("a:1=error/FLAKY",)))
    assert spans(chart, "a") == [("attempt", "failed", 0, 0.5), ("wait", "ok", 0.5, 1.5), ("attempt", "ok", 1.5, 2.5)]
    failed, wait, _ = row(chart, "a").spans
    assert failed.note == "FLAKY: simulated failure of a"
    assert wait.note == "retry"
    assert row(chart, "a").duration == 1.5 * MINUTE


def test_a_node_that_waits_for_a_slot_says_so() -> None:
    chart = chart_of(simulated(command(phase("one", node("a", priority=1), node("b"), maxParallelism=1))))
    assert spans(chart, "b") == [("wait", "ok", 0, 1), ("attempt", "ok", 1, 2)]
    assert row(chart, "b").spans[0].note == "a free slot"


def test_a_node_that_waits_for_locks_says_so() -> None:
    lock = {"locks": [{"resource": "database"}], "maxWaitTime": 600_000}
    chart = chart_of(simulated(command(phase("one", node("a", resources=lock), node("b", resources=lock)))))
    wait = row(chart, "b").spans[0]
    assert (wait.kind, wait.note, wait.duration) == (SpanKind.WAIT, "locks", MINUTE)


def test_a_rollback_is_a_span_of_its_own_without_a_wait_before_it() -> None:
    raw = command(phase("one", node("a", compensation=UNDO)), phase("two", node("b", "a")))
    chart = chart_of(simulated(raw, fail=("b=error",)))
    assert spans(chart, "a") == [("attempt", "ok", 0, 1), ("undo", "ok", 1.5, 2.5)]
    assert row(chart, "a").duration == MINUTE


def test_what_still_runs_is_open_and_ends_now() -> None:
    chart = at(simulated(review_code()), 7)
    assert spans(chart, "quality-review") == [("attempt", "open", 5, 7)]
    assert chart.total == 7 * MINUTE
    assert chart.path == ("analyzer", "quality-review")


def test_what_waits_now_says_for_what() -> None:
    raw = command(phase("one", node("a", retryPolicy=RETRY), node("b", approval={"message": "Shall we?"})))
    chart = at(simulated(raw, fail=("a:1=error",)), 1)
    assert row(chart, "a").spans[-1].note.startswith("retry")
    assert row(chart, "a").spans[-1].outcome is SpanEnd.OPEN


def test_a_phase_that_was_never_reached_has_no_times_and_its_nodes_no_spans() -> None:
    chart = chart_of(simulated(review_code(), fail=("analyzer=error",)))
    assert chart.phases[2].start is None
    assert chart.phases[2].end is None
    assert row(chart, "report-generator").start is None


def test_a_skipped_node_says_why() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "nothing to do"}
    assert row(chart_of(simulated(command(phase("one", node("a", skipCondition=skip), node("b"))))), "a").note == (
        "nothing to do"
    )


def test_a_node_that_never_got_its_locks_shows_the_wait() -> None:
    lock = {"locks": [{"resource": "database"}], "maxWaitTime": 30_000}
    raw = command(phase("one", node("a", resources=lock), node("b", resources=lock), continueOnError=True))
    chart = chart_of(simulated(raw))
    assert spans(chart, "b") == [("wait", "ok", 0, 0.5)]


def test_an_attempt_that_was_lost_with_its_process_is_followed_by_the_wait_for_a_new_owner() -> None:
    done = simulated(command(phase("one", node("a"))))
    start = done.events[0].at
    begun = next(place for place, event in enumerate(done.events) if isinstance(event, ev.AttemptScheduled))
    run = fold(done.events[: begun + 1])
    decide.decide(run, sig.Interrupt(), start + MINUTE)
    decide.decide(run, sig.Resume(OwnerId("o-new"), failed=False), start + 9 * MINUTE)
    chart = timeline(run, start + 10 * MINUTE)
    lost, wait, again = row(chart, "a").spans
    assert (lost.outcome, again.outcome) == (SpanEnd.LOST, SpanEnd.OPEN)
    assert (wait.kind, wait.note) == (SpanKind.WAIT, "a new owner")
    assert (lost.end, again.start) == (5 * MINUTE, 9 * MINUTE)
    assert row(chart, "a").duration == MINUTE


def test_a_run_that_has_started_nothing_has_no_path() -> None:
    done = simulated(review_code())
    assert timeline(fold(done.events[:1]), done.events[0].at + MINUTE).path == ()


def test_the_critical_path_follows_dependencies_phases_and_slots() -> None:
    raw = command(
        phase("one", node("a", minutes=2), node("b", minutes=5), node("c", minutes=1)),
        phase("two", node("d", "a", minutes=1), node("e", minutes=3), maxParallelism=1),
    )
    assert chart_of(simulated(raw)).path == ("b", "e", "d")
    assert chart_of(simulated(review_code(), limits=Limits(max_parallelism=1))).path == (
        "analyzer",
        "security-review",
        "quality-review",
        "report-generator",
    )


def test_the_critical_path_leads_through_what_was_skipped_without_naming_it() -> None:
    skip = {"type": "context", "expression": "1 == 1"}
    raw = command(phase("one", node("a")), phase("two", node("b", "a", skipCondition=skip)), phase("three", node("c")))
    assert chart_of(simulated(raw)).path == ("a", "c")


def test_the_critical_path_leads_through_sub_commands() -> None:
    inner = command(phase("x", node("p", minutes=2)), phase("y", node("q", "p", minutes=3)), name="/inner")
    outer = command(
        phase("one", node("first", minutes=1)),
        phase("two", node("call", "first", agent="command", task="/inner"), node("side", "first", minutes=1)),
        phase("three", node("last", minutes=1)),
    )
    chart = chart_of(simulate(plan(outer, inner), Scenario()))
    assert chart.path == ("first", "call/p", "call/q", "last")
    depths = {phase.id: phase.depth for phase in chart.phases}
    assert depths == {"one": 0, "two": 0, "call/x": 1, "call/y": 1, "three": 0}
    assert row(chart, "call").group
