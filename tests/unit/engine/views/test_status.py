from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from engine.executors.simulate import parse_fault
from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.run.reducer import fold
from engine.run.state import NodeStatus
from engine.runtime.projections import summary_of
from engine.simulation import Scenario, simulate
from engine.views.metrics import metrics
from engine.views.node_detail import node_detail
from engine.views.short_lists import MAX_NODES_IN_FULL
from engine.views.status import Snapshot, failures, node_line, preview, snapshot
from engine.views.todos import TodoOptions
from tests.support.by_hand import HEIR, ByHand, decoded
from tests.support.definitions import Raw, command, node, phase, plan, review_code

if TYPE_CHECKING:
    from collections.abc import Callable

PHASE_STATES = {"pending", "running", "completed", "failed", "cancelled", "compensated", "interrupted"}
UNDO = {"type": "rollback", "task": "Undo it"}


def events_of(raw: Raw, *faults: str) -> list[ev.Event]:
    scenario = Scenario(faults=dict(parse_fault(fault) for fault in faults))
    return simulate(plan(raw), scenario).events


def seen(events: list[ev.Event], options: TodoOptions | None = None) -> Snapshot:
    """The run after *events*, looked at when the last one happened."""
    return snapshot(fold(events), events[-1].at, options=options)


def until(events: list[ev.Event], last: Callable[[ev.Event], bool]) -> list[ev.Event]:
    """*events* up to the first one that is *last*, which is there."""
    place = next(place for place, event in enumerate(events) if last(event))
    return events[: place + 1]


def undoing() -> Raw:
    first = phase("first", node("opened", compensation=UNDO), node("shut", compensation=UNDO))
    return command(first, phase("second", node("broken", "opened", "shut", compensation=UNDO)))


def many(count: int) -> Raw:
    return command(
        phase("first", node("opening")),
        phase("many", *(node(f"node-{number}", "opening") for number in range(count))),
        phase("last", node("closing")),
    )


@pytest.mark.parametrize(
    ("raw", "faults"),
    [(review_code(), []), (undoing(), ["broken=error"]), (many(60), ["node-3=error"]), (many(60), [])],
)
def test_a_run_can_be_looked_at_after_each_of_its_events(raw: Raw, faults: list[str]) -> None:
    events = events_of(raw, *faults)
    for count in range(1, len(events) + 1):
        now = seen(events[:count])
        assert now.progress.total == len(now.nodes) == sum(phase.total for phase in now.phases)
        assert now.progress.done == sum(phase.done for phase in now.phases)
        assert {phase.state for phase in now.phases} <= PHASE_STATES
        assert all(todo.content and todo.active_form for todo in now.todos)
        assert now.display
        assert len(now.todos) <= MAX_NODES_IN_FULL + 3 * len(now.phases)
        assert now.elapsed >= timedelta(0)


def test_the_wait_of_a_run_for_its_own_locks_counts_in_every_view() -> None:
    wait = timedelta(minutes=2)
    events = events_of(command(phase("one", node("a")), resources={"locks": [{"resource": "database"}]}))
    late = [events[0], *(replace(event, at=event.at + wait) for event in events[1:])]
    now, report = seen(late), metrics(fold(late), late[-1].at)
    assert now.elapsed == report.total == wait + timedelta(minutes=1)
    assert now.started_at == events[0].at
    assert [line.started for line in now.nodes] == [wait]
    run = fold(late)
    assert node_line(run, run.nodes[NodeId("a")], late[-1].at).started == wait
    assert node_detail(run, run.nodes[NodeId("a")], late[-1].at, {}).started == wait


def test_the_attempts_of_a_node_are_those_of_its_work_as_in_a_report() -> None:
    now = seen(events_of(undoing(), "broken=error"))
    assert {str(line.id): (line.state, line.attempts) for line in now.nodes} == dict.fromkeys(
        ("opened", "shut", "broken"), (NodeStatus.COMPENSATED, 1)
    )


def test_a_completed_run_shows_times_from_its_start() -> None:
    now = seen(events_of(review_code()))
    assert (now.state, now.ended, now.progress.percent) == (RunStatus.COMPLETED, True, 100)
    assert (now.elapsed, now.remaining) == (timedelta(minutes=20), timedelta(0))
    lines = {str(line.id): line for line in now.nodes}
    assert lines["report-generator"].started == timedelta(minutes=15)
    assert lines["report-generator"].duration == timedelta(minutes=5)
    assert [phase.state for phase in now.phases] == ["completed"] * 3


