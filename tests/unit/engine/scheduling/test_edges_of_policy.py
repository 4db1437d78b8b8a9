"""Edges of policy: what a decision looks at that makes a difference in one rare case alone."""

from __future__ import annotations

import pytest

from engine.errors import StateError
from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.scheduling.outcomes import timed_out
from engine.scheduling.readiness import needs_observations
from engine.scheduling.succession import before
from tests.support.by_hand import ByHand, calling, locks
from tests.support.definitions import command, node, phase

SKIPPED = {"type": "context", "expression": "1 < 2", "skipMessage": "not today"}
RETRY = {"maxAttempts": 1, "strategy": "immediate"}


def reads(*keys: str, **fields: object) -> dict[str, object]:
    return {"inputs": [{"key": key, **fields} for key in keys]}


def gives(*keys: str) -> dict[str, object]:
    return {"outputs": [{"key": key} for key in keys]}


def failure_of(story: ByHand, name: str) -> Failure:
    failure = story.node(name).failure
    assert failure is not None
    return failure


def test_a_value_that_nobody_gave_is_told_by_its_writer_though_it_would_be_transformed() -> None:
    writer = node("a", context=gives("k"), skipCondition=SKIPPED)
    story = ByHand(command(phase("p", writer, node("b", "a", context=reads("k", transform="$.x")))))
    assert 'Node "a", which writes "k", was skipped: not today' in failure_of(story, "b").message
    assert "transform" not in failure_of(story, "b").message


def test_of_nodes_that_write_a_missing_value_those_of_the_same_command_are_told() -> None:
    sub = command(phase("s", node("x", context=gives("k"), skipCondition=SKIPPED)), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub")), phase("q", node("b", context=reads("k")))), sub)
    assert story.status("g/x") == "skipped"
    assert "g/x" not in failure_of(story, "b").message


def test_each_try_sees_the_context_as_it_was_at_the_first() -> None:
    story = ByHand(command(phase("p", node("a", context=gives("k")), node("b", retryPolicy=RETRY))))
    first = story.node("b").version
    story.succeed("a", k=1)
    story.fail("b")
    assert story.live() == ["b"]
    assert story.node("b").version == first != story.run.version


def test_a_node_with_plain_inputs_is_judged_without_a_look_at_their_values() -> None:
    story = ByHand(
        command(
            phase(
                "p",
                node("a", context=reads("k", required=False)),
                node("b", context=reads("k", required=False, transform="$.x")),
            )
        )
    )
    assert [needs_observations(story.node(name)) for name in ("a", "b")] == [False, True]


def test_an_attempt_that_has_ended_meanwhile_is_not_ended_again() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))))
    story.succeed("a")
    assert story.send(sig.EndAttempt(NodeId("a"), 1, Failure(FailureKind.TIMEOUT, "IDLE_TIMEOUT", "silent"))) == []


def test_locks_that_are_refused_to_a_node_that_waits_for_something_else_change_nothing() -> None:
    retry = {"maxAttempts": 1, "strategy": "linear", "backoffMs": 5000}
    story = ByHand(command(phase("p", node("a", retryPolicy=retry))))
    story.fail("a")
    assert story.refuse("a") == []
    assert story.status("a") == "waiting"


def test_an_answer_comes_too_late_where_a_run_has_ended_and_too_early_where_it_is_to_be_resumed() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.crash()
    with pytest.raises(StateError) as early:
        story.answer("a", "yes")
    assert early.value.hint is not None
    assert "resume" in early.value.hint
    story.resume()
    story.answer("a", "fail") if story.status("a") == "waiting" else story.fail("a")
    with pytest.raises(StateError) as late:
        story.answer("a", "yes")
    assert late.value.hint is None


def test_who_says_no_has_not_approved_and_who_gives_a_lost_node_up_has_lost_it() -> None:
    story = ByHand(command(phase("p", node("a", approval={"message": "Deploy?"}))))
    story.answer("a", "no")
    assert (failure_of(story, "a").code, failure_of(story, "a").message) == (
        "NOT_APPROVED",
        'Node "a" was not approved',
    )
    story = ByHand(command(phase("p", node("a", idempotent=False))))
    story.crash()
    story.resume()
    story.answer("a", "fail")
    assert (failure_of(story, "a").code, failure_of(story, "a").message) == (
        "ATTEMPT_LOST",
        'Node "a" was lost in a crash',
    )


def test_a_failed_run_is_taken_up_only_by_who_says_so() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.fail("a")
    with pytest.raises(StateError) as caught:
        story.resume()
    assert caught.value.code == "NOT_RESUMABLE"
    assert story.resume(failed=True)


def test_a_rollback_target_is_for_the_failures_that_cascade() -> None:
    back = {"type": "cascade", "rollbackTo": "a", "compensateOn": ["timeout"]}
    story = ByHand(command(phase("p", node("a"), node("b", "a", compensation=back))))
    story.succeed("a")
    story.fail("b")
    assert story.run.stop is not None
    assert story.run.stop.rollback_to is None
    story = ByHand(command(phase("p", node("a"), node("b", "a", compensation=back))))
    story.succeed("a")
    story.fail("b", FailureKind.TIMEOUT)
    assert story.run.stop is not None
    assert story.run.stop.rollback_to == "a"


def test_a_sub_command_that_is_done_again_and_refused_its_locks_makes_no_attempt() -> None:
    sub = command(phase("s", node("x")), name="/sub")
    raw = command(phase("p", calling("g", "/sub", resources=locks("db")), continueOnError=True))
    story = ByHand(raw, sub)
    story.grant("g")
    story.fail("g/x")
    story.resume(failed=True)
    events = story.refuse("g")
    assert not any(isinstance(event, ev.AttemptScheduled) for event in events)
    assert story.status("g") == "failed"


def test_a_timeout_at_the_estimate_was_exceeded_by_nothing() -> None:
    story = ByHand(command(phase("p", node("a", timeout=60_000))))
    assert timed_out(story.node("a")).message.splitlines() == [
        'Node "a" timed out after 60000ms',
        "Estimated time was: 60000ms",
    ]


def test_nothing_is_before_a_phase_without_a_barrier() -> None:
    phases = phase("p", node("a")), phase("q", node("b"), barrier=False), phase("r", node("c"))
    story = ByHand(command(*phases))
    assert {name: list(before(story.run, story.node(name))) for name in "bc"} == {"b": [], "c": ["b"]}


def test_a_run_whose_journal_ends_at_a_failure_stops_for_it_when_it_is_resumed() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"))))
    story.fail("a")
    story.cut(story.kinds().index("NodeFailed") + 1)
    story.crash()
    assert "RunStopping" not in story.kinds()
    story.resume()
    assert "RunStopping" in story.kinds()
    assert story.state() == "failed"
