"""Todo lists as the guide's fifth tutorial shows them, stage by stage, and the forms of SPEC 10 that it leaves out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from engine.run import signals as sig
from engine.run.events import Limits
from engine.run.reducer import fold
from engine.run.state import Run
from engine.scheduling import decide
from engine.simulation import Scenario, Simulated, simulate
from engine.views.outlook import remaining
from engine.views.todos import Todo, TodoOptions, display, todos
from tests.support.definitions import command, node, phase, plan
from tests.support.runs import simulated

MINUTE = timedelta(minutes=1)
FLAT = TodoOptions(grouping=False)
RETRY = {"maxAttempts": 2, "strategy": "linear", "initialDelay": 60_000}
UNDO = {"type": "rollback", "task": "Undo it"}


def review() -> dict[str, Any]:
    """The command of the tutorial's second step."""
    return command(
        phase("analysis", node("analyzer", minutes=5, task="Analyze code structure"), parallel=False),
        phase(
            "reviews",
            node("quality-review", "analyzer", minutes=10, task="Review code quality"),
            node("security-review", "analyzer", minutes=10, task="Review security"),
        ),
        phase("reporting", node("report", "quality-review", minutes=5, task="Generate report")),
    )


def feature() -> dict[str, Any]:
    """The command of the tutorial's last example."""
    raw = command(
        phase("design", node("architect", minutes=10, task="Design system architecture")),
        phase(
            "implementation",
            node("backend", "architect", minutes=30, task="Implement backend services"),
            node("frontend", "architect", minutes=30, task="Implement frontend components"),
            node("database", "architect", minutes=15, task="Design database schema"),
        ),
        phase(
            "testing",
            node("unit-tests", "backend", minutes=15, task="Generate unit tests"),
            node("integration-tests", "backend", minutes=20, task="Generate integration tests"),
            node("e2e-tests", "unit-tests", "integration-tests", minutes=25, task="Generate e2e tests"),
        ),
        phase("review", node("reviewer", "e2e-tests", minutes=10, task="Review implementation")),
    )
    names = ("Architecture Design", "Parallel Implementation", "Parallel Testing", "Code Review")
    for part, name in zip(raw["phases"], names, strict=True):
        part["name"] = name
    return raw


def at(done: Simulated, minutes: float) -> tuple[Run, datetime]:
    """The run as it stood *minutes* after its start, and the time."""
    now = done.events[0].at + minutes * MINUTE
    return fold([event for event in done.events if event.at <= now]), now


def shown(done: Simulated, minutes: float, options: TodoOptions | None = None) -> str:
    run, now = at(done, minutes)
    return display(run, now, {}, options)


def listed(done: Simulated, minutes: float) -> list[Todo]:
    run, now = at(done, minutes)
    return todos(run, now, {})


def test_all_is_pending_before_anything_has_begun() -> None:
    done = simulated(review())
    run = fold(done.events[:1])
    assert display(run, run.created_at, {}, FLAT).splitlines() == [
        "⏳ Analyze code structure",
        "⏳ Review code quality",
        "⏳ Review security",
        "⏳ Generate report",
    ]
    assert todos(run, run.created_at, {})[1] == Todo("Review code quality", "pending", "Reviewing code quality...")


def test_after_the_analyzer_the_reviews_are_in_progress() -> None:
    assert shown(simulated(review()), 9, FLAT).splitlines() == [
        "✅ Analyze code structure (completed in 5.0 min)",
        "⚙️ Reviewing code quality... (in progress, ~6 min remaining)",
        "⚙️ Reviewing security... (in progress, ~6 min remaining)",
        "⏳ Generate report",
    ]


def test_after_the_reviews_the_report_is_in_progress() -> None:
    assert shown(simulated(review()), 18).splitlines() == [
        "Phase 1: Analysis",
        "  ✅ Analyze code structure (completed in 5.0 min)",
        "",
        "Phase 2: Reviews",
        "  ✅ Review code quality (completed in 10.0 min)",
        "  ✅ Review security (completed in 10.0 min)",
        "",
        "Phase 3: Reporting",
        "  ⚙️ Generating report... (in progress, ~2 min remaining)",
    ]


def test_at_the_end_all_is_completed() -> None:
    done = simulated(review())
    assert shown(done, 20, FLAT).splitlines()[-1] == "✅ Generate report (completed in 5.0 min)"
    assert {todo.status for todo in listed(done, 20)} == {"completed"}


def test_a_long_task_keeps_its_words() -> None:
    task = "Scan for vulnerabilities: SQL injection, XSS, authentication bypass, and exposed secrets"
    done = simulated(command(phase("one", node("a", task=task))))
    assert listed(done, 0.5)[0].active_form == (
        "Scanning for vulnerabilities: SQL injection, XSS, authentication bypass, and exposed secrets..."
    )


def test_phases_that_wait_say_for_which() -> None:
    assert (
        shown(simulated(feature()), 19)
        == """\
Phase 1: Architecture Design
  ✅ Design system architecture (completed in 10.0 min)

Phase 2: Parallel Implementation
  ⚙️ Implementing backend services... (in progress, ~21 min remaining)
  ⚙️ Implementing frontend components... (in progress, ~21 min remaining)
  ⚙️ Designing database schema... (in progress, ~6 min remaining)

Phase 3: Parallel Testing (waiting for implementation)
  ⏳ Generate unit tests
  ⏳ Generate integration tests
  ⏳ Generate e2e tests

Phase 4: Code Review (waiting for testing)
  ⏳ Review implementation"""
    )


