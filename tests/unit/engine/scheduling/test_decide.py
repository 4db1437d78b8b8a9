"""From a signal to its events: starting, cancelling, deciding, interrupting, resuming, taking up again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import StateError
from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.run.lookup import parts_at
from engine.values.reading import value_of
from tests.support.by_hand import HEIR, ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase

SUB = command(phase("s", node("x"), node("y", "x"), continueOnError=True), name="/sub")


def test_a_run_with_locks_of_its_own_starts_when_it_has_them() -> None:
    story = ByHand(command(phase("p", node("a")), resources=locks("db")))
    assert (story.run.status, story.live()) == (RunStatus.PENDING, [])
    story.grant()
    assert (story.run.status, story.live()) == (RunStatus.RUNNING, ["a"])
    assert story.grant() == []


def test_a_run_that_does_not_get_its_locks_has_failed() -> None:
    story = ByHand(command(phase("p", node("a")), resources=locks("db")))
    story.refuse()
    assert (story.run.status, story.run.message) == (RunStatus.FAILED, "waited too long")
    assert story.status("a") == "cancelled"
    assert story.refuse() == []


def test_a_run_cancelled_while_it_waits_for_its_locks_is_over() -> None:
    story = ByHand(command(phase("p", node("a")), resources=locks("db")))
    story.cancel()
    assert (story.run.status, story.status("a")) == (RunStatus.CANCELLED, "cancelled")


def held() -> ByHand:
    """A run with locks of its own and something to undo, taken up after a crash."""
    story = ByHand(command(phase("p", node("a", compensation=rollback()), node("b", "a")), resources=locks("db")))
    story.grant()
    story.succeed("a")
    story.crash()
    story.resume()
    assert story.state() == "pending"
    return story


def test_a_resumed_run_that_is_cancelled_undoes_its_work_once_it_has_its_locks() -> None:
    story = held()
    story.cancel()
    assert story.undone() == []
    story.grant()
    assert story.undone() == ["a"]
    story.succeed("a")
    assert story.state() == "cancelled"


def test_a_resumed_run_that_is_cancelled_without_compensation_is_over_at_once() -> None:
    story = held()
    story.cancel(compensate=False)
    assert (story.run.status, story.run.message) == (RunStatus.CANCELLED, "cancelled: enough (not undone: a)")


def test_a_resumed_run_that_does_not_get_its_locks_is_interrupted_again_and_says_why() -> None:
    story = held()
    story.refuse()
    assert story.state() == "interrupted"
    assert "waited too long" in story.run.message
    story.resume()
    story.grant()
    assert (story.live(), story.run.message) == (["b"], "")


def test_a_run_interrupted_while_it_waits_to_go_on_undoing_goes_on_undoing() -> None:
    story = held()
    story.grant()
    story.fail("b")
    for _ in range(2):
        story.crash()
        story.resume()
    story.grant()
    story.succeed("a")
    assert story.state() == "compensated"


def test_a_grant_or_refusal_that_nobody_waits_for_is_passed_over() -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db")))))
    story.grant("a")
    assert story.grant("a") == []
    assert story.refuse("a") == []


def test_a_node_that_does_not_get_its_locks_has_failed() -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db")))))
    story.refuse("a")
    assert story.state() == "failed"


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", approval={"message": "?"}))))
    for name in ("a", "nobody"):
        with pytest.raises(StateError) as caught:
            story.answer(name, "yes")
        assert caught.value.code == "NO_DECISION_PENDING"
    with pytest.raises(StateError) as caught:
        story.answer("b", "maybe")
    assert (caught.value.code, caught.value.hint) == ("INVALID_ANSWER", "Answer with one of: yes, no.")


def test_an_interrupt_of_a_run_that_has_ended_changes_nothing() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.succeed("a")
    assert story.send(sig.Interrupt()) == []


def test_nothing_happens_to_an_interrupted_run_whoever_asks_or_answers() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", approval={"message": "?"}))))
    story.crash()
    events = len(story.events)
    for signal in (sig.ReportOutcome(NodeId("a"), 1), sig.RenewAttempt(NodeId("a"), 1), sig.Decide(NodeId("b"), "yes")):
        with pytest.raises(StateError):
            story.send(signal)
    late = Failure(FailureKind.TIMEOUT, "IDLE_TIMEOUT", "silent")
    for other in (sig.EndAttempt(NodeId("a"), 1, late), sig.GrantLocks(None), sig.RequestCancel(), sig.Tick()):
        assert story.send(other) == []
    assert len(story.events) == events
    story.resume()
    story.answer("b", "yes")
    assert story.live() == ["a", "b"]


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_that_is_complete_or_runs_cannot_be_resumed(*, failed: bool) -> None:
    story = ByHand(command(phase("p", node("a"))))
    for _ in range(2):
        with pytest.raises(StateError) as caught:
            story.resume(failed=failed)
        assert caught.value.code == "NOT_RESUMABLE"
        if not story.run.ended:
            story.succeed("a")


def test_a_tick_before_anything_is_due_and_a_stale_timer_change_nothing() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000), node("b", "a", minutes=30))))
    assert story.wait(minutes=1) == []
    story.succeed("a")
    assert story.wait(minutes=1) == []
    assert story.live() == ["b"]


def test_a_failed_run_is_taken_up_at_its_failed_nodes_and_completes() -> None:
    story = ByHand(command(phase("p", node("a"), node("b")), phase("q", node("c", "b"))))
    story.succeed("a")
    story.fail("b")
    assert story.state() == "failed"
    story.resume(failed=True)
    assert (story.live(), story.run.owner) == (["b"], HEIR)
    story.succeed("b")
    story.succeed("c")
    assert story.state() == "completed"
    assert [event.node for event in story.events if isinstance(event, ev.NodeReset)] == ["b", "c"]


def test_what_depends_on_a_failed_node_is_done_again_and_what_it_had_given_is_withdrawn() -> None:
    gives = {"outputs": [{"key": "k"}]}
    story = ByHand(command(phase("p", node("a"), node("b", "a", context=gives), node("c"), continueOnError=True)))
    story.fail("a")
    story.succeed("b", k=1)
    story.succeed("c")
    assert story.state() == "degraded"
    story.resume(failed=True)
    assert (story.live(), story.run.context["k"]) == (["a"], [])
    story.succeed("a")
    story.succeed("b", k=2)
    assert story.state() == "completed"
    assert [value_of(part.ref, story.values.get) for part in story.run.context["k"]] == [2]


def test_a_run_with_locks_of_its_own_is_taken_up_once_it_has_them() -> None:
    story = ByHand(command(phase("p", node("a")), resources=locks("db")))
    story.grant()
    story.fail("a")
    story.resume(failed=True)
    assert (story.run.status, story.live()) == (RunStatus.PENDING, [])
    story.grant()
    assert story.live() == ["a"]


def test_a_sub_command_is_taken_up_at_the_nodes_inside_that_failed() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub"), node("z", "g"))), SUB)
    story.fail("g/x")
    for name in ("g/y", "z"):
        story.succeed(name)
    assert story.state() == "degraded"
    story.resume(failed=True)
    for name in ("g/x", "g/y", "z"):
        story.succeed(name)
    assert story.state() == "completed"


def test_a_sub_command_that_depends_on_a_failed_node_is_done_again_as_a_whole() -> None:
    story = ByHand(command(phase("p", node("a"), calling("g", "/sub", "a"), continueOnError=True)), SUB)
    story.fail("a")
    for name in ("g/x", "g/y"):
        story.succeed(name)
    story.resume(failed=True)
    for name in ("a", "g/x", "g/y"):
        story.succeed(name)
    assert story.state() == "completed"


def test_a_phase_that_is_taken_up_again_has_its_whole_time_again_once_it_opens() -> None:
    story = ByHand(command(phase("p", node("a", minutes=30)), phase("q", node("b"), timeout=60_000)))
    story.succeed("a")
    story.fail("b")
    story.wait(minutes=2)
    story.resume(failed=True)
    assert story.live() == ["b"]
    story.wait(seconds=59)
    story.succeed("b")
    assert story.state() == "completed"


def test_a_run_that_was_cut_before_it_started_starts_when_it_is_resumed() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.cut(1)
    story.crash()
    story.resume()
    assert story.live() == ["a"]


def test_a_signal_about_a_breaker_that_nobody_asked_is_passed_over() -> None:
    story = ByHand(command(phase("p", node("a"))))
    assert story.send(sig.AnswerBreaker(NodeId("a"), admitted=True)) == []


def test_a_resumed_run_with_locks_of_its_own_keeps_what_is_left_of_its_time() -> None:
    limits = ev.Limits(max_duration_seconds=600)
    story = ByHand(command(phase("p", node("a", minutes=30)), resources=locks("db")), limits=limits)
    story.grant()
    story.wait(minutes=4)
    story.crash()
    story.wait(minutes=60)
    story.resume()
    story.grant()
    story.wait(minutes=5)
    assert story.run.stop is None
    story.wait(minutes=1)
    assert story.run.stop is not None


def test_a_failing_node_that_undoes_itself_is_waited_for_before_the_run_that_stops_goes_on() -> None:
    retry = {"maxAttempts": 1, "initialDelay": 1000, "retryableErrors": ["AGAIN"]}
    story = ByHand(
        command(
            phase(
                "p",
                node("a", compensation=rollback(), retryPolicy=retry),
                node("b", compensation={"type": "cascade"}),
                continueOnError=True,
            )
        )
    )
    story.fail("a")
    story.fail("a", code="AGAIN")
    story.fail("b")
    assert (story.live(), story.state()) == ([], "running")
    story.wait(seconds=1)
    story.succeed("a")
    assert story.state() == "failed"


def test_an_attempt_that_was_told_to_end_has_ended_when_its_owner_died() -> None:
    policy = {"maxAttempts": 1, "strategy": "immediate"}
    story = ByHand(command(phase("p", node("a", timeout=120_000, retryPolicy=policy))))
    story.wait(minutes=2)
    story.crash()
    story.resume()
    [first, second] = story.node("a").attempts
    assert not first.lost
    assert first.failure is not None
    assert first.failure.code == "TIMEOUT"
    assert second.ended_at is None


def test_nothing_starts_in_a_resumed_run_whose_time_was_over_when_it_was_interrupted() -> None:
    story = ByHand(command(phase("p", node("a", timeout=3_600_000))), limits=ev.Limits(max_duration_seconds=600))
    story.now += timedelta(minutes=11)  # the machine slept, and the owner ended before it looked at what is due
    story.crash()
    story.resume()
    assert len(story.node("a").attempts) == 1
    assert story.run.message.startswith("the run reached its time limit of 600 s")


def test_the_time_from_the_last_that_was_heard_of_a_dead_owner_counts_against_no_limit() -> None:
    limits = ev.Limits(max_duration_seconds=600)
    story = ByHand(command(phase("p", node("a", minutes=1), timeout=300_000)), limits=limits)
    story.now += timedelta(days=2)  # only then somebody looks
    story.send(sig.Interrupt(dead=True))
    story.resume()
    assert story.live() == ["a"]
    story.wait(seconds=299)
    assert story.live() == ["a"]
    story.wait(seconds=1)
    failure = story.node("a").attempts[-1].stopping
    assert failure is not None
    assert failure.code == "PHASE_TIMEOUT"


def test_the_timeout_of_a_phase_says_what_had_gone_wrong_before() -> None:
    retry = {"maxAttempts": 5, "strategy": "linear", "initialDelay": 60_000}
    story = ByHand(command(phase("p", node("a", retryPolicy=retry), node("b"), timeout=30_000)))
    story.fail("a", code="EXIT_3")
    story.wait(seconds=31)
    failure = story.node("a").failure
    assert failure is not None
    assert failure.code == "PHASE_TIMEOUT"
    assert "attempt 1 failed with EXIT_3" in failure.message
    assert failure.message.endswith("it was waiting to retry")
    other = story.node("b").attempts[-1].stopping
    assert other is not None
    assert other.code == "CANCELLED"


def test_a_sub_command_that_is_taken_up_again_hides_no_value_that_was_made_inside_it() -> None:
    made, read = {"outputs": [{"key": "k"}]}, {"inputs": [{"key": "k"}]}
    sub = command(phase("s", node("x", context=made), node("y", "x", context=read)), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub", context=read))), sub, initial={"k": "from around"})
    story.succeed("g/x", k="from inside")
    story.fail("g/y")
    story.resume(failed=True)
    assert story.live() == ["g/y"]
    [value] = parts_at(story.run, "g/k", story.run.version)
    assert value_of(value.ref, story.values.get) == "from inside"


def test_a_node_that_asks_its_breaker_does_not_wait_for_locks() -> None:
    story = ByHand(command(phase("p", node("a", circuitBreaker="api"))))
    assert story.node("a").asking
    assert story.send(sig.AwaitLocks(NodeId("a"), story.now + timedelta(minutes=1))) == []
