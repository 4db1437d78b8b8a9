"""The report for terminals, line by line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.ids import NodeId, attempt_id, session_id
from engine.model.agent import Agent
from engine.model.policy import Failure, FailureKind, Usage
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.reducer import fold
from engine.simulation import Simulated
from engine.views.metrics import CacheUse, metrics
from engine.views.report_html import html_report
from engine.views.report_text import text_report
from engine.views.timeline import timeline
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase, plan, review_code
from tests.support.runs import simulated

MINUTE = timedelta(minutes=1)
UNDO = {"type": "rollback", "task": "Undo it"}
RETRY = {"maxAttempts": 1, "initialDelay": 60_000}


def report(done: Simulated, cache: CacheUse | None = None) -> str:
    now = done.events[-1].at
    return text_report(done.run, metrics(done.run, now, cache), timeline(done.run, now))


def test_the_whole_report_of_a_run_that_went_well() -> None:
    done = simulated(review_code())
    done.run.executor = "native"
    shown = report(done, CacheUse(hits=9, misses=1))
    expected = """\
✅ /review-code completed in 20.0 min · 4/4 · run RUN

Total time:             20.0 min
Parallelism efficiency: 100% (20.0 min at best, 30.0 min of work)
Context cache hit rate: 90%
Retries:                0
Lock waits:             none

Phase          Time  Agents  At once  Success
Analysis    5.0 min       1        1     100%
Reviews    10.0 min       2        2     100%
Reporting   5.0 min       1        1     100%

Slowest agents        Time  Estimated  Attempts
quality-review    10.0 min     10 min         1
security-review   10.0 min     10 min         1
analyzer           5.0 min      5 min         1
report-generator   5.0 min      5 min         1

Timeline, 20.0 min (█ runs, · waits, ▒ rolls back, ✗ failed, * critical path)
Analysis
 * analyzer         ████████                        5.0 min of 5 min estimated
Reviews
 * quality-review          ████████████████         10.0 min of 10 min estimated
   security-review         ████████████████         10.0 min of 10 min estimated
Reporting
 * report-generator                        ████████ 5.0 min of 5 min estimated
