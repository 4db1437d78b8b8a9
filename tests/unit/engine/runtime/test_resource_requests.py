"""What events ask of the project's tables, seen on a real lock table and a real circuit breaker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from msgspec import structs

from engine.ids import NodeId, RunId, attempt_id
from engine.model.policy import LockSpec
from engine.run import events as ev
from engine.run import signals as sig
from engine.runtime.resource_requests import ResourceRequests
from engine.storage.port import Batch, BreakerAnswer
from engine.tables.breakers import BreakerConfig, BreakerState
from engine.tables.locks import Claim, Holder, LockTable, Queued
from tests.support.by_hand import HEIR, NOON, OWNER, RUN, ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase

API = BreakerConfig(failure_threshold=1, reset_timeout=timedelta(seconds=30))


class Guarded(ByHand):
    """A run whose events are followed on tables; what they answer is told to it at once."""

    def __init__(self, *raw: dict[str, Any], standing: Iterable[Claim] = (), elsewhere: bool = False) -> None:
        self.table = LockTable(standing)
        self.breaker = BreakerState()
        self.resource_requests = ResourceRequests(OWNER, {"api": API})
        super().__init__(*raw, queues=lambda *_: elsewhere, elsewhere=lambda *_: elsewhere)

    def _take(self, events: list[ev.Event]) -> None:
        super()._take(events)
        batch = Batch()
        for event in events:
            self.resource_requests.follow(self.run, event, batch)
        outcomes: list[Any] = [outcome for op in batch.lock_ops for outcome in op(self.table)]
        for _name, change in batch.breaker_ops:
            self.breaker, answer = change(self.breaker)
            outcomes += [] if answer is None else [answer]
        for outcome in outcomes:
            self._tell(outcome)

    def _tell(self, outcome: Any) -> None:  # noqa: ANN401 - of either table
        if isinstance(outcome, BreakerAnswer):
            self.send(sig.AnswerBreaker(outcome.node, outcome.admitted, outcome.until, outcome.failure))
        elif outcome.holder.run == RUN and isinstance(outcome, Queued):
            self.send(sig.AwaitLocks(outcome.holder.node, outcome.deadline))
        elif outcome.holder.run == RUN:
            self.send(sig.GrantLocks(outcome.holder.node))

    def given_up(self, stranger: Holder) -> None:
        """Another run has given its locks up."""
        for outcome in self.table.release(stranger):
            self._tell(outcome)

    def held(self) -> list[str]:
        """Who holds locks."""
        return sorted(str(claim.holder.node) for claim in self.table if claim.granted)

    def taken_up(self) -> None:
        """The owner dies, and another one goes on."""
        self.crash()
        self.resource_requests = ResourceRequests(HEIR, {"api": API})
        self.resource_requests.adoption(RUN)(self.table)
        self.resume()


UNDO = rollback()
SUB = command(phase("s", node("x", compensation=UNDO), node("y", "x")), name="/sub")


def test_a_sub_command_that_waits_when_its_run_stops_gets_no_locks_that_another_node_needs_to_be_undone() -> None:
    again = {"maxAttempts": 1, "strategy": "linear", "initialDelay": 60_000}
    first = node("a", priority=1, resources=locks("db"), retryPolicy=again, compensation=UNDO)
    run = Guarded(command(phase("p", first, calling("g", "/sub", resources=locks("db")))), SUB)
    run.fail("a")
    run.cancel()
    assert (run.live(), run.held()) == (["a"], ["a"])


def test_a_sub_command_keeps_its_locks_until_what_is_inside_has_ended_and_is_undone() -> None:
    story = Guarded(command(phase("p", calling("g", "/sub", resources=locks("db")), node("z"))), SUB)
    story.succeed("g/x")
    story.fail("z")
    assert (story.status("g"), story.held()) == ("cancelled", ["g"])
    story.stopped("g/y")
    assert story.undone() == ["g/x"]
    assert "g" in story.held()
    story.succeed("g/x")
    assert story.run.ended
    assert story.held() == []


def test_a_sub_command_that_has_failed_alone_gives_up_its_locks_and_those_inside() -> None:
    inner = command(phase("s", calling("h", "/sub", resources=locks("db.h"))), name="/inner")
    raw = command(phase("p", calling("g", "/inner"), continueOnError=True), phase("q", node("z")))
    story = Guarded(raw, inner, SUB)
    story.succeed("g/h/x")
    assert story.held() == ["g/h"]
    story.fail("g/h/y")
    assert "g/h" in story.held()
    story.succeed("g/h/x")
    assert story.live() == ["z"]
    assert story.held() == []


def test_a_sub_command_that_still_waits_for_its_locks_when_the_run_stops_waits_no_longer() -> None:
    story = Guarded(
        command(phase("p", node("a", resources=locks("db"), priority=1), calling("g", "/sub", resources=locks("db")))),
        SUB,
    )
    assert [claim.granted for claim in story.table] == [True, False]
    story.cancel()
    story.stopped("a")
    assert list(story.table) == []


def test_what_has_not_started_gives_up_its_locks_when_the_owner_dies() -> None:
    waiting = node("b", resources=locks("disk"), priority=2)
    raw = command(
        phase("p", node("a", compensation=UNDO, resources=locks("db"), priority=1), waiting, maxParallelism=1)
    )
    stranger = Holder(RunId("r-stranger"))
    claim = Claim.of(stranger, OWNER, [LockSpec("disk")], now=NOON, max_wait=timedelta(0))
    story = Guarded(raw, standing=[structs.replace(claim, granted=True)])
    story.given_up(stranger)
    assert (story.live(), story.held()) == (["a"], ["a", "b"])
    story.crash()
    assert story.held() == ["a"]


def test_undoing_that_needs_more_than_the_work_asks_anew_after_a_crash() -> None:
    sub = command(phase("s", node("x", compensation=UNDO, resources=locks("x")), continueOnError=True), name="/sub")
    raw = command(phase("p", calling("g", "/sub", resources=locks("g")), node("z")))
    story = Guarded(raw, sub)
    story.fail("g/x")
    assert story.undone() == ["g/x"]
    story.fail("z")
    story.taken_up()
    assert story.undone() == ["g/x", "g/x"]
    story.succeed("g/x")
    assert story.held() == []


def test_a_trial_that_is_let_through_and_not_made_blocks_nobody() -> None:
    asks = node("b", circuitBreaker="api")
    story = Guarded(
        command(
            phase("p", node("a", circuitBreaker="api"), continueOnError=True),
            phase("q", asks, timeout=60_000, continueOnError=True),
        )
    )
    story.fail("a", code="RATE_LIMIT")
    assert (story.status("b"), story.breaker.callers_wait) == ("waiting", True)
    story.now += timedelta(minutes=2)  # the trial is asked for in the moment in which the time of the phase is over
    story.send(sig.Tick())
    assert story.status("b") == "failed"
    assert story.breaker.trial is None


def test_locks_of_an_interrupted_run_are_kept_while_other_machines_may_rely_on_them() -> None:
    for elsewhere in (False, True):
        story = Guarded(command(phase("p", node("a", resources=locks("db")))), elsewhere=elsewhere)
        story.crash()
        assert [claim.reserved for claim in story.table] == [True] * elsewhere


def test_a_node_whose_worker_is_lost_keeps_its_locks_and_gives_a_trial_call_back() -> None:
    story = Guarded(command(phase("p", node("a", resources=locks("db"), circuitBreaker="api"))), elsewhere=True)
    story.breaker = structs.replace(story.breaker, trial=attempt_id(RUN, NodeId("a"), 1), next_trial_at=NOON)
    story.lose("a")
    assert (story.held(), story.number("a"), story.breaker.trial) == (["a"], 2, f"{RUN}:a#2")