def test_a_live_run_shows_what_runs_and_what_waits() -> None:
    events = events_of(review_code())
    now = seen(until(events, lambda event: isinstance(event, ev.PhaseOpened) and event.phase == 1))
    assert [phase.state for phase in now.phases] == ["completed", "running", "pending"]
    lines = {str(line.id): line for line in now.nodes}
    assert lines["report-generator"].waiting_for == "reviews"
    assert (lines["report-generator"].started, lines["report-generator"].duration) == (None, None)
    now = seen(until(events, lambda event: isinstance(event, ev.AttemptScheduled) and event.node == "quality-review"))
    assert now.running == ("security-review", "quality-review")


def test_a_rolled_back_run_tells_the_failure_and_what_was_undone() -> None:
    events = events_of(undoing(), "broken=error/DEADLOCK")
    now = seen(events)
    assert now.state is RunStatus.COMPENSATED
    [failure] = now.failures
    assert (failure.node, failure.failure.code, failure.compensated) == ("broken", "DEADLOCK", True)
    assert [phase.state for phase in now.phases] == ["compensated", "compensated"]
    before = seen(until(events, lambda event: isinstance(event, ev.NodeFailed)))
    assert not before.failures[0].compensated
    assert before.phases[1].state == "failed"


def test_a_limit_that_is_used_up_is_a_failure_of_the_run_itself() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))), limits=ev.Limits(max_attempts_total=1))
    story.succeed("a")
    (line,) = failures(story.run)
    assert (line.node, line.failure.code) == (None, "ATTEMPTS_EXHAUSTED")
    assert line.failure.hint is not None
    assert f"orchestrate resume {story.run.id} --failed --max-attempts-total N" in line.failure.hint
    story.resume(failed=True, limits=ev.Limits(max_attempts_total=2))
    assert failures(story.run) == ()


def test_a_compensation_that_fails_is_told_after_its_node() -> None:
    now = seen(events_of(undoing(), "broken:1=error/FIRST", "broken:2=error/SECOND"))
    assert now.state is RunStatus.COMPENSATION_FAILED
    assert [line.failure.code for line in now.failures] == ["FIRST", "SECOND"]
    assert not any(line.compensated for line in now.failures)


def test_an_interrupted_run_stands_still() -> None:
    events = events_of(review_code())
    started = until(events, lambda event: isinstance(event, ev.AttemptScheduled))
    at = started[-1].at + timedelta(minutes=2)
    run = fold([*started, ev.RunInterrupted(at)])
    now = snapshot(run, at + timedelta(days=1))
    assert (now.state, now.elapsed, now.remaining) == (RunStatus.INTERRUPTED, timedelta(minutes=2), None)
    assert now.phases[0].state == "interrupted"


def test_a_cancelled_node_shows_in_its_phase() -> None:
    failing = command(phase("work", node("long-one", minutes=10), node("bad-one", minutes=2)))
    now = seen(events_of(failing, "bad-one=error"))
    assert [line.id for line in now.nodes if line.state is NodeStatus.CANCELLED] == ["long-one"]
    assert (now.phases[0].state, now.phases[0].done) == ("failed", 1)


def test_a_phase_of_cancelled_nodes_is_cancelled() -> None:
    failing = command(phase("work", node("long-one", minutes=10)), phase("more", node("bad-one"), barrier=False))
    now = seen(events_of(failing, "bad-one=error"))
    assert [phase.state for phase in now.phases] == ["cancelled", "failed"]


def test_an_approval_is_a_question_until_the_run_has_ended() -> None:
    asking = command(phase("work", node("careful", approval={"message": "Sure?"}), node("other")))
    events = events_of(asking)
    waiting = until(events, lambda event: isinstance(event, ev.NodeWaiting))
    [question] = seen(waiting).questions
    assert (question.node, question.text, question.answers) == ("careful", "Sure?", ("yes", "no"))
    assert seen(events).questions == ()


def test_the_question_of_a_list_shows_its_items() -> None:
    files = {"inputs": [{"key": "files", "default": ["a.py", "b.py"]}]}
    asking = node("cover", context=files, forEach={"items": "files"}, approval={"message": "Cover them?"})
    waiting = until(events_of(command(phase("work", asking))), lambda event: isinstance(event, ev.NodeWaiting))
    [question] = seen(waiting).questions
    assert question.text == 'Cover them? (2 items: "a.py", "b.py")'


def test_a_retry_that_waits_is_no_question() -> None:
    retried = command(phase("work", node("flaky", retryPolicy={"maxAttempts": 1, "strategy": "linear"})))
    events = events_of(retried, "flaky:1=error")
    now = seen(until(events, lambda event: isinstance(event, ev.NodeWaiting)))
    assert now.questions == ()
    assert (now.nodes[0].waiting_for or "").startswith("retry")


