"""What must hold before an attempt exists, and when phases open."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind, Usage
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus, WaitReason
from engine.scheduling import decide
from engine.values.reading import value_of
from tests.support.by_hand import ByHand, calling, locks
from tests.support.definitions import command, node, phase


def test_a_phase_opens_when_the_one_before_has_ended() -> None:
    story = ByHand(command(phase("p", node("a"), node("b")), phase("q", node("c"))))
    story.succeed("a")
    assert story.live() == ["b"]
    story.succeed("b")
    assert story.live() == ["c"]


def test_a_phase_without_a_barrier_opens_at_once_and_its_nodes_wait_for_what_they_need() -> None:
    story = ByHand(command(phase("p", node("a"), node("b")), phase("q", node("c", "a"), node("d"), barrier=False)))
    assert story.live() == ["a", "b", "d"]
    story.succeed("a")
    assert story.live() == ["b", "c", "d"]


def test_a_phase_behind_one_without_a_barrier_waits_for_all_before_it() -> None:
    story = ByHand(command(phase("p", node("a")), phase("q", node("b"), barrier=False), phase("r", node("c"))))
    story.succeed("b")
    assert story.live() == ["a"]
    story.succeed("a")
    assert story.live() == ["c"]


@pytest.mark.parametrize("limits", [{"maxParallelism": 2}, {}])
def test_no_more_nodes_run_at_once_than_the_phase_and_the_run_allow(limits: dict[str, int]) -> None:
    run_limit = None if limits else 2
    raw = command(phase("p", *(node(f"n{place}") for place in range(4)), **limits))
    story = ByHand(raw, limits=ev.Limits(max_parallelism=run_limit))
    assert story.live() == ["n0", "n1"]
    story.succeed("n1")
    assert story.live() == ["n0", "n2"]


def test_a_node_whose_condition_holds_is_skipped_with_its_message() -> None:
    skip = {"type": "context", "expression": "mode == 'fast'", "skipMessage": "fast mode"}
    story = ByHand(command(phase("p", node("a", skipCondition=skip), node("b", "a"))), initial={"mode": "fast"})
    assert story.node("a").skip_message == "fast mode"
    assert story.live() == ["b"]


def test_a_node_without_a_skip_message_tells_its_condition() -> None:
    story = ByHand(command(phase("p", node("a", skipCondition={"type": "context", "expression": "1 < 2"}))))
    assert story.node("a").skip_message == "Skipped: 1 < 2"
    assert story.run.status is RunStatus.COMPLETED


def test_a_condition_that_does_not_hold_lets_the_node_run() -> None:
    story = ByHand(command(phase("p", node("a", skipCondition={"type": "context", "expression": "mode == 'fast'"}))))
    assert story.live() == ["a"]


def test_a_condition_that_cannot_be_evaluated_fails_the_node() -> None:
    deep = {"type": "context", "expression": "size(5) > 1"}
    story = ByHand(command(phase("p", node("a", skipCondition=deep))))
    assert story.status("a") == "failed"
    assert story.run.status is RunStatus.FAILED


def test_a_condition_about_a_file_looks_below_the_project(tmp_path: Path) -> None:
    (tmp_path / "done.txt").write_text("", encoding="utf-8")
    there = {"type": "file_exists", "expression": "done.txt"}
    outside = {"type": "file_exists", "expression": "../done.txt"}
    raw = command(phase("p", node("a", skipCondition=there), node("b", skipCondition=outside), continueOnError=True))
    story = ByHand(raw, project=tmp_path)
    assert [story.status(name) for name in ("a", "b")] == ["skipped", "failed"]
    failure = story.node("b").failure
    assert failure is not None
    assert failure.code == "PATH_OUTSIDE_PROJECT"


def test_a_missing_required_input_fails_the_node_before_it_starts_and_names_what_there_is() -> None:
    story = ByHand(command(phase("p", node("a", context={"inputs": [{"key": "design"}]}))), initial={"plan": 1})
    failure = story.node("a").failure
    assert failure is not None
    assert failure.code == "MISSING_INPUT"
    assert 'Available context keys: ["plan"]' in failure.message
    assert "AttemptScheduled" not in story.kinds()


def test_a_required_input_whose_transform_finds_nothing_is_missing() -> None:
    inputs = {"inputs": [{"key": "plan", "transform": "$.steps[0]"}]}
    assert ByHand(command(phase("p", node("a", context=inputs))), initial={"plan": {}}).status("a") == "failed"
    assert ByHand(command(phase("p", node("a", context=inputs))), initial={"plan": {"steps": [1]}}).live() == ["a"]


def test_a_required_input_of_a_failed_node_is_missing_for_those_that_go_on() -> None:
    gives = {"outputs": [{"key": "design"}]}
    story = ByHand(
        command(
            phase(
                "p",
                node("a", context=gives),
                node("b", "a", context={"inputs": [{"key": "design"}]}),
                continueOnError=True,
            )
        )
    )
    story.fail("a")
    assert story.run.message == "2 nodes failed: a, b"


def test_a_node_with_an_approval_waits_for_the_yes_of_a_person() -> None:
    story = ByHand(
        command(phase("p", node("a", approval={"message": "Deploy?"}), node("b"))), limits=ev.Limits(max_parallelism=1)
    )
    assert story.live() == ["b"]
    waiting = story.node("a").waiting
    assert waiting is not None
    assert (waiting.reason, waiting.detail) == (WaitReason.APPROVAL, "Deploy?")
    story.succeed("b")
    story.answer("a", "yes")
    assert story.live() == ["a"]


def test_a_node_that_is_not_approved_has_failed() -> None:
    story = ByHand(command(phase("p", node("a", approval={"message": "Deploy?"}))))
    story.answer("a", "no")
    assert story.run.status is RunStatus.FAILED
    assert "was not approved" in story.run.message


def test_a_node_with_a_breaker_asks_it_and_waits_for_the_time_it_names() -> None:
    story = ByHand(command(phase("p", node("a", circuitBreaker="api"))))
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=False, until=story.now.replace(minute=1)))
    assert story.live() == []
    story.wait(minutes=1)
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=False))
    story.wait(seconds=1)
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=True))
    assert story.live() == ["a"]
    assert story.send(sig.AnswerBreaker(NodeId("a"), admitted=True)) == []


def test_an_open_breaker_fails_the_node_that_does_not_wait() -> None:
    story = ByHand(command(phase("p", node("a", circuitBreaker="api"))))
    failure = Failure(FailureKind.ERROR, "CIRCUIT_OPEN", "open")
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=False, failure=failure))
    assert story.run.status is RunStatus.FAILED


def test_no_more_attempts_are_made_than_the_run_may_make() -> None:
    story = ByHand(
        command(phase("p", node("a"), node("b", "a"), node("c", "b"))), limits=ev.Limits(max_attempts_total=2)
    )
    story.succeed("a")
    story.succeed("b")
    assert story.run.message == "the run used all 2 allowed attempts"
    assert story.status("c") == "cancelled"


def test_what_runs_is_not_ended_because_the_attempts_of_the_run_are_used_up() -> None:
    four = command(phase("p", node("a"), node("b"), node("c"), node("d")))
    story = ByHand(four, limits=ev.Limits(max_attempts_total=2))
    assert story.live() == ["a", "b"]
    story.succeed("a")
    assert (story.live(), story.run.stop) == (["b"], None)
    story.succeed("b")
    assert story.state() == "failed"
    assert [story.status(name) for name in "abcd"] == ["completed", "completed", "cancelled", "cancelled"]
    story.resume(failed=True, limits=ev.Limits(max_attempts_total=4))
    story.succeed("c")
    story.succeed("d")
    assert story.state() == "completed"


def test_a_run_whose_last_attempts_are_within_its_limit_completes() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))), limits=ev.Limits(max_attempts_total=2))
    story.succeed("a")
    story.succeed("b")
    assert story.state() == "completed"


def test_a_retry_is_an_attempt_too() -> None:
    again = node("a", retryPolicy={"maxAttempts": 3, "initialDelay": 1000})
    story = ByHand(command(phase("p", again, node("b"))), limits=ev.Limits(max_attempts_total=2))
    story.fail("a")
    story.wait(minutes=1)
    assert (story.live(), story.run.stop) == (["b"], None)
    story.succeed("b")
    assert story.run.message == "the run used all 2 allowed attempts"
    assert (story.status("a"), story.status("b")) == ("cancelled", "completed")


def test_what_runs_is_not_ended_because_another_node_has_used_the_budget_up() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), node("c", "a"))), limits=ev.Limits(max_cost_usd=1.0))
    story.send(sig.ReportOutcome(NodeId("a"), 1, usage=Usage(cost_usd=1.5)))
    assert (story.live(), story.run.stop) == (["b"], None)
    story.send(sig.ReportOutcome(NodeId("b"), 1, usage=Usage(cost_usd=0.25)))
    assert story.run.message == "the run reached its budget of $1.00 ($1.75 spent)"
    assert (story.status("b"), story.status("c")) == ("completed", "cancelled")


def test_a_node_that_looks_at_facts_is_asked_for_them_once_what_runs_has_ended() -> None:
    skips = node("c", skipCondition={"type": "context", "expression": "missing == null", "message": "Nothing to do"})
    last = node("d", skipCondition={"type": "context", "expression": "missing == null", "message": "Nothing to do"})
    story = ByHand(command(phase("p", node("a"), node("b", "a"), skips, last)), limits=ev.Limits(max_attempts_total=2))
    story.succeed("a")
    story.succeed("b")
    assert story.state() == "completed"


def test_a_run_that_takes_too_long_is_stopped() -> None:
    story = ByHand(command(phase("p", node("a", minutes=9))), limits=ev.Limits(max_duration_seconds=60))
    story.wait(seconds=60)
    story.stopped("a")
    assert story.run.message == "the run reached its time limit of 60 s"


def test_a_run_that_has_used_its_budget_up_goes_on_with_a_higher_one_where_it_was() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))), limits=ev.Limits(max_cost_usd=1.0))
    story.send(sig.ReportOutcome(NodeId("a"), 1, usage=Usage(cost_usd=1.5)))
    assert story.state() == "failed"
    story.resume(failed=True)
    assert story.state() == "failed", "the limit is what it was"
    story.resume(failed=True, limits=ev.Limits(max_cost_usd=2.0))
    assert story.live() == ["b"]
    live = story.node("b").live
    assert live is not None
    assert live.budget == 0.5
    story.succeed("b")
    assert story.state() == "completed"
    assert len(story.node("a").attempts) == 1


@pytest.mark.parametrize(("seconds", "left"), [(300, 230), (30, 0), (None, 30)])
def test_a_longer_duration_counts_from_the_start_of_the_run(seconds: int | None, left: int) -> None:
    story = ByHand(command(phase("p", node("a", minutes=9))), limits=ev.Limits(max_duration_seconds=100))
    story.wait(seconds=70)
    story.crash()
    story.wait(hours=1)
    story.resume(limits=ev.Limits(max_duration_seconds=seconds))
    assert story.run.limits.max_duration_seconds == (seconds or 100)
    if left:
        story.wait(seconds=left - 1)
        assert story.run.stop is None
        story.wait(seconds=1)
    else:
        story.wait(seconds=0)
    assert story.run.stop is not None


def test_a_run_without_a_limit_may_get_one_when_it_goes_on() -> None:
    story = ByHand(command(phase("p", node("a", minutes=9))))
    story.crash()
    story.resume(limits=ev.Limits(max_duration_seconds=60, max_attempts_total=1))
    assert (story.run.limits.max_parallelism, story.run.limits.max_attempts_total) == (None, 1)
    assert story.run.message == "the run used its only allowed attempt"


SUB = command(
    phase("s", node("x", context={"inputs": [{"key": "given"}], "outputs": [{"key": "made"}]})),
    phase("t", node("y", context={"inputs": [{"key": "made"}]})),
    name="/sub",
    globalContext={"initial": {"given": "by default"}},
)


def test_a_sub_command_is_given_its_inputs_and_hands_its_outputs_out() -> None:
    inputs = [{"key": "given", "transform": "$.a"}, {"key": "other", "required": False, "default": 3}]
    raw = command(
        phase("p", calling("g", "/sub", context={"inputs": inputs, "outputs": [{"key": "made"}]})),
        phase("q", node("use", context={"inputs": [{"key": "made"}]})),
    )
    story = ByHand(raw, SUB, initial={"given": {"a": "by the caller"}})
    given = story.run.context["g/given"][-1]
    assert value_of(given.ref, story.values.get) == "by the caller"
    story.succeed("g/x", made=[1])
    assert "made" not in story.run.context
    story.succeed("g/y")
    assert value_of(story.run.context["made"][-1].ref, story.values.get) == [1]
    assert story.live() == ["use"]


def test_a_sub_command_with_passthrough_sees_all_keys() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub", context={"passthrough": True}))), SUB, initial={"deep": 1})
    assert "g/deep" in story.run.context


def test_a_sub_command_that_is_skipped_skips_all_inside() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "not today"}
    story = ByHand(command(phase("p", calling("g", "/sub", skipCondition=skip), node("after", "g"))), SUB)
    assert [story.status(name) for name in ("g", "g/x", "g/y")] == ["skipped"] * 3
    assert story.node("g/x").skip_message == "not today"
    story.succeed("after")
    assert story.run.status is RunStatus.COMPLETED


def test_a_sub_command_that_lacks_an_input_fails_without_running_anything() -> None:
    raw = command(phase("p", calling("g", "/sub", context={"inputs": [{"key": "nowhere"}]}), continueOnError=True))
    story = ByHand(raw, SUB)
    assert [story.status(name) for name in ("g", "g/x", "g/y")] == ["failed", "cancelled", "cancelled"]
    assert story.run.status is RunStatus.DEGRADED


def test_a_sub_command_waits_for_its_locks_before_anything_inside_starts() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub", resources=locks("db"), approval={"message": "?"}))), SUB)
    story.answer("g", "yes")
    assert story.live() == []
    story.grant("g")
    assert story.live() == ["g/x"]


def test_a_sub_command_taken_up_after_a_crash_has_its_locks_before_anything_inside_goes_on() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub", resources=locks("db")))), SUB)
    story.grant("g")
    story.succeed("g/x", made=1)
    story.crash()
    story.resume()
    assert story.live() == []
    story.grant("g")
    assert story.live() == ["g/y"]
    story.succeed("g/y")
    assert story.run.status is RunStatus.COMPLETED


def test_a_sub_command_that_has_begun_is_not_judged_again_after_a_crash() -> None:
    skip = {"type": "context", "expression": "done == true"}
    given = {"inputs": [{"key": "done"}]}
    gives = {"outputs": [{"key": "done"}]}
    group = calling("g", "/sub", skipCondition=skip, context=given)
    story = ByHand(
        command(phase("p", group, node("b", context=gives), parallel=True)),
        SUB,
        initial={"done": False},
    )
    story.succeed("g/x", made=1)
    story.succeed("b", done=True)
    story.crash()
    story.resume()
    assert story.live() == ["g/y"]
    story.succeed("g/y")
    assert story.run.status is RunStatus.COMPLETED
    begun = [event for event in story.events if isinstance(event, ev.AttemptScheduled) and event.node == "g"]
    assert [sorted(event.inputs) for event in begun] == [["done"], []]


def test_a_node_that_asks_for_nothing_starts_in_the_decision_that_frees_its_place() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))))
    step = decide.decide(story.run, sig.ReportOutcome(NodeId("a"), 1), story.now)
    assert step.wants is None
    assert [event.node for event in step.events if isinstance(event, ev.AttemptScheduled)] == ["b"]


def test_an_input_that_is_not_required_may_be_missing() -> None:
    story = ByHand(command(phase("p", node("a", context={"inputs": [{"key": "nowhere", "required": False}]}))))
    assert story.live() == ["a"]


def test_an_input_that_is_there_is_not_missing_beside_one_that_is_transformed() -> None:
    inputs = [{"key": "plain"}, {"key": "deep", "transform": "$.inside"}]
    given = {"plain": 1, "deep": {"inside": 2}}
    assert ByHand(command(phase("p", node("a", context={"inputs": inputs}))), initial=given).live() == ["a"]


def test_sub_commands_may_be_inside_each_other() -> None:
    outer = command(phase("o", calling("inner", "/sub"), node("z", "inner")), name="/outer")
    story = ByHand(command(phase("p", calling("g", "/outer"))), outer, SUB)
    story.succeed("g/inner/x", made=1)
    story.succeed("g/inner/y")
    story.succeed("g/z")
    assert story.run.status is RunStatus.COMPLETED


def test_a_sub_command_takes_no_slot_of_the_run() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub"))), SUB, limits=ev.Limits(max_parallelism=1))
    assert story.live() == ["g/x"]


def test_a_transform_that_its_value_takes_too_far_fails_the_node() -> None:
    inputs = {"inputs": [{"key": "plan", "transform": "$..x"}]}
    story = ByHand(command(phase("p", node("a", context=inputs))), initial={"plan": [[0] * 1000 for _ in range(1000)]})
    failure = story.node("a").failure
    assert failure is not None
    assert "transform" in failure.message