def test_a_node_that_waits_says_for_what_is_left() -> None:
    testing, review_ = shown(simulated(feature()), 56).split("\n\n")[2:]
    assert testing.splitlines() == [
        "Phase 3: Parallel Testing",
        "  ✅ Generate unit tests (completed in 15.0 min)",
        "  ⚙️ Generating integration tests... (in progress, ~4 min remaining)",
        "  ⏳ Generate e2e tests (waiting for integration tests)",
    ]
    assert review_.splitlines() == ["Phase 4: Code Review (waiting for testing)", "  ⏳ Review implementation"]


def test_phases_of_a_long_command_are_folded_until_they_open() -> None:
    raw = command(
        phase("build-all", *(node(f"b{number}") for number in range(9))),
        phase("code-review", *(node(f"r{number}") for number in range(3))),
        phase("last", node("z")),
    )
    done = simulated(raw)
    assert shown(done, 0.5).split("\n\n")[1:] == [
        "Phase 2: Code-Review (3 tasks, waiting for build all)",
        "Phase 3: Last (1 task, waiting for code review)",
    ]
    todo = listed(done, 0.5)[9]
    assert (todo.content, todo.status) == ("Phase 2: Code-Review (3 tasks, waiting for build all)", "pending")
    assert len(listed(done, 0.5)) == 11
    assert len(listed(done, 1.5)) == 13


def test_a_failed_task_is_in_progress_while_the_run_lives_and_completed_once_it_has_ended() -> None:
    raw = command(
        phase("one", node("a", minutes=2, task="Review security"), node("b", minutes=9), continueOnError=True)
    )
    done = simulated(raw, fail=("a=error/NO_DISK",))
    live = listed(done, 2)[0]
    assert live == Todo(
        "Failed: Review security: simulated failure of a",
        "in_progress",
        "Failed: Review security: simulated failure of a",
    )
    over = listed(done, 9)[0]
    assert over.status == "completed"
    assert over.content == over.active_form == "❌ Review security (failed: simulated failure of a)"
    assert "❌ Review security (failed: simulated failure of a)" in shown(done, 2)


def test_a_skipped_task_is_completed_with_its_message() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "nothing to test"}
    done = simulated(command(phase("one", node("a", task="Run tests", skipCondition=skip), node("b"))))
    assert listed(done, 0.5)[0] == Todo("⏭️ Run tests (nothing to test)", "completed", "Running tests...")
    assert "  ⏭️ Run tests (nothing to test)" in shown(done, 0.5)


def test_a_task_that_is_tried_again_says_so() -> None:
    done = simulated(command(phase("one", node("a", task="Run tests", retryPolicy=RETRY))), fail=("a:1=error",))
    assert "⏳ Run tests (waiting for retry" in shown(done, 1)
    assert "⚙️ Running tests... (in progress, attempt 2, ~30s remaining)" in shown(done, 2)


def test_a_task_that_takes_longer_than_it_should_says_so() -> None:
    done = simulated(command(phase("one", node("a", task="Run tests"))), fail=("a=timeout",))
    assert "⚙️ Running tests... (in progress, longer than estimated)" in shown(done, 3)


def test_rolling_back_has_forms_of_its_own() -> None:
    raw = command(
        phase("one", node("a", task="Migrate data", compensation=UNDO)),
        phase("two", node("b", "a", minutes=2), node("c", "a", minutes=9)),
    )
    done = simulated(raw, fail=("b=error",))
    assert listed(done, 2.5)[0] == Todo(
        "Migrate data (rolling back...)", "in_progress", "Rolling back: Migrate data..."
    )
    assert "  ↩️ Migrate data (rolling back...)" in shown(done, 2.5)
    assert listed(done, 3)[0].content == "↩️ Migrate data (rolled back)"
    assert [todo.content for todo in listed(done, 3)][2] == "❌ Do c (cancelled)"
    broken = simulated(raw, fail=("b=error", "a:2=error/NO_BACKUP"))
    assert listed(broken, 2.5)[0].content.startswith("❌ Migrate data (rollback failed")


def test_a_run_that_was_interrupted_waits_for_nothing() -> None:
    run, now = at(simulated(review(), limits=Limits(max_parallelism=1)), 7)
    decide.decide(run, sig.Interrupt(), now)
    assert "⏳ Review security" in display(run, now, {}, FLAT).splitlines()


def test_the_phases_of_a_sub_command_share_the_number_of_the_phase_around_them() -> None:
    inner = command(phase("build", node("compile")), name="/inner")
    outer = command(phase("one", node("a")), phase("two", node("call", "a", agent="command", task="/inner")))
    done = simulate(plan(outer, inner), Scenario())
    headings = [line for line in shown(done, 2).splitlines() if line.startswith("Phase")]
    assert headings == ["Phase 1: One", "Phase 2: Two", "Phase 2: Build"]


def test_what_remains_is_the_longest_path_and_not_the_sum() -> None:
    done = simulated(feature())
    run, now = at(done, 19)
    assert remaining(run, now, {}) == (21 + 45 + 10) * MINUTE
    assert remaining(run, now, {"backend": 600.0, "frontend": 600.0}) == (6 + 45 + 10) * MINUTE
    ended, then = at(done, 95)
    assert remaining(ended, then, {}) == timedelta(0)
