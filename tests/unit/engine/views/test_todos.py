"""The todo list and the text block, in the guide's forms."""

from __future__ import annotations

from engine.views.todos import Todo, TodoOptions, display, todos
from tests.support.by_hand import ByHand, calling, rollback
from tests.support.definitions import command, node, phase, review_code


def listed(story: ByHand, options: TodoOptions | None = None) -> list[Todo]:
    """The todo list."""
    return todos(story.run, story.now, {}, options)


def shown(story: ByHand, options: TodoOptions | None = None) -> list[str]:
    """The text block, by lines."""
    return display(story.run, story.now, {}, options).splitlines()


def test_a_run_is_shown_by_phase_with_icons_and_times() -> None:
    story = ByHand(review_code())
    story.wait(minutes=4)
    assert shown(story) == [
        "Phase 1: Analysis",
        "  ⚙️ Do analyzer... (in progress, ~1 min remaining)",
        "",
        "Phase 2: Reviews (waiting for analysis)",
        "  ⏳ Do quality-review",
        "  ⏳ Do security-review",
        "",
        "Phase 3: Reporting (waiting for reviews)",
        "  ⏳ Do report-generator",
    ]
    story.wait(minutes=2)
    assert "  ⚙️ Do analyzer... (in progress, longer than estimated)" in shown(story)
    story.succeed("analyzer")
    assert shown(story, TodoOptions(grouping=False))[0] == "✅ Do analyzer (completed in 6.0 min)"


def test_a_todo_has_the_task_and_its_gerund() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))))
    assert listed(story) == [
        Todo("Do a", "in_progress", "Do a..."),
        Todo("Do b (waiting for a)", "pending", "Do b..."),
    ]
    story.succeed("a")
    assert listed(story)[0] == Todo("Do a (completed in 0.0s)", "completed", "Do a...")


def test_what_was_at_work_when_its_run_was_interrupted_waits_for_a_resume() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))))
    story.crash()
    text = "Do a (interrupted; resume continues it)"
    assert listed(story)[0] == Todo(text, "pending", "Do a...")
    assert shown(story)[1] == f"  ⏸️ {text}"
    story.resume()
    assert listed(story)[0].status == "in_progress"


def test_what_was_being_undone_when_its_run_was_interrupted_waits_for_a_resume_too() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback())), phase("q", node("b"))))
    story.succeed("a")
    story.fail("b")
    story.crash()
    assert listed(story)[0].content == "Do a (interrupted; resume continues it)"


def test_a_failure_is_in_progress_while_the_run_lives_and_completed_after() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), continueOnError=True)))
    story.fail("a")
    failed = "Failed: Do a: a broke"
    assert listed(story)[0] == Todo(failed, "in_progress", failed)
    story.succeed("b")
    assert listed(story)[0] == Todo("❌ Do a (failed: a broke)", "completed", "❌ Do a (failed: a broke)")


def test_skipped_cancelled_and_undone_nodes_say_so() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "not needed"}
    story = ByHand(
        command(
            phase("p", node("a", compensation=rollback()), node("skipped", skipCondition=skip)),
            phase("q", node("b", "a", compensation=rollback()), node("c", "b"), node("never", "c")),
        )
    )
    story.succeed("a")
    story.succeed("b")
    story.fail("c")
    undoing = {todo.content: todo for todo in listed(story)}
    assert undoing["Do b (rolling back...)"].active_form == "Rolling back: Do b..."
    story.fail("b")
    story.succeed("a")
    contents = [todo.content for todo in listed(story)]
    assert contents == [
        "↩️ Do a (rolled back)",
        "⏭️ Do skipped (not needed)",
        "❌ Do b (rollback failed)",
        "❌ Do c (failed: c broke)",
        "⏹️ Do never (not started)",
    ]


def test_a_second_attempt_is_named() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy={"maxAttempts": 1, "strategy": "immediate"}))))
    story.fail("a")
    assert shown(story)[1] == "  ⚙️ Do a... (in progress, attempt 2, ~1 min remaining)"