def test_a_lost_attempt_that_must_not_be_repeated_is_a_question() -> None:
    events = events_of(command(phase("work", node("once-only", idempotent=False))))
    started = until(events, lambda event: isinstance(event, ev.AttemptScheduled))
    at = started[-1].at
    name = NodeId("once-only")
    lost: list[ev.Event] = [
        ev.RunInterrupted(at),
        ev.RunResumed(at, fold(started).owner),
        ev.AttemptLost(at, name, 1),
        ev.NodeWaiting(at, name, ev.WaitReason.DECISION, None, "It may have done half of its work"),
    ]
    [question] = seen([*started, *lost]).questions
    assert (question.text, question.answers) == ("It may have done half of its work", ("retry", "skip", "fail"))


def test_outputs_of_the_last_phase_and_persisted_ones_come_first() -> None:
    def writes(*outputs: Raw) -> Raw:
        return {"context": {"outputs": list(outputs)}}

    raw = command(
        phase("first", node("opening", **writes({"key": "notes"}, {"key": "kept", "persist": True}))),
        phase("last", node("closing", **writes({"key": "report"}))),
        globalContext={"initial": {"given": 1}},
    )
    now = seen(events_of(raw))
    assert [line.key for line in now.outputs] == ["report", "kept", "notes"]
    assert [line.persist for line in now.outputs] == [False, True, False]
    assert all(line.size > 0 for line in now.outputs)


def test_a_large_run_names_what_is_news_and_counts_the_rest() -> None:
    events = events_of(many(60), "node-3=error")
    running = until(events, lambda event: isinstance(event, ev.NodeFailed))
    contents = [todo.content for todo in seen(running).todos]
    assert "First: 1 tasks (1 of 1 done)" in contents
    assert any(content.startswith("Failed: Do node-3") for content in contents)
    assert any("more tasks" in content for content in contents)
    assert any(content.startswith("Phase 3: Last") for content in contents)
    ended = seen(events)
    assert {todo.status for todo in ended.todos} == {"completed"}
    assert "❌ Do node-3" in ended.display


def test_a_large_run_without_folding_still_counts() -> None:
    events = events_of(many(60))
    opened = until(events, lambda event: isinstance(event, ev.AttemptSucceeded))
    unfolded = seen(opened, TodoOptions(batch_size=1000))
    assert "Last: 1 tasks (0 of 1 done)" in [todo.content for todo in unfolded.todos]


def test_a_preview_is_the_list_that_a_run_begins_with() -> None:
    todos = preview(plan(review_code()))
    assert [todo.content for todo in todos] == [
        "Do analyzer",
        "Do quality-review",
        "Do security-review",
        "Do report-generator",
    ]
    assert {todo.status for todo in todos} == {"pending"}


def test_what_an_attempt_has_left_running_is_told_also_when_the_run_is_read_again() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))))
    story.send(sig.ReportOutcome(NodeId("a"), 1, left=("4242 (node) keeps running",)))
    failure = Failure(FailureKind.ERROR, "X", "x")
    story.send(sig.ReportOutcome(NodeId("b"), 1, failure=failure, left=("7 (sudo) could not be ended",)))
    told = ('Node "a": process 4242 (node) keeps running', 'Node "b": process 7 (sudo) could not be ended')
    for run in (story.run, fold(decoded(story.events))):
        assert snapshot(run, story.now).warnings[-2:] == told


def test_what_is_recorded_about_attempts_is_told_once_though_their_process_says_it_too() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))))
    told = ("Files were changed",)
    story.send(sig.ReportOutcome(NodeId("a"), 1, warnings=told))
    story.send(sig.ReportOutcome(NodeId("b"), 1, failure=Failure(FailureKind.ERROR, "X", "x"), warnings=told))
    for run in (story.run, fold(decoded(story.events))):
        assert snapshot(run, story.now).warnings == told
        assert snapshot(run, story.now, warnings=("Another", *told)).warnings == ("Another", *told)


def test_no_time_of_a_killed_run_counts_the_wait_for_its_resumption() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))))
    story.wait(seconds=10)
    story.crash()
    story.now += timedelta(hours=2)
    story.resume()
    story.wait(seconds=5)
    story.succeed("a")
    run, begun = story.run, story.node("b")
    assert (node_line(run, begun, story.now).started, node_detail(run, begun, story.now, {}).started) == (
        timedelta(seconds=15),
        timedelta(seconds=15),
    )
    for row in (summary_of(run, HEIR), summary_of(fold(decoded(story.events)), HEIR)):
        assert (row.lived(story.now), row.idle) == (snapshot(run, story.now).elapsed, timedelta(hours=2))
