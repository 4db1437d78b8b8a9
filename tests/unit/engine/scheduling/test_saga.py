"""What is undone, in which order, and how undoing itself may end."""

from __future__ import annotations

import pytest

from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.scheduling.saga import locks_to_undo, not_undone
from tests.support.by_hand import ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase

CANCELLED = Failure(FailureKind.CANCEL, "CANCELLED", "cancelled")
SUB = command(phase("s", node("x", compensation=rollback()), node("y", "x", compensation=rollback())), name="/sub")


def two(**fields: object) -> ByHand:
    """`a` and then `b`, both to be undone, before `c`."""
    story = ByHand(
        command(
            phase("p", node("a", compensation=rollback(**fields)), node("b", "a", compensation=rollback())),
            phase("q", node("c")),
        )
    )
    story.succeed("a")
    story.succeed("b")
    return story


def test_what_started_last_is_undone_first_and_one_at_a_time() -> None:
    story = two()
    story.fail("c")
    assert story.live() == ["b"]
    story.succeed("b")
    assert story.live() == ["a"]
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED
    assert story.run.message == 'Node "c" failed: c broke'


def test_what_does_not_answer_to_the_kind_of_the_failure_is_left_alone() -> None:
    story = two(compensateOn=["timeout"])
    story.fail("c")
    story.succeed("b")
    assert story.undone() == ["b"]
    assert story.run.status is RunStatus.COMPENSATED


@pytest.mark.parametrize("tolerant", [True, False])
def test_a_node_whose_agent_never_began_is_not_undone(*, tolerant: bool) -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()), continueOnError=tolerant)))
    story.fail("a", begun=False)
    assert story.live() == []
    assert story.run.status is (RunStatus.DEGRADED if tolerant else RunStatus.FAILED)


def test_a_node_is_undone_if_one_of_its_attempts_began() -> None:
    again = {"maxAttempts": 1, "strategy": "immediate"}
    story = ByHand(command(phase("p", node("a", compensation=rollback(), retryPolicy=again))))
    story.fail("a")
    story.fail("a", begun=False)
    assert story.run.stop is not None
    assert story.live() == ["a"]


def test_an_attempt_of_before_a_retry_of_the_run_is_not_undone_with_one_that_never_began() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback(compensateOn=["timeout"])))))
    story.fail("a")
    story.wait(seconds=1)
    story.resume(failed=True)
    story.fail("a", FailureKind.TIMEOUT, begun=False)
    assert story.run.status is RunStatus.FAILED


@pytest.mark.parametrize("begun", [True, False])
def test_a_group_is_undone_only_if_an_agent_inside_it_began(*, begun: bool) -> None:
    group = calling("deploy", "/sub", compensation=rollback(agentId="worker"))
    story = ByHand(command(phase("p", group, continueOnError=True)), SUB)
    story.fail("deploy/x", begun=begun)
    while story.live():
        for name in story.live():
            story.succeed(name)
    assert story.undone() == (["deploy/x", "deploy"] if begun else [])


def test_what_never_began_is_not_named_as_left_by_a_cancel() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()), node("b", compensation=rollback()))))
    story.cancel(compensate=False)
    story.send(sig.ReportOutcome(NodeId("a"), 1, {}, CANCELLED, begun=False))
    story.stopped("b")
    assert story.run.message.endswith("(not undone: b)")


def test_a_run_with_nothing_to_undo_has_failed() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.fail("a")
    assert story.run.status is RunStatus.FAILED


def test_a_failed_compensation_is_told_with_both_errors_and_the_others_still_run() -> None:
    story = two()
    story.fail("c")
    story.fail("b", code="NO_BACKUP")
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATION_FAILED
    assert story.run.message == 'Compensation failed for node "b"\nOriginal error: c broke\nCompensation error: b broke'


def test_a_failed_compensation_after_a_cancel_names_the_cancel() -> None:
    story = two()
    story.cancel()
    story.stopped("c")
    story.fail("b")
    story.succeed("a")
    assert "Original error: cancelled: enough" in story.run.message


