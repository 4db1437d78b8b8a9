"""A run that holds locks, lost its owner, and has to get them back before it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.policy import Failure, FailureKind
from engine.run import signals as sig
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase

LOCKS = {"locks": [{"resource": "database"}]}
UNDO = {"type": "rollback", "task": "Undo it", "agentId": "undoer"}
REFUSED = sig.RefuseLocks(None, Failure(FailureKind.TIMEOUT, "LOCK_TIMEOUT", "r-2 holds them"))


def story() -> ByHand:
    """Two nodes, the first done, the second at work; the run's lock is granted."""
    raw: dict[str, Any] = command(
        phase("p", node("a", compensation=UNDO), node("b", "a", compensation=UNDO)), resources=LOCKS
    )
    told = ByHand(raw)
    told.send(sig.GrantLocks(None))
    told.succeed("a")
    return told


def lost(told: ByHand) -> ByHand:
    """Its owner dies, and another one takes it up."""
    told.send(sig.Interrupt())
    told.resume()
    assert told.state() == "pending"
    return told


def test_a_resumed_run_goes_on_when_it_has_its_locks_back() -> None:
    told = lost(story())
    assert told.live() == []
    told.send(sig.GrantLocks(None))
    assert told.live() == ["b"]


def test_a_resumed_run_that_does_not_get_its_locks_back_is_interrupted_again_and_says_why() -> None:
    told = lost(story())
    told.send(REFUSED)
    assert told.state() == "interrupted"
    assert told.run.message == "it did not get its locks back: r-2 holds them"
    told.resume()
    assert told.run.message == ""
    told.send(sig.GrantLocks(None))
    assert told.state() == "running"
    assert told.live() == ["b"]


def test_a_run_that_never_began_fails_where_its_locks_are_refused() -> None:
    told = ByHand(command(phase("p", node("a")), resources=LOCKS))
    told.send(REFUSED)
    assert told.state() == "failed"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_saga_goes_on_as_a_saga_however_often_its_owner_dies_while_it_waits_for_locks(deaths: int) -> None:
    told = story()
    told.fail("b")
    assert told.state() == "compensating"
    for _ in range(deaths):
        lost(told)
    told.send(sig.GrantLocks(None))
    assert told.state() == "compensating"
    told.succeed("b")
    told.succeed("a")
    assert told.state() == "compensated"


def test_a_cancel_while_the_locks_are_awaited_undoes_the_work_once_they_are_back() -> None:
    told = lost(story())
    told.send(sig.RequestCancel("enough"))
    told.send(sig.RequestCancel("again"))
    assert told.state() == "pending", "undoing needs the locks as well"
    told.send(sig.GrantLocks(None))
    assert told.state() == "compensating"
    assert told.live() == ["b"], "its effects may be partial"
    told.succeed("b")
    told.succeed("a")
    assert told.state() == "cancelled"
    assert told.run.message == "cancelled: enough"


def test_a_cancel_before_the_first_lock_ends_the_run_at_once() -> None:
    told = ByHand(command(phase("p", node("a")), resources=LOCKS))
    told.send(sig.RequestCancel())
    assert told.state() == "cancelled"


SILENT = Failure(FailureKind.TIMEOUT, "IDLE_TIMEOUT", "no sign of life")


def test_an_attempt_that_must_not_go_on_is_told_to_end_and_fails_when_it_has() -> None:
    told = ByHand(command(phase("p", node("a"))))
    told.send(sig.EndAttempt(told.node("a").plan.id, 1, SILENT))
    assert told.live() == ["a"], "its processes have yet to end"
    ended = Failure(FailureKind.CANCEL, "CANCELLED", "cancelled", partial="half done")
    told.send(sig.ReportOutcome(told.node("a").plan.id, 1, {}, ended))
    failure = told.node("a").failure
    assert failure is not None
    assert (failure.code, failure.partial) == ("IDLE_TIMEOUT", "half done")
    assert told.state() == "failed"


def test_one_that_has_ended_or_is_ending_is_left_alone() -> None:
    told = ByHand(command(phase("p", node("a", retryPolicy={"maxAttempts": 1, "strategy": "immediate"}))))
    told.fail("a")
    assert told.number("a") == 2
    assert told.send(sig.EndAttempt(told.node("a").plan.id, 1, SILENT)) == []
    told.send(sig.EndAttempt(told.node("a").plan.id, 2, SILENT))
    assert told.send(sig.EndAttempt(told.node("a").plan.id, 2, SILENT)) == []


def test_a_refusal_that_comes_when_the_run_has_its_locks_changes_nothing() -> None:
    told = story()
    told.send(REFUSED)
    assert told.state() == "running"
    assert told.live() == ["b"]
