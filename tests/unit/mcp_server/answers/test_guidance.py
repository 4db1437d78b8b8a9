from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.executors.simulate import parse_fault
from engine.ids import NodeId
from engine.run import events as ev
from engine.run.reducer import fold
from engine.run.state import Run
from engine.simulation import Scenario, simulate
from engine.views.status import snapshot
from mcp_server.answers import wire
from mcp_server.answers.guidance import MAX_LINE_LENGTH, next_step, progress_line
from mcp_server.answers.work_orders import Work
from tests.support.definitions import Raw, command, node, phase, plan

UNDO = {"type": "rollback", "task": "Undo it"}


def run_of(raw: Raw, *faults: str) -> list[ev.Event]:
    return simulate(plan(raw), Scenario(faults=dict(parse_fault(fault) for fault in faults))).events


def advice(run: Run, events: list[ev.Event], executor: str = "claude", **options: Any) -> str:  # noqa: ANN401
    """What is told of *run* had *executor* done it."""
    return next_step(replace(snapshot(run, events[-1].at), executor=executor), **options)


ONE = command(phase("work", node("only-node")))
UNDONE = command(phase("work", node("only-node", compensation=UNDO)))
PARTLY = command(
    phase("work", *(node(f"n{number}") for number in range(7)), node("undone", compensation=UNDO)),
    phase("more", node("last")),
)
TWO = command(phase("work", node("good-node"), node("bad-node"), continueOnError=True))


@pytest.mark.parametrize(
    ("raw", "faults", "told"),
    [
        (ONE, ["only-node=error"], "failed=true"),
        (TWO, ["bad-node=error"], "name the failures"),
        (UNDONE, ["only-node=error"], "what failed, that what only-node did was undone; a new run"),
        (UNDONE, ["only-node:1=error", "only-node:2=error"], "that what only-node did could not be undone"),
        (PARTLY, ["last=error"], "that what undone did was undone, that what n0, n1, n2, n3, n4 and 2 more did stays"),
    ],
)
def test_the_end_of_a_run_says_what_to_tell_the_user(raw: Raw, faults: list[str], told: str) -> None:
    events = run_of(raw, *faults)
    assert told in advice(fold(events), events)


@pytest.mark.parametrize("raw", [ONE, UNDONE])
@pytest.mark.parametrize("faults", [[], ["only-node=error"]])
def test_a_simulation_is_told_as_one_however_it_ended_and_is_not_to_be_resumed(raw: Raw, faults: list[str]) -> None:
    events = run_of(raw, *faults)
    told = advice(fold(events), events, executor="simulate")
    assert "it was a simulation and no work was done" in told
    assert "resume" not in told


def test_new_work_is_to_be_started_and_open_work_waited_for() -> None:
    events = run_of(ONE)[:4]
    run = fold(events)
    known = wire.OpenLine(attempt="a#1", deadline="soon")
    one = advice(run, events, work=Work(new=(order("b#1"),), open=(known,)))
    assert "Start the subagent of each entry of work with your Agent tool (now)" in one
    assert "or do it yourself if you have no such tool" in one
    several = advice(run, events, work=Work(new=(order("b#1"), order("c#1")), left_out=3))
    assert "all of them at once" in several
    assert f"call status with run_id={run.id} for the rest of the work (3 more)" in several
    none = advice(run, events, work=Work(open=(known,)))
    assert "Start" not in none
    assert f"As each subagent of the attempts in open ends, call report with run_id={run.id}" in none
    assert f'Until then call status with run_id={run.id}, until="end", wait_seconds=50.' in none


def test_work_that_is_not_wanted_any_more_is_to_be_stopped_first() -> None:
    events = run_of(ONE)[:4]
    assert advice(fold(events), events, work=Work(stop=True)).startswith("Stop the subagents of the attempts in stop")
    ended = [*events[:1], ev.RunEnded(events[0].at, ev.RunStatus.CANCELLED)]
    told = advice(fold(ended), ended, work=Work(stop=True))
    assert told.startswith("Stop the subagents")
    assert "was cancelled" in told


def order(attempt: str) -> wire.WorkLine:
    return wire.WorkLine(
        attempt=attempt,
        node="a",
        subagent_type="x",
        description="x",
        prompt="x",
        outputs=[],
        output_schema={},
        deadline="soon",
    )