def test_a_compensation_waits_for_the_locks_of_its_node_and_keeps_them_while_it_runs() -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db"), compensation=rollback()), node("b", "a"))))
    story.grant("a")
    story.succeed("a")
    story.fail("b")
    assert (story.status("a"), story.live()) == ("completed", [])
    story.grant("a")
    assert (story.status("a"), story.live()) == ("compensating", ["a"])


def test_a_compensation_that_does_not_get_its_locks_has_failed() -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db"), compensation=rollback()), node("b", "a"))))
    story.grant("a")
    story.succeed("a")
    story.fail("b")
    story.refuse("a")
    assert story.run.status is RunStatus.COMPENSATION_FAILED
    assert "waited too long" in story.run.message


def test_a_compensation_is_retried_by_the_policy_of_its_node() -> None:
    retry = {"maxAttempts": 1, "initialDelay": 1000}
    story = ByHand(command(phase("p", node("a", retryPolicy=retry, compensation=rollback()), node("b", "a"))))
    story.succeed("a")
    story.fail("b")
    story.fail("a")
    assert story.live() == []
    story.wait(seconds=1)
    assert story.live() == ["a"]
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED


def test_a_compensation_that_is_retried_at_once_is_so_in_the_same_turn() -> None:
    retry = {"maxAttempts": 1, "strategy": "immediate"}
    story = ByHand(command(phase("p", node("a", retryPolicy=retry, compensation=rollback()), node("b", "a"))))
    story.succeed("a")
    story.fail("b")
    story.fail("a")
    assert story.live() == ["a"]


def test_a_node_that_waited_for_its_retry_when_the_run_stopped_is_undone() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy={"maxAttempts": 1}, compensation=rollback()), node("b"))))
    story.fail("a")
    story.fail("b")
    assert story.undone() == ["a"]


def test_a_node_that_never_started_is_not_undone() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a", compensation=rollback()))))
    story.fail("a")
    assert story.run.status is RunStatus.FAILED
    assert story.status("b") == "cancelled"


def test_a_node_whose_lost_attempt_was_skipped_by_a_person_is_undone() -> None:
    story = ByHand(command(phase("p", node("a", idempotent=False, compensation=rollback()), node("b", "a"))))
    story.crash()
    story.resume()
    story.answer("a", "skip")
    story.fail("b")
    assert story.undone() == ["a"]
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED


def test_a_cascade_undoes_what_comes_after_its_target_only() -> None:
    cascade = {"type": "cascade", "rollbackTo": "a"}
    story = ByHand(
        command(
            phase("p", node("a", compensation=rollback()), node("side", compensation=rollback())),
            phase("q", node("b", "a", compensation=rollback()), calling("g", "/sub", "a"), barrier=False),
            phase("r", node("c", "b", "g", compensation=cascade), continueOnError=True),
            phase("t", node("late")),
        ),
        SUB,
    )
    for name in ("a", "b", "side", "g/x", "g/y"):
        story.succeed(name)
    story.fail("c", FailureKind.VALIDATION)
    for name in ("g/y", "b", "g/x"):
        story.succeed(name)
    assert story.undone() == ["g/y", "b", "g/x"]
    assert story.run.status is RunStatus.COMPENSATED


def test_a_cascade_behind_a_barrier_reaches_the_whole_later_phase() -> None:
    cascade = {"type": "cascade", "rollbackTo": "a"}
    story = ByHand(
        command(
            phase("p", node("a")),
            phase("q", node("b", compensation=rollback()), node("c", "b", compensation=cascade)),
        )
    )
    story.succeed("a")
    story.succeed("b")
    story.fail("c")
    assert story.undone() == ["b"]


def test_a_cancel_without_compensation_says_what_is_not_undone() -> None:
    story = two()
    story.cancel(compensate=False)
    story.stopped("c")
    assert story.run.status is RunStatus.CANCELLED
    assert story.run.message == "cancelled: enough (not undone: a, b)"
    assert not_undone(story.run) == ["a", "b"]


def test_what_has_never_started_is_not_said_to_be_not_undone() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()), node("b", "a", compensation=rollback()))))
    story.cancel(compensate=False)
    story.stopped("a")
    assert story.run.message == "cancelled: enough (not undone: a)"


