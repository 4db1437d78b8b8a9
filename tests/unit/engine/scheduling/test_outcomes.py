"""What follows from the end of an attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import StateError
from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import QUOTA_EXHAUSTED, Failure, FailureKind, Usage
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import RunStatus
from engine.scheduling.outcomes import MAX_QUOTA_WAIT
from tests.support.by_hand import ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase, plan

SUB = command(
    phase("s", node("x", compensation=rollback()), node("y", "x", compensation=rollback()), node("side")), name="/sub"
)


def test_a_report_of_an_attempt_that_has_ended_or_never_was_is_refused() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy={"maxAttempts": 1, "strategy": "immediate"}), node("b"))))
    story.fail("a")
    for name, number in (("a", 1), ("a", 3), ("nobody", 1)):
        with pytest.raises(StateError) as caught:
            story.send(sig.ReportOutcome(NodeId(name), number))
        assert caught.value.code == "STALE_ATTEMPT"


def test_a_report_after_the_end_of_the_run_is_refused() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.succeed("a")
    with pytest.raises(StateError, match="has already ended"):
        story.send(sig.ReportOutcome(NodeId("a"), 1))


def test_a_success_that_comes_after_the_timeout_does_not_count() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000))))
    story.wait(minutes=2)
    story.succeed("a")
    failure = story.node("a").failure
    assert failure is not None
    assert failure.code == "TIMEOUT"
    assert failure.message.splitlines()[1:] == ["Estimated time was: 60000ms", "Actual time exceeded by: 60000ms"]


def test_an_answer_that_was_there_before_the_timeout_counts() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000))))
    story.wait(minutes=2)
    story.send(sig.ReportOutcome(NodeId("a"), 1, in_time=True))
    assert story.node("a").failure is None
    assert story.status("a") == "completed"


def test_a_failure_that_was_there_before_the_timeout_is_told_as_the_timeout() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000))))
    story.wait(minutes=2)
    story.send(sig.ReportOutcome(NodeId("a"), 1, failure=Failure(FailureKind.ERROR, "X", "x"), in_time=True))
    failure = story.node("a").failure
    assert failure is not None
    assert failure.code == "TIMEOUT"


def test_what_an_attempt_left_is_told_with_what_ended_it() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000))))
    story.wait(minutes=2)
    late = Failure(FailureKind.CANCEL, "CANCELLED", "cancelled", hint="It is on a branch.", partial="half")
    story.send(sig.ReportOutcome(NodeId("a"), 1, failure=late))
    failure = story.node("a").failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.partial) == (FailureKind.TIMEOUT, "TIMEOUT", "half")
    assert (failure.hint or "").startswith("Raise `timeout`")
    assert (failure.hint or "").endswith(" It is on a branch.")


def test_an_agent_that_breaks_while_it_is_cancelled_has_been_cancelled_and_is_undone() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()), node("b"), parallel=True)))
    story.fail("b")
    story.fail("a", code="BROKE_DOWN")
    assert "NodeCancelled" in story.kinds()
    assert story.run.failures == ["b"]
    ended = next(event for event in story.events if isinstance(event, ev.AttemptFailed) and event.node == "a")
    assert ended.failure.kind is FailureKind.CANCEL
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED


def test_a_failure_that_a_cascade_does_not_answer_to_is_recorded_where_the_phase_goes_on() -> None:
    cascade = {"type": "cascade", "compensateOn": ["timeout"]}
    story = ByHand(command(phase("p", node("a", compensation=cascade), continueOnError=True), phase("q", node("b"))))
    story.fail("a")
    assert story.live() == ["b"]
    story.succeed("b")
    assert story.run.status is RunStatus.DEGRADED


def test_a_success_that_comes_after_a_cancel_counts_and_is_undone() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()))))
    story.cancel()
    story.succeed("a")
    assert story.undone() == ["a"]
    assert story.node("a").attempts[0].failure is None


def test_an_attempt_that_times_out_while_the_run_stops_has_failed_and_not_been_cancelled() -> None:
    story = ByHand(command(phase("p", node("a", timeout=120_000), node("b", minutes=10))))
    story.wait(minutes=2)
    story.fail("b")
    story.stopped("a")
    assert story.status("a") == "failed"
    assert story.run.status is RunStatus.FAILED


def test_compensation_of_type_retry_grants_one_more_try() -> None:
    story = ByHand(command(phase("p", node("a", compensation={"type": "retry"}))))
    story.fail("a")
    assert story.live() == ["a"]
    story.fail("a")
    assert story.run.status is RunStatus.FAILED


@pytest.mark.parametrize("codes", [("DOWN", "BUSY", "BUSY"), ("BUSY", "DOWN", "BUSY"), ("BUSY", "BUSY", "DOWN")])
def test_the_one_more_try_of_a_compensation_is_none_of_those_that_the_policy_grants(codes: tuple[str, ...]) -> None:
    policy = {"maxAttempts": 1, "strategy": "immediate", "retryableErrors": ["BUSY"]}
    story = ByHand(command(phase("p", node("a", retryPolicy=policy, compensation={"type": "retry"}))))
    for code in codes:
        assert story.live() == ["a"]
        story.fail("a", code=code)
    assert story.state() == "failed"


def test_a_phase_that_is_over_time_grants_no_more_tries() -> None:
    story = ByHand(command(phase("p", node("a", minutes=5, compensation={"type": "retry"}), timeout=60_000)))
    story.wait(minutes=1)
    story.stopped("a")
    assert story.run.status is RunStatus.FAILED
    assert story.node("a").attempts[-1].number == 1


def test_a_phase_that_is_over_time_fails_what_runs_and_what_waits_and_the_run_goes_on() -> None:
    story = ByHand(
        command(
            phase(
                "p",
                node("a"),
                node("b", "a"),
                node("ask", approval={"message": "?"}),
                timeout=60_000,
                continueOnError=True,
            ),
            phase("q", node("c")),
        )
    )
    story.wait(minutes=1)
    story.stopped("a")
    assert [story.status(name) for name in ("a", "b", "ask")] == ["failed"] * 3
    assert story.live() == ["c"]


def test_a_phase_that_is_over_time_stops_the_run_at_the_first_node_that_waits() -> None:
    story = ByHand(command(phase("p", node("ask", approval={"message": "?"}), node("b", minutes=9), timeout=60_000)))
    story.wait(minutes=1)
    assert story.status("ask") == "failed"
    story.stopped("b")
    assert (story.status("b"), story.run.status) == ("cancelled", RunStatus.FAILED)


def test_work_of_the_client_ends_at_once_when_it_is_over_time() -> None:
    agent = Agent(id="worker")
    story = ByHand(
        plan(command(phase("p", node("a", timeout=120_000, compensation=rollback()))), agents=(agent,)), executor="host"
    )
    story.wait(minutes=2)
    assert story.live() == ["a"]
    assert story.undone() == ["a"]
    story.wait(minutes=2)
    assert story.run.status is RunStatus.COMPENSATION_FAILED


def test_the_client_may_renew_its_own_work_and_nobody_elses() -> None:
    host = ByHand(command(phase("p", node("a", timeout=120_000))), executor="host")
    host.wait(minutes=1)
    host.send(sig.RenewAttempt(NodeId("a"), 1))
    host.wait(minutes=1, seconds=30)
    assert host.live() == ["a"]
    native = ByHand(command(phase("p", node("a"), calling("g", "/sub"))), SUB)
    assert native.send(sig.RenewAttempt(NodeId("a"), 1)) == []
    assert native.send(sig.RenewAttempt(NodeId("g"), 1)) == []


PROGRAM, MODEL = Agent(id="program", kind=AgentKind.PROCESS), Agent(id="model")
SLOW = {"timeout": 120_000}


def delegated(worker: str, undoer: str, **fields: object) -> ByHand:
    """A run that the client works for; its node is done and undone by a program or by the client."""
    undo = {**rollback(), "agentId": undoer}
    raw = command(phase("p", node("a", agent=worker, compensation=undo, **SLOW), **fields))
    return ByHand(plan(raw, agents=(PROGRAM, MODEL)), executor="host")


def test_the_client_undoes_what_a_program_did_and_its_time_ends_at_once() -> None:
    story = delegated("program", "model", continueOnError=True)
    story.fail("a")
    story.send(sig.RenewAttempt(NodeId("a"), 2))
    assert story.kinds()[-1] == "AttemptRenewed"
    story.wait(minutes=2)
    assert story.status("a") == "compensation_failed"
    assert story.run.ended


def test_a_program_that_undoes_what_the_client_did_has_ended_only_when_it_says_so() -> None:
    story = delegated("model", "program")
    story.fail("a")
    story.send(sig.RenewAttempt(NodeId("a"), 2))
    story.wait(minutes=2)
    assert story.live() == ["a"]
    story.stopped("a")
    assert story.status("a") == "compensation_failed"


@pytest.mark.parametrize(("undoer", "ends"), [("model", True), ("program", False)])
def test_undoing_a_sub_command_ends_as_undoing_a_node_does(undoer: str, *, ends: bool) -> None:
    sub = command(phase("s", node("x", agent="program")), name="/sub")
    raw = command(
        phase("p", calling("g", "/sub", compensation={**rollback(), "agentId": undoer}), continueOnError=True)
    )
    story = ByHand(plan(raw, sub, agents=(PROGRAM, MODEL)), executor="host")
    story.fail("g/x")
    assert story.live() == ["g"]
    story.wait(minutes=10)
    assert story.run.ended is ends
    if not ends:
        story.stopped("g")
    assert story.status("g") == "compensation_failed"


def test_an_agents_own_limit_below_the_estimate_is_not_told_as_exceeded_by_less_than_nothing() -> None:
    brief = Agent(id="worker", kind=AgentKind.PROCESS, timeout=timedelta(seconds=30))
    story = ByHand(plan(command(phase("p", node("a"))), agents=(brief,)))
    story.wait(seconds=30)
    story.stopped("a")
    failure = story.node("a").failure
    assert failure is not None
    assert failure.message == 'Node "a" timed out after 30000ms\nEstimated time was: 60000ms'


def test_an_attempt_is_ended_for_its_silence_once() -> None:
    story = ByHand(command(phase("p", node("a"))))
    silent = Failure(FailureKind.TIMEOUT, "IDLE", "nothing was heard")
    story.send(sig.EndAttempt(NodeId("a"), 1, silent))
    assert story.send(sig.EndAttempt(NodeId("a"), 1, silent)) == []
    story.stopped("a")
    assert story.node("a").failure == silent


def test_the_report_of_a_sub_command_itself_is_refused() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub"))), SUB)
    with pytest.raises(StateError) as caught:
        story.send(sig.ReportOutcome(NodeId("g"), 1))
    assert caught.value.code == "NOT_REPORTABLE"


def alone(**fields: object) -> ByHand:
    """A sub-command in a phase that goes on, with a node beside it and one after it."""
    story = ByHand(
        command(phase("p", calling("g", "/sub", **fields), node("beside"), node("after", "g"), continueOnError=True)),
        SUB,
    )
    story.succeed("g/x")
    return story


def test_a_failure_inside_a_sub_command_whose_phase_goes_on_fails_that_sub_command_alone() -> None:
    story = alone()
    story.fail("g/y")
    assert story.live() == ["g/side", "beside"]
    story.stopped("g/side")
    assert story.live() == ["g/y", "beside"]
    story.succeed("g/y")
    assert story.live() == ["g/x", "beside"]
    story.succeed("g/x")
    assert story.status("g") == "failed"
    assert story.live() == ["beside", "after"]
    story.succeed("beside")
    story.succeed("after")
    assert story.run.status is RunStatus.DEGRADED
    assert story.node("g").failure == Failure(FailureKind.ERROR, "AGENT_ERROR", 'Node "g/y" failed: g/y broke')


def test_the_compensation_of_a_sub_command_that_failed_alone_comes_after_those_inside() -> None:
    story = alone(compensation={**rollback(), "agentId": "worker"})
    story.succeed("g/side")
    story.fail("g/y")
    for name in ("g/y", "g/x", "g"):
        story.succeed(name)
    assert story.undone() == ["g/y", "g/x", "g"]
    assert story.status("g") == "compensated"
    assert "after" in story.live()


def test_a_sub_command_that_takes_too_long_is_ended_with_all_that_is_inside() -> None:
    story = alone(timeout=400_000)
    story.wait(seconds=400)
    story.stopped("g/y")
    story.succeed("g/side")
    story.succeed("g/y")
    story.succeed("g/x")
    failure = story.node("g").failure
    assert failure is not None
    assert failure.kind is FailureKind.TIMEOUT
    assert story.run.stop is None


def test_a_sub_command_with_a_compensation_of_type_retry_is_not_run_twice() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub", timeout=400_000, compensation={"type": "retry"}))), SUB)
    story.wait(seconds=400)
    assert story.node("g").attempts[-1].number == 1
    assert story.run.stop is not None


def lost_group(**fields: object) -> ByHand:
    """A sub-command with locks that was at work when its owner died; its first node is done, the second was not."""
    sub = command(phase("s", node("x", compensation=rollback()), node("y", "x", resources=locks("y"))), name="/sub")
    story = ByHand(
        command(phase("p", calling("g", "/sub", resources=locks("g")), **fields), phase("q", node("z"))), sub
    )
    story.grant("g")
    story.succeed("g/x")
    story.grant("g/y")
    story.crash()
    story.resume()
    assert story.live() == []
    return story


def test_a_sub_command_that_does_not_get_its_locks_back_is_undone_inside_before_it_fails() -> None:
    story = lost_group(continueOnError=True)
    story.refuse("g")
    assert (story.undone(), story.status("g")) == ([], "running")
    story.grant("g/x")  # what it had, and what the sub-command had
    assert (story.undone(), story.status("g")) == (["g/x"], "running")
    story.succeed("g/x")
    assert (story.status("g"), story.status("g/y"), story.live()) == ("failed", "cancelled", ["z"])
    assert not story.node("g").locked


def test_a_sub_command_of_a_resumed_run_that_cannot_start_again_is_undone_inside_before_it_fails() -> None:
    sub = command(phase("s", node("x", compensation=rollback()), node("y"), continueOnError=True), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub", resources=locks("g")), continueOnError=True)), sub)
    story.grant("g")
    story.succeed("g/x")
    story.fail("g/y")
    assert story.run.status is RunStatus.DEGRADED
    story.resume(failed=True)
    story.refuse("g")
    assert (story.status("g"), story.undone()) == ("running", [])
    story.grant("g/x")
    story.succeed("g/x")
    assert (story.status("g"), story.status("g/x"), story.undone()) == ("failed", "compensated", ["g/x"])


def test_what_would_have_gone_on_inside_a_sub_command_that_fails_is_cancelled_by_name() -> None:
    story = lost_group()
    story.refuse("g")
    assert NodeId("g/y") in [event.node for event in story.events if isinstance(event, ev.NodeCancelled)]
    assert story.undone() == []
    story.grant("g/x")
    assert story.undone() == ["g/x"]


def test_a_node_that_has_its_locks_and_no_slot_is_cancelled_by_name_when_the_run_stops() -> None:
    story = ByHand(command(phase("p", node("b", resources=locks("db"), priority=1), node("a"), maxParallelism=1)))
    story.queue("b")
    story.grant("b")
    assert story.live() == ["a"]
    story.cancel()
    assert [event.node for event in story.events if isinstance(event, ev.NodeCancelled)] == ["b"]


def test_the_run_may_stop_while_a_sub_command_is_undone() -> None:
    story = alone()
    story.succeed("g/side")
    story.fail("g/y")
    story.cancel()
    story.stopped("beside")
    story.succeed("g/y")
    assert story.live() == ["g/x"]
    story.succeed("g/x")
    assert story.undone() == ["g/y", "g/x"]
    assert (story.run.status, story.status("g")) == (RunStatus.CANCELLED, "cancelled")


def test_a_cascade_inside_a_sub_command_stops_the_run() -> None:
    inner = command(phase("s", node("x", compensation={"type": "cascade"}), continueOnError=True), name="/inner")
    story = ByHand(command(phase("p", calling("g", "/inner"), continueOnError=True)), inner)
    story.fail("g/x")
    assert story.run.status is RunStatus.FAILED
    assert story.run.stop is not None


def test_a_failure_deep_inside_reaches_the_innermost_sub_command_whose_phase_goes_on() -> None:
    middle = command(phase("m", calling("inner", "/sub")), name="/middle")
    story = ByHand(command(phase("p", calling("g", "/middle"), continueOnError=True)), middle, SUB)
    story.succeed("g/inner/x")
    story.fail("g/inner/side")
    story.stopped("g/inner/y")
    for name in ("g/inner/y", "g/inner/x"):
        story.succeed(name)
    assert [story.status(name) for name in ("g", "g/inner")] == ["failed", "cancelled"]
    assert story.run.status is RunStatus.DEGRADED


def test_a_second_failure_inside_does_not_change_why_the_sub_command_failed() -> None:
    story = alone()
    story.fail("g/y")
    story.fail("g/side")
    for name in ("g/y", "g/x"):
        story.succeed(name)
    failure = story.node("g").failure
    assert failure is not None
    assert failure.message == 'Node "g/y" failed: g/y broke'


def test_a_sub_command_that_gives_no_declared_output_has_failed() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub", context={"outputs": [{"key": "report"}]}))), SUB)
    for name in ("g/x", "g/y", "g/side"):
        story.succeed(name)
    failure = story.node("g").failure
    assert failure is not None
    assert failure.code == "MISSING_OUTPUT"
    assert story.live() == ["g/y"]


def test_costs_are_added_up_and_stop_the_run_at_their_limit() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))), limits=ev.Limits(max_cost_usd=1.0))
    story.send(sig.ReportOutcome(NodeId("a"), 1, usage=Usage(cost_usd=1.5)))
    assert story.run.status is RunStatus.FAILED
    assert story.run.message == "the run reached its budget of $1.00 ($1.50 spent)"
    assert story.status("b") == "cancelled"


def test_a_sub_command_that_fails_already_is_not_failed_once_more_by_its_phase() -> None:
    story = ByHand(command(phase("p", calling("g", "/sub"), timeout=60_000, continueOnError=True)), SUB)
    story.fail("g/x")
    story.wait(minutes=1)
    story.stopped("g/side")
    story.succeed("g/x")
    failure = story.node("g").failure
    assert failure is not None
    assert failure.code == "AGENT_ERROR"


def test_what_is_undone_inside_of_a_sub_command_that_was_lost_waits_until_that_goes_on() -> None:
    inner = command(phase("s", node("x", compensation=rollback()), continueOnError=True), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub", resources=locks("database")))), inner)
    story.grant("g")
    story.fail("g/x")
    assert story.live() == ["g/x"]
    story.send(sig.Interrupt())
    story.resume()
    assert (story.status("g"), story.live()) == ("waiting", [])
    story.grant("g")
    assert story.live() == ["g/x"]


def test_a_sub_command_that_is_undone_after_a_crash_is_not_disturbed_by_another_that_goes_on() -> None:
    sub = command(phase("s", node("x")), name="/sub")
    groups = calling("g", "/sub", compensation=rollback(agentId="worker")), calling("h", "/sub")
    story = ByHand(command(phase("p", *groups, continueOnError=True)), sub)
    story.fail("g/x")
    assert story.live() == ["g", "h/x"]
    story.crash()
    story.resume()
    assert story.live() == ["g", "h/x"]
    story.succeed("g")
    story.succeed("h/x")
    assert (story.status("g"), story.state()) == ("compensated", "degraded")


def test_a_sub_command_that_lacks_an_output_is_undone_where_its_phase_goes_on() -> None:
    sub = command(phase("s", node("x", compensation=rollback())), name="/sub")
    asks = calling("g", "/sub", context={"outputs": [{"key": "patch"}]})
    story = ByHand(command(phase("p", asks, node("beside"), continueOnError=True)), sub)
    story.succeed("g/x")
    assert story.live() == ["g/x", "beside"], "what it did is undone before it has failed"
    assert story.status("g") == "running"
    story.succeed("g/x")
    assert (story.status("g/x"), story.status("g")) == ("compensated", "failed")
    story.succeed("beside")
    assert story.state() == "degraded"


def test_what_never_began_is_not_cancelled_before_the_run_has_ended() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"))))
    assert [type(event) for event in story.send(sig.RequestCancel())] == [ev.RunStopping, ev.AttemptStopping]
    assert story.status("b") == "pending"
    story.stopped("a")
    assert (story.state(), story.status("b")) == ("cancelled", "cancelled")


def test_a_quota_is_waited_for_a_day_and_no_longer() -> None:
    story = ByHand(command(phase("p", node("a", circuitBreaker="api"))))
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=True))
    story.fail("a", code=QUOTA_EXHAUSTED)
    assert story.status("a") == "waiting"
    story.now += MAX_QUOTA_WAIT
    story.send(sig.AnswerBreaker(NodeId("a"), admitted=True))
    story.fail("a", code=QUOTA_EXHAUSTED)
    assert story.status("a") == "failed"


def test_a_sub_command_does_not_wait_for_the_quota_of_nodes_inside_that_have_failed_for_good() -> None:
    sub = command(phase("s", node("x")), name="/sub")
    group = calling("g", "/sub", circuitBreaker="api", compensation=rollback(type="cascade"))
    story = ByHand(command(phase("p", group, node("other"), continueOnError=True)), sub)
    story.send(sig.AnswerBreaker(NodeId("g"), admitted=True))
    story.fail("g/x", code=QUOTA_EXHAUSTED)
    story.now += MAX_QUOTA_WAIT
    story.send(sig.AnswerBreaker(NodeId("g/x"), admitted=True))
    story.fail("g/x", code=QUOTA_EXHAUSTED)
    assert (story.status("g/x"), story.status("g")) == ("failed", "failed")
