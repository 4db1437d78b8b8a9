"""A resumed run takes the outcomes that were kept for it, and does nothing of that again."""

from __future__ import annotations

from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from tests.support.by_hand import HEIR, ByHand, calling, locks
from tests.support.definitions import command, node, phase


def crashed(*nodes: dict[str, object], **fields: object) -> ByHand:
    """A run of one phase that was found interrupted while its first nodes were at work."""
    story = ByHand(command(phase("p", *nodes, **fields)))
    story.crash()
    return story


def resume(story: ByHand, *reports: sig.ReportOutcome) -> list[str]:
    """Go on with the outcomes of *reports*; gives the kinds of what follows."""
    return [type(event).__name__ for event in story.send(sig.Resume(HEIR, reports=reports))]


def test_what_was_done_is_reported_and_the_rest_is_lost_and_done_again() -> None:
    story = crashed(node("a", idempotent=False), node("b"), node("c", "a"))
    kinds = resume(story, sig.ReportOutcome(NodeId("a"), 1))
    assert kinds[:3] == ["RunResumed", "AttemptSucceeded", "AttemptLost"]
    assert (story.status("a"), story.live(), story.number("b")) == ("completed", ["b", "c"], 2)


def test_an_outcome_of_another_attempt_is_none() -> None:
    story = crashed(node("a", idempotent=False), node("b", "a"))
    assert "AttemptLost" in resume(story, sig.ReportOutcome(NodeId("a"), 2), sig.ReportOutcome(NodeId("b"), 1))
    assert (story.status("a"), story.status("b")) == ("waiting", "pending")


def test_a_stop_that_came_too_late_does_not_take_back_what_was_done() -> None:
    story = ByHand(command(phase("p", node("a"))))
    story.cancel()
    story.crash()
    resume(story, sig.ReportOutcome(NodeId("a"), 1, in_time=True))
    assert (story.status("a"), story.state()) == ("completed", "cancelled")
    story = ByHand(command(phase("p", node("a", minutes=1))))
    story.wait(hours=1)
    story.crash()
    resume(story, sig.ReportOutcome(NodeId("a"), 1, in_time=True))
    assert (story.status("a"), story.state()) == ("completed", "completed")


def test_outputs_that_turn_out_wrong_fail_the_node_and_stop_the_run() -> None:
    story = crashed(node("a"), node("b"))
    wrong = Failure(FailureKind.VALIDATION, "INVALID_ANSWER", "no such output")
    resume(story, sig.ReportOutcome(NodeId("a"), 1, {}, wrong))
    assert (story.status("a"), story.status("b"), story.state()) == ("failed", "cancelled", "failed")


def test_what_was_done_inside_a_sub_command_counts_there() -> None:
    sub = command(phase("s", node("x"), node("y", "x")), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub"), node("end", "g"))), sub)
    story.crash()
    resume(story, sig.ReportOutcome(NodeId("g/x"), 1))
    assert (story.status("g/x"), story.live()) == ("completed", ["g/y"])
    story.succeed("g/y")
    assert story.live() == ["end"]


def test_a_run_that_has_yet_to_get_its_locks_back_has_what_was_done_already() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a")), resources=locks("db")))
    story.grant()
    story.crash()
    resume(story, sig.ReportOutcome(NodeId("a"), 1))
    assert (story.status("a"), story.live(), story.state()) == ("completed", [], "pending")
    story.grant()
    assert (story.live(), [type(event) for event in story.events].count(ev.AttemptLost)) == (["b"], 0)
