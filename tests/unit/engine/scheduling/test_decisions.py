"""Answers that nobody gave."""

from __future__ import annotations

from engine.model.policy import Failure, FailureKind
from engine.run import signals as sig
from engine.run.events import RunStatus
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase


def test_a_no_that_nobody_said_is_recorded_as_what_it_was() -> None:
    story = ByHand(command(phase("p", node("a", approval={"message": "Deploy?"}))))
    failure = Failure(FailureKind.ERROR, "APPROVAL_NEEDED", "nobody is there")
    story.send(sig.Decide(story.node("a").plan.id, "no", failure))
    assert story.run.status is RunStatus.FAILED
    assert story.node("a").failure == failure
