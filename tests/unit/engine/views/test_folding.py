"""A todo list within a number of bytes: whole where it fits, else folded where least happens."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.executors.simulate import parse_fault
from engine.run import events as ev
from engine.run.reducer import fold
from engine.simulation import Scenario, simulate
from engine.views.folding import sections, text_of
from engine.views.known import Known
from engine.views.todos import LIST_BYTES, Todo, TodoOptions
from tests.support.by_hand import ByHand
from tests.support.definitions import Raw, command, node, phase, plan

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.ids import NodeId
    from engine.run.state import Run
    from engine.views.todos import TodoStatus

BY_SIZE = TodoOptions(batch_size=None)
TASK = "Review the module and write down everything that the next reviewer has to know"


def phases(*counts: int, task: str = TASK, **options: object) -> Raw:
    """A command whose phases `p0`, `p1`, … have that many nodes."""
    return command(
        *(
            phase(f"p{place}", *(node(f"n{place}-{number}", task=task) for number in range(count)), **options)
            for place, count in enumerate(counts)
        )
    )


def events_of(raw: Raw, *faults: str) -> list[ev.Event]:
    return simulate(plan(raw), Scenario(faults=dict(parse_fault(fault) for fault in faults))).events


def up_to(events: list[ev.Event], kind: type[ev.Event], times: int) -> Run:
    """The run when the *times*-th event of *kind* has happened."""
    places = [place for place, event in enumerate(events) if isinstance(event, kind)]
    return fold(events[: places[times - 1] + 1])


def listed(run: Run, room: int = LIST_BYTES, only: Collection[NodeId] | None = None) -> list[Todo]:
    found = sections(run, run.changed_at or run.created_at, {}, BY_SIZE, room=room, only=only)
    return [todo for section in found for todo in section.todos()]


def shown(run: Run, room: int = LIST_BYTES, options: TodoOptions = BY_SIZE) -> list[str]:
    now = run.changed_at or run.created_at
    return text_of(run, now, {}, options, sections(run, now, {}, options, room=room)).splitlines()


def line(text: str, status: TodoStatus) -> Todo:
    return Todo(text, status, text)


def size(todos: list[Todo]) -> int:
    lines = [{"content": todo.content, "status": todo.status, "activeForm": todo.active_form} for todo in todos]
    return len(json.dumps({"todos": lines}, ensure_ascii=False, separators=(",", ":")).encode())


def test_a_list_that_fits_is_whole_however_many_nodes_it_has() -> None:
    run = fold(events_of(phases(5, 5, 5, task="Do it"))[:4])
    assert len(listed(run)) == 15
    assert size(listed(run)) <= LIST_BYTES


def test_phases_that_have_ended_are_folded_first_and_only_as_many_as_need_be() -> None:
    run = up_to(events_of(phases(3, 3, 3, 3)), ev.PhaseOpened, 3)
    whole = listed(run, room=100_000)
    assert len(whole) == 12
    once = listed(run, room=size(whole) - 1)
    assert once[0] == line("Phase 1: P0 (3 tasks completed)", "completed")
    assert once[1:] == whole[3:]


def test_then_phases_that_have_not_opened_the_last_ones_first() -> None:
    run = up_to(events_of(phases(3, 3, 3, 3)), ev.PhaseOpened, 2)
    whole = listed(run, room=100_000)
    ended = listed(run, room=size(whole) - 1)
    contents = [todo.content for todo in listed(run, room=size(ended) - 1)]
    assert contents[0] == "Phase 1: P0 (3 tasks completed)"
    assert contents[-1] == "Phase 4: P3 (3 tasks, waiting for p2)"
    assert contents[1:-1] == [todo.content for todo in whole[3:9]]


def test_then_nodes_of_an_open_phase_that_have_nothing_to_say() -> None:
    story = ByHand(phases(30, maxParallelism=2))
    run = story.run
    todos = listed(run)
    assert size(todos) <= LIST_BYTES
    assert [todo.status for todo in todos] == ["in_progress", "in_progress", "pending"]
    assert todos[-1].content == "Phase 1: P0, other tasks (28 not started)"
    assert shown(run)[-1] == "  ⏳ Phase 1: P0, other tasks (28 not started)"


def test_nodes_at_work_are_named_as_long_as_there_is_room() -> None:
    run = ByHand(phases(30)).run
    todos = listed(run)
    assert size(todos) <= LIST_BYTES
    assert 3 <= len(todos) < 30
    assert todos[-1].content.startswith("Phase 1: P0, other tasks (")


def test_many_phases_share_a_line() -> None:
    run = up_to(events_of(phases(*[1] * 60)), ev.PhaseOpened, 30)
    todos = listed(run)
    assert size(todos) <= LIST_BYTES
    assert todos[0].content == "Phases 1 to 29 (29 tasks completed)"
    assert todos[-1] == line("Phases 31 to 60 (30 tasks not started)", "pending")
    assert len(todos) == 3
    assert shown(run)[0] == "✅ Phases 1 to 29 (29 tasks completed)"


def test_a_phase_with_failures_is_folded_last_and_says_so() -> None:
    events = events_of(phases(6, 6, 6, continueOnError=True), "n0-1=error")
    running = up_to(events, ev.PhaseOpened, 3)
    one = listed(running, room=size(listed(running, room=100_000)) - 1)
    assert one[6].content == "Phase 2: P1 (6 tasks completed)"
    both = listed(running)
    assert both[0].content == "❌ Phase 1: P0 (6 tasks: 5 completed, 1 failed)"
    assert both[0].status == "in_progress"
    assert shown(running)[0] == both[0].content
    ended = listed(fold(events))
    assert {todo.status for todo in ended} == {"completed"}


def test_a_run_that_was_cancelled_has_no_phase_that_waits() -> None:
    story = ByHand(phases(8, 8, 8, maxParallelism=1))
    story.cancel()
    for name in story.live():
        story.stopped(name)
    todos = listed(story.run)
    assert {todo.status for todo in todos} == {"completed"}
    assert todos[-1].content == "Phase 3: P2 (8 tasks cancelled)"


def test_what_runs_in_an_interrupted_run_stays_named() -> None:
    events = [*events_of(phases(12))[:8]]
    run = fold([*events, ev.RunInterrupted(events[-1].at)])
    assert any("interrupted; resume continues it" in todo.content for todo in listed(run))


def test_a_list_of_what_changed_has_nothing_else() -> None:
    events = events_of(phases(2, 2, task="Do it"))
    before, after = up_to(events, ev.PhaseOpened, 1), up_to(events, ev.PhaseOpened, 2)
    client = Known()
    client.learn(before)
    changed = client.learn(after)
    assert set(changed) == {"n0-0", "n0-1"}
    assert [todo.content.split(" (")[0] for todo in listed(after, only=changed)] == ["Do it"] * 2
    assert listed(after, only=set()) == []


def test_a_list_without_headings_has_none() -> None:
    run = up_to(events_of(phases(20, 1)), ev.PhaseOpened, 2)
    lines = shown(run, options=TodoOptions(batch_size=None, grouping=False))
    assert [line[0] for line in lines] == ["✅", "⏳"]
    by_number = TodoOptions(batch_size=2, grouping=False)
    assert shown(fold(events_of(phases(2, 1))[:4]), options=by_number)[-1] == "Phase 2: P1 (1 task, waiting for p0)"


def test_what_runs_stays_named_however_many_phases_there_are() -> None:
    todos = listed(up_to(events_of(phases(*[8] * 30, task="Do it")), ev.AttemptScheduled, 15 * 8))
    assert size(todos) <= LIST_BYTES
    assert todos[0] == line("Phases 1 to 14 (112 tasks completed)", "completed")
    assert [todo.content for todo in todos[1:-1]] == [f"Do it (n14-{number})" for number in range(8)]
    assert todos[-1] == line("Phases 16 to 30 (120 tasks not started)", "pending")


def test_a_failure_and_a_question_stay_named_before_what_runs() -> None:
    raw = phases(40, continueOnError=True)
    raw["phases"][0]["agents"][38]["approval"] = {"message": "Go on?"}
    story = ByHand(raw)
    story.fail("n0-39")
    todos = listed(story.run)
    assert size(todos) <= LIST_BYTES
    assert todos[0].content.startswith("Failed: ")
    assert todos[1].content.endswith("(n0-38) (waiting for approval: Go on?)")
    assert todos[2].status == "in_progress"
    assert "failed" not in todos[-1].content
    small = listed(story.run, room=200)
    assert [todo.content[:1] for todo in small] == ["❌"]


def with_parts(count: int) -> list[ev.Event]:
    """The events of a command with two phases, the second of *count* nodes with two phases in place of an agent."""
    parts = [phase("first", node("a"), node("b")), phase("second", node("c"))]
    calls = [{"id": f"call{place}", "task": TASK, "phases": parts} for place in range(count)]
    return events_of(command(phase("before", node("x")), phase("calls", *calls)))


def test_parts_of_a_phase_under_way_share_lines_of_their_own() -> None:
    events = with_parts(30)
    opened = up_to(events, ev.PhaseOpened, 20)
    todos = listed(opened)
    assert size(todos) <= LIST_BYTES
    assert todos[0].content.startswith("Phase 1: Before (1 task completed")
    shared = [todo.content for todo in todos if ", other parts (" in todo.content]
    assert shared
    assert all(content.startswith("Phase 2, other parts (") for content in shared)
    assert not any("Phases 2 to 2" in todo.content for todo in todos)


@given(count=st.integers(1, 25), place=st.floats(0, 1))
def test_no_list_with_parts_is_longer_than_its_room_and_none_loses_a_task(count: int, place: float) -> None:
    events = with_parts(count)
    run = fold(events[: max(1, round(place * len(events)))])
    todos = listed(run)
    assert size(todos) <= LIST_BYTES
    assert sum(map(tasks_in, todos)) == len(run.nodes)


def tasks_in(todo: Todo) -> int:
    """The nodes that a line stands for."""
    if not todo.content.removeprefix("❌ ").startswith("Phase"):
        return 1
    said = todo.content[todo.content.rindex("(") :]
    total = re.match(r"\((\d+) tasks?\b", said)
    return int(total[1]) if total else sum(map(int, re.findall(r"(\d+) [a-z]", said)))


@given(counts=st.lists(st.integers(1, 12), min_size=1, max_size=30), place=st.floats(0, 1), length=st.integers(3, 300))
def test_no_list_is_longer_than_its_room_at_any_time(counts: list[int], place: float, length: int) -> None:
    events = events_of(phases(*counts, task="Do " + "x" * length))
    run = fold(events[: max(1, round(place * len(events)))])
    assert size(listed(run)) <= LIST_BYTES