def test_phases_of_large_commands_that_have_not_opened_are_one_line_each() -> None:
    raw = command(
        phase("p", *(node(f"n{place}") for place in range(10))), phase("q", node("z")), phase("r", node("y"), node("x"))
    )
    story = ByHand(raw)
    assert listed(story)[10:] == [
        Todo("Phase 2: Q (1 task, waiting for p)", "pending", "Phase 2: Q (1 task, waiting for p)"),
        Todo("Phase 3: R (2 tasks, waiting for q)", "pending", "Phase 3: R (2 tasks, waiting for q)"),
    ]
    assert shown(story)[-1] == "Phase 3: R (2 tasks, waiting for q)"
    assert len(listed(story, TodoOptions(batch_size=50))) == 13
    story.cancel()
    for name in story.live():
        story.stopped(name)
    assert len(listed(story)) == 13


def test_nodes_of_a_sub_command_follow_under_the_number_of_its_phase() -> None:
    sub = command(phase("s", node("x")), name="/sub")
    story = ByHand(command(phase("p", node("a"), calling("g", "/sub", "a")), phase("q", node("b"))), sub)
    headings = [line for line in shown(story) if line.startswith("Phase")]
    assert headings == ["Phase 1: P", "Phase 1: S", "Phase 2: Q (waiting for p)"]
    assert len(listed(story, TodoOptions(batch_size=2))) == 4


def test_a_failure_without_words_is_unknown_and_arguments_are_filled_in() -> None:
    raw = command(phase("p", {**node("a"), "task": "Review $ARGUMENTS\nwell"}))
    story = ByHand(raw)
    assert listed(story)[0].content == "Review well"
    story.fail("a")
    failure = story.node("a").failure
    assert failure is not None
    story.node("a").failure = type(failure)(failure.kind, failure.code, "")
    assert listed(story)[0].content == "❌ Review well (failed: unknown)"


def test_long_tasks_and_reasons_are_cut_and_a_secret_across_the_cut_is_still_masked() -> None:
    task = "Read " + "x" * 100 + " with password=hunter22hunter22 and go on" * 3
    story = ByHand(command(phase("p", node("a", task=task), node("b"), continueOnError=True)))
    [todo, _] = listed(story)
    assert len(todo.content) == 120
    assert todo.content.endswith("…")
    assert "hunter" not in todo.content
    story.fail("a")
    failure = story.node("a").failure
    assert failure is not None
    story.node("a").failure = type(failure)(failure.kind, failure.code, "broken " * 1000)
    assert len(listed(story)[0].content) < 300


def test_nodes_with_equal_tasks_are_told_apart_by_their_ids() -> None:
    long = "Check " + "every part of it " * 20
    story = ByHand(
        command(
            phase(
                "work",
                node("check-left", task="Check it"),
                node("check-right", task="Check it"),
                node("long-left", task=f"{long} left"),
                node("long-right", task=f"{long} right"),
                node("alone", task="Check it all"),
            )
        )
    )
    left, right, *long_ones, alone = listed(story)
    assert [left.content, right.content] == ["Check it (check-left)", "Check it (check-right)"]
    assert (left.active_form, alone.content) == ("Checking it (check-left)...", "Check it all")
    assert [todo.content.rpartition(" ")[2] for todo in long_ones] == ["(long-left)", "(long-right)"]
    assert "⚙️ Checking it (check-left)... (in progress" in "\n".join(shown(story))


def test_the_nodes_of_a_sub_command_that_is_called_twice_are_told_apart() -> None:
    inner = command(phase("inner", node("build", task="Build it")), name="/inner")
    calls = [node(name, agent="command", task=f"/inner {name}") for name in ("first-call", "second-call")]
    story = ByHand(command(phase("work", *calls)), inner)
    found = [todo.content for todo in listed(story)]
    assert "Build it (first-call/build)" in found
    assert "Build it (second-call/build)" in found