def test_a_cancel_without_compensation_says_so_beside_the_undoing_that_failed() -> None:
    story = two()
    story.fail("c")
    story.cancel(compensate=False)
    story.fail("b")
    assert story.run.status is RunStatus.COMPENSATION_FAILED
    assert story.run.message.startswith('Compensation failed for node "b"')
    assert story.run.message.endswith("(not undone: a, b)")


def test_a_cancel_without_compensation_lets_the_live_compensation_end_and_begins_no_other() -> None:
    story = two()
    story.fail("c")
    story.cancel(compensate=False)
    story.succeed("b")
    assert story.undone() == ["b"]
    assert story.run.message == "cancelled: enough (not undone: a)"


def test_a_cancel_without_compensation_when_all_is_undone_says_nothing_more() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.cancel(compensate=False)
    story.stopped("a")
    assert story.run.message == "cancelled: enough"


@pytest.mark.parametrize("policy", [{}, {"continueOnError": True}])
def test_giving_up_a_compensation_that_waits_for_its_next_try_has_failed_it(policy: dict[str, object]) -> None:
    retry = {"maxAttempts": 1, "initialDelay": 1000, "retryableErrors": ["NO_BACKUP"]}
    story = ByHand(command(phase("p", node("a", retryPolicy=retry, compensation=rollback()), node("b"), **policy)))
    story.fail("a")
    if not policy:
        story.stopped("b")
    story.fail("a", code="NO_BACKUP")
    story.cancel(compensate=False)
    if policy:
        story.stopped("b")
    assert story.run.status is RunStatus.COMPENSATION_FAILED
    assert story.status("a") == "compensation_failed"


def test_a_compensation_that_asks_for_its_locks_takes_no_slot_from_the_work_of_others() -> None:
    done = node("x", resources=locks("db"), compensation=rollback(), priority=1)
    sub = command(phase("s", done, node("y", "x", priority=1)), name="/sub")
    raw = command(phase("p", calling("g", "/sub"), node("beside"), continueOnError=True))
    story = ByHand(raw, sub, limits=ev.Limits(max_parallelism=1))
    story.grant("g/x")
    story.succeed("g/x")
    story.fail("g/y")
    assert (story.status("g/x"), story.live()) == ("completed", ["beside"])
    story.queue("g/x")
    assert story.run.next_due() is not None
    story.grant("g/x")
    assert story.live() == ["g/x", "beside"]