"""
    assert shown == expected.replace("RUN", done.run.id)


def test_a_failed_run_shows_its_retries_waits_rollback_and_failures() -> None:
    raw = command(
        phase("one", node("a", compensation=UNDO)),
        phase("two", node("b", "a", retryPolicy=RETRY), node("c", "a", "b")),
        phase("three", node("d", "c")),
    )
    shown = report(simulated(raw, fail=("b=error/NO_DISK",)))
    assert "↩️ /test compensated in 4.0 min · 2/4 · 1 failed · simulated · run" in shown
    assert "Rolling back:           1.0 min" in shown
    assert " * a █████████                  ▒▒▒▒▒▒▒▒▒ 1.0 min of 1 min estimated" in shown
    assert " * b          ████·········████✗          1.0 min of 1 min estimated, 2 attempts" in shown
    assert "   d cancelled" in shown
    assert shown.endswith("Failures\n  b: NO_DISK: simulated failure of b\n")


def test_a_failure_shows_what_its_agent_said_last_and_where_the_whole_is_found() -> None:
    story = ByHand(command(phase("p", node("a"))), executor="claude")
    said = "\n".join(["the key is sk-ant-" + "a" * 40, *(f"line {number}" for number in range(20)), "", "\x1b[31mred"])
    failure = Failure(FailureKind.TIMEOUT, "TIMEOUT", "too slow", partial=said)
    story.send(sig.ReportOutcome(NodeId("a"), 1, {}, failure))
    shown = text_report(story.run, metrics(story.run, story.now), timeline(story.run, story.now))
    session = session_id(attempt_id(story.run.id, NodeId("a"), 1))
    tail = "".join(f"      line {number}\n" for number in range(13, 20))
    assert shown.endswith(f"    transcript: claude --resume {session}\n    last output:\n{tail}      [31mred\n")


def test_a_failure_in_a_worktree_names_no_transcript_for_it_is_found_nowhere_else() -> None:
    isolated = Agent(id="worker", isolation="worktree")
    story = ByHand(plan(command(phase("p", node("a"))), agents=(isolated,)), executor="claude")
    story.fail("a")
    assert "claude --resume" not in text_report(
        story.run, metrics(story.run, story.now), timeline(story.run, story.now)
    )


def test_a_live_run_is_told_as_one() -> None:
    done = simulated(review_code())
    now = done.events[0].at + 7 * MINUTE
    run = fold([event for event in done.events if event.at <= now])
    shown = text_report(run, metrics(run, now), timeline(run, now))
    assert shown.startswith("⚙️ /review-code running for 7.0 min")
    assert "report-generator pending" in shown


def test_a_skipped_node_says_why_and_a_simulated_run_that_it_is_one() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "nothing to do"}
    shown = report(simulated(command(phase("one", node("a", skipCondition=skip), node("b")))))
    assert "a skipped: nothing to do" in shown
    assert " · simulated · " in shown.splitlines()[0]


def test_lock_waits_tokens_and_cost_are_told_where_there_are_any() -> None:
    lock = {"locks": [{"resource": "database"}], "maxWaitTime": 600_000}
    done = simulated(command(phase("one", node("a", resources=lock), node("b", resources=lock))))
    for state in done.run.nodes.values():
        state.attempts[-1].usage = Usage(cost_usd=0.03, input_tokens=1200, output_tokens=None)
    shown = report(done)
    assert "Lock waits:             1, 1.0 min in total" in shown
    assert "Tokens:                 2,400 in, 0 out" in shown
    assert "Cost:                   $0.06" in shown
    for state in done.run.nodes.values():
        state.attempts[-1].usage = Usage(cost_usd=3.0)
    assert "Cost:                   $6.00" in report(done)
    assert "Tokens:" not in report(done)


def test_a_run_that_has_started_nothing_can_be_reported() -> None:
    done = simulated(review_code())
    run = fold(done.events[:1])
    shown = text_report(run, metrics(run, run.created_at), timeline(run, run.created_at))
    assert "Parallelism efficiency: - (0.0s at best, 0.0s of work)" in shown
    assert "Slowest agents" not in shown


def test_an_attempt_in_a_run_of_no_length_is_still_seen() -> None:
    done = simulated(review_code())
    place = next(at for at, event in enumerate(done.events) if isinstance(event, ev.AttemptScheduled))
    run = fold(done.events[: place + 1])
    shown = text_report(run, metrics(run, run.created_at), timeline(run, run.created_at))
    assert " * analyzer         █ " in shown


def test_hostile_names_stay_on_their_line_and_long_ones_are_cut() -> None:
    raw = command(phase("one", node("a" * 90)))
    raw["phases"][0]["name"] = "One\x1b[31m\nTwo \u202e"
    shown = report(simulated(raw))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "One [31m Two" in shown
    assert "a" * 31 + "…" in shown


def test_secrets_in_failures_are_masked_and_hints_told() -> None:
    done = simulated(command(phase("one", node("a"))), fail=("a=timeout",))
    shown = report(done)
    assert 'a: TIMEOUT: Node "a" timed out after' in shown
    assert "    hint: " in shown


def test_a_limit_that_is_used_up_is_told_with_what_helps() -> None:
    story = ByHand(command(phase("one", node("a"), node("b", "a"))), limits=ev.Limits(max_attempts_total=1))
    story.succeed("a")
    shown = text_report(story.run, metrics(story.run, story.now), timeline(story.run, story.now))
    assert "  the run: ATTEMPTS_EXHAUSTED: the run used its only allowed attempt\n    hint: Give it more" in shown
    assert shown.endswith("If it was rolled back, run it again.\n")
    page = html_report(story.run, metrics(story.run, story.now), timeline(story.run, story.now))
    assert "<strong>the run</strong> · ATTEMPTS_EXHAUSTED" in page


@pytest.mark.parametrize("name", ["a", "quality-review", "a-name-that-is-longer-than-the-others", "n" * 80])
def test_the_timeline_fits_a_terminal_of_80_columns(name: str) -> None:
    shown = report(simulated(command(phase("one", node(name, minutes=100)))))
    lines = shown.splitlines()[shown.splitlines().index("One") + 1 :]
    assert max(map(len, lines)) <= 80
    assert any("█" in line for line in lines)
