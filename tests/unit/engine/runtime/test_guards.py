"""What events ask of the project's tables, seen on a real lock table and a real circuit breaker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from engine.breakers import BreakerConfig, BreakerState
from engine.locks import LockTable
from engine.run import events as ev
from engine.run import signals as sig
from engine.runtime.guards import Guards
from engine.storage.port import Batch, BreakerAnswer
from tests.support.by_hand import HEIR, OWNER, RUN, ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase

API = BreakerConfig(failure_threshold=1, reset_timeout=timedelta(seconds=30))


class Guarded(ByHand):
    """A run whose events are followed on tables; what they answer is told to it at once."""

    def __init__(self, *raw: dict[str, Any]) -> None:
        self.table = LockTable()
        self.breaker = BreakerState()
        self.guards = Guards(OWNER, {"api": API})
        super().__init__(*raw)

    def _take(self, events: list[ev.Event]) -> None:
        super()._take(events)
        batch = Batch()
        for event in events:
            self.guards.follow(self.run, event, batch)
        outcomes: list[Any] = [outcome for op in batch.lock_ops for outcome in op(self.table)]
        for _name, change in batch.breaker_ops:
            self.breaker, answer = change(self.breaker)
            outcomes += [] if answer is None else [answer]
        for outcome in outcomes:
            self._tell(outcome)

    def _tell(self, outcome: Any) -> None:  # noqa: ANN401 - of either table
        if isinstance(outcome, BreakerAnswer):
            self.send(sig.AnswerBreaker(outcome.node, outcome.admitted, outcome.until, outcome.failure))
        elif outcome.holder.run == RUN:
            self.send(sig.GrantLocks(outcome.holder.node))

    def held(self) -> list[str]:
        """Who holds locks."""
        return sorted(str(claim.holder.node) for claim in self.table if claim.granted)

    def taken_up(self) -> None:
        """The owner dies, and another one goes on."""
        self.crash()
        self.guards = Guards(HEIR, {"api": API})
        self.guards.adoption(RUN)(self.table)
        self.resume()


UNDO = rollback()
SUB = command(phase("s", node("x", compensation=UNDO), node("y", "x")), name="/sub")


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