def test_a_live_run_says_how_to_follow_it() -> None:
    events = run_of(ONE)[:4]
    run = fold(events)
    assert f'Then call status with run_id={run.id}, until="end", wait_seconds=50.' in advice(run, events)
    assert 'until="end", wait_seconds=3600.' in advice(run, events, wait=3600)
    assert advice(run, events).endswith("use until: phase instead, and update your list once for each answer.")
    assert "TodoWrite if you have that tool; if you have TaskCreate" in advice(run, events)
    with_tasks = advice(run, events, tasks=[object()])
    assert with_tasks.startswith("Make the calls in tasks")
    todos = f'Then call status with run_id={run.id}, view="todos", until="phase", wait_seconds=50.'
    assert with_tasks.endswith(todos)
    assert advice(run, events, tasks=[]) == todos
    interrupted = [*events, ev.RunInterrupted(events[-1].at)]
    assert f"resume with run_id={run.id}" in advice(fold(interrupted), interrupted)


def test_a_run_in_which_nothing_runs_says_what_it_waits_for() -> None:
    events = run_of(ONE, "only-node:1=error/QUOTA_EXHAUSTED")
    place = next(place for place, event in enumerate(events) if isinstance(event, ev.NodeWaiting))
    waiting = fold(events[: place + 1])
    line = progress_line(snapshot(waiting, events[place].at), waiting, {})
    assert "waiting for circuit breaker: claude: simulated failure of only-node" in line


def test_a_run_that_is_rolled_back_or_was_cancelled_says_so() -> None:
    events = run_of(UNDONE, "only-node=error")
    place = next(place for place, event in enumerate(events) if isinstance(event, ev.SagaStarted))
    undoing = events[: place + 1]
    assert "being rolled back" in advice(fold(undoing), undoing)
    assert "rolling back" in progress_line(snapshot(fold(undoing), undoing[-1].at), fold(undoing), {})
    started = run_of(ONE)[:1]
    cancelled = [*started, ev.RunEnded(started[-1].at, ev.RunStatus.CANCELLED)]
    assert "was cancelled" in advice(fold(cancelled), cancelled)


def test_large_outputs_are_to_be_read_as_resources() -> None:
    raw = command(phase("work", node("only-node", context={"outputs": [{"key": "report"}]})))
    events = run_of(raw)
    assert "reading their $ref as a resource: report" in advice(fold(events), events, refs=["report"])
    assert "predicted timeline" in advice(fold(events), events, dry_run=True)


def test_a_question_comes_before_everything_else() -> None:
    events = run_of(command(phase("work", node("careful", approval={"message": "Sure?"}))))
    place = next(place for place, event in enumerate(events) if isinstance(event, ev.NodeWaiting))
    run = fold(events[: place + 1])
    now = snapshot(run, events[place].at)
    assert "Ask the user the questions in decisions (careful)" in next_step(now)
    assert "waiting for your answer: Sure?" in progress_line(now, run, {})


def test_a_question_beside_work_does_not_hide_it() -> None:
    events = run_of(command(phase("work", node("careful", approval={"message": "Sure?"}))))
    place = next(place for place, event in enumerate(events) if isinstance(event, ev.NodeWaiting))
    run = fold(events[: place + 1])
    now = snapshot(run, events[place].at)
    both = next_step(now, work=Work(new=(order("b#1"),)))
    assert both.index("Start the subagent") < both.index("Ask the user the questions in decisions (careful)")
    known = next_step(now, work=Work(open=(wire.OpenLine(attempt="a#1", deadline="soon"),)))
    assert "Ask the user" in known
    assert "As each subagent of the attempts in open ends, call report" in known


def test_the_line_names_phase_progress_and_what_is_done() -> None:
    events = run_of(command(phase("work", node("one"), node("two", task="Review two")), phase("more", node("three"))))
    first = fold(events[:1])
    assert progress_line(snapshot(first, events[0].at), first, {}).startswith("/test is waiting to start · 0/3")
    place = max(place for place, event in enumerate(events[:8]) if isinstance(event, ev.AttemptScheduled))
    run = fold(events[: place + 1])
    now = snapshot(run, events[place].at)
    assert progress_line(now, run, {}) == "Phase 1/2 Work · 0/3 · Reviewing two... (+1) · ~2 min left"
    assert progress_line(now, run, {NodeId("two"): ""}) == progress_line(now, run, {})
    line = progress_line(now, run, {NodeId("two"): "Reading\n" + "a" * 500})
    assert len(line) < MAX_LINE_LENGTH
    assert "\n" not in line
    assert "hunter22" not in progress_line(now, run, {NodeId("two"): "password=hunter22"})
    ended = fold(events)
    assert progress_line(snapshot(ended, events[-1].at), ended, {}, "Esc") == "/test completed · 3/3"
    long = progress_line(now, run, {NodeId("two"): "a" * 500}, "Esc cancels the run")
    assert long.endswith(" · ~2 min left · Esc cancels the run")
    assert len(long) < MAX_LINE_LENGTH