def test_a_retried_sub_command_is_undone_for_what_it_kept_deep_inside() -> None:
    deep = command(phase("s", node("x"), node("y"), continueOnError=True), name="/deep")
    sub = command(phase("s", calling("d", "/deep", resources=locks("db"))), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub", compensation=rollback(agentId="worker")))), sub, deep)
    story.grant("g/d")
    story.succeed("g/d/x")
    story.fail("g/d/y")
    assert story.state() == "degraded"
    story.resume(failed=True)
    assert (story.status("g"), story.status("g/d")) == ("running", "waiting")
    story.cancel()
    assert (story.undone(), story.status("g/d")) == (["g"], "cancelled")


def test_giving_up_a_compensation_that_waits_for_locks_leaves_the_node_as_it_is() -> None:
    story = ByHand(command(phase("p", node("a", resources=locks("db"), compensation=rollback()), node("b", "a"))))
    story.grant("a")
    story.succeed("a")
    story.fail("b")
    story.cancel(compensate=False)
    assert (story.run.status, story.status("a")) == (RunStatus.CANCELLED, "completed")


def test_a_second_cancel_changes_nothing_while_undoing() -> None:
    story = two()
    story.fail("c")
    assert story.cancel() == []
    story.succeed("b")
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED
    assert story.cancel() == []


def test_a_failed_node_undoes_itself_and_the_run_goes_on() -> None:
    story = ByHand(
        command(
            phase("p", node("a", compensation=rollback()), node("b", "a"), continueOnError=True), phase("q", node("c"))
        )
    )
    story.fail("a")
    assert story.live() == ["a"]
    story.succeed("a")
    story.succeed("b")
    story.succeed("c")
    assert story.run.status is RunStatus.DEGRADED
    assert story.status("a") == "compensated"


def test_a_run_that_stops_waits_for_the_node_that_undoes_itself() -> None:
    story = ByHand(
        command(
            phase(
                "p",
                node("a", compensation=rollback()),
                node("b", compensation={"type": "cascade"}),
                continueOnError=True,
            )
        )
    )
    story.fail("a")
    story.fail("b")
    assert story.live() == ["a"]
    story.succeed("a")
    assert story.run.status is RunStatus.FAILED
    assert story.undone() == ["a"]


def test_what_is_inside_a_sub_command_is_undone_before_the_sub_command() -> None:
    story = ByHand(
        command(phase("p", calling("g", "/sub", compensation={**rollback(), "agentId": "worker"}), node("last", "g"))),
        SUB,
    )
    for name in ("g/x", "g/y"):
        story.succeed(name)
    story.fail("last")
    for name in ("g/y", "g/x", "g"):
        story.succeed(name)
    assert story.undone() == ["g/y", "g/x", "g"]


def test_a_sub_command_taken_up_again_is_still_undone_after_what_is_inside_it() -> None:
    undo = {**rollback(), "agentId": "worker", "compensateOn": ["validation"]}
    inner = command(phase("s", node("x", compensation=undo), node("y", "x")), name="/inner")
    story = ByHand(command(phase("p", calling("g", "/inner", compensation=undo), node("last", "g"))), inner)
    story.succeed("g/x")
    story.fail("g/y")
    assert story.run.status is RunStatus.FAILED
    story.resume(failed=True)
    story.succeed("g/y")
    story.fail("last", FailureKind.VALIDATION)
    order = [event.order for event in story.events if isinstance(event, ev.SagaStarted)]
    assert order == [("g/x", "g")]


def test_undoing_waits_for_a_program_that_is_not_trusted_as_it_is_now() -> None:
    story = two()
    story.fail("c")
    story.fail("b", code="NOT_TRUSTED")
    assert (story.state(), story.live()) == ("interrupted", [])
    assert story.run.message == 'undoing node "b" needs your trust: b broke'
    story.resume()
    story.succeed("b")
    story.succeed("a")
    assert (story.state(), story.undone()) == ("compensated", ["b", "b", "a"])


def test_undoing_that_is_given_up_waits_for_nobodys_trust() -> None:
    story = two()
    story.fail("c")
    story.send(sig.RequestCancel("", compensate=False))
    story.fail("b", code="NOT_TRUSTED")
    assert story.state() == "compensation_failed"


def test_what_is_inside_a_sub_command_is_undone_with_the_locks_around_it() -> None:
    sub = command(phase("s", node("x", compensation=rollback(), resources=locks("x"))), name="/sub")
    raw = command(phase("p", calling("g", "/sub", resources=locks("g")), node("z", "g")))
    story = ByHand(raw, sub)
    story.grant("g")
    assert [lock.resource for lock in locks_to_undo(story.run, story.node("g/x"))] == ["x"]
    story.grant("g/x")
    story.succeed("g/x")
    assert story.live() == ["z"]
    story.fail("z")
    assert [lock.resource for lock in locks_to_undo(story.run, story.node("g/x"))] == ["x", "g"]
    assert story.live() == []
    story.grant("g/x")
    assert story.live() == ["g/x"]


def test_a_resumed_run_that_waits_for_its_own_locks_undoes_nothing_meanwhile() -> None:
    undone = node("a", compensation=rollback(), retryPolicy={"maxAttempts": 1, "initialDelay": 1000})
    story = ByHand(command(phase("p", undone, node("b"), continueOnError=True, timeout=300_000), resources=locks("db")))
    story.grant()
    story.fail("a")
    story.wait(seconds=1)
    story.fail("a")
    story.fail("a")
    story.crash()
    story.resume()
    story.wait(minutes=10)
    assert story.live() == []
    story.grant()
    assert story.live() == ["a"]


def test_the_retries_of_a_node_that_was_skipped_by_decision_are_not_missing_when_it_is_undone() -> None:
    once = {"maxAttempts": 1, "strategy": "immediate"}
    first = node("a", idempotent=False, compensation=rollback(), retryPolicy=once)
    story = ByHand(command(phase("p", first, node("b", "a"))))
    story.fail("a")
    story.crash()
    story.resume()
    story.answer("a", "skip")
    story.fail("b")
    story.fail("a")
    assert story.status("a") == "compensating"
    story.succeed("a")
    assert story.state() == "compensated"
