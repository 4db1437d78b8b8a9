"""A client that does the work of model agents itself: it pulls work, and reports it: late, twice, or never.

Effects: none. It outlives every server, as a person's session may.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from engine.executors.port import Outcome
from engine.model.policy import Failure, FailureKind
from tests.support.world.scripts import script_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.executors.port import WorkOrder
    from engine.ids import AttemptId
    from tests.support.world.world import World

VISIT = 1.0
"""Seconds between two looks for work."""


class HostClient:
    """Does what runs with the executor `host` ask for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._taken: set[AttemptId] = set()

    def visit(self) -> None:
        """Look for work, now and ever after."""
        world = self._world
        for record in world.audit.live():
            server = world.owner_of(record)
            if record.run.executor == "host" and server is not None:
                world.clients.open_work(server, record.id, self._take)
        world.timeline.after(VISIT, self.visit)

    def _take(self, orders: Sequence[WorkOrder]) -> None:
        for order in orders:
            if order.attempt not in self._taken:
                self._taken.add(order.attempt)
                self._work(order)

    def _work(self, order: WorkOrder) -> None:
        world = self._world
        script = script_for(world.seed, order, calm=world.calm)
        dice = Random(f"{world.seed}:host:{order.attempt}")  # noqa: S311 - repeatable by intent
        if script.seconds is None:
            return
        outcome = script.reply if isinstance(script.reply, Outcome) else Outcome(failure=BROKEN)
        world.timeline.after(script.effect_at, lambda: world.agents.record(order))
        if dice.randrange(4) == 0:
            world.timeline.after(script.seconds / 2, lambda: self._report(order.attempt, None))
        late = 20.0 if not world.calm and dice.randrange(8) == 0 else 0.0
        world.timeline.after(script.seconds + late, lambda: self._done(order, outcome))
        if dice.randrange(5) == 0:
            world.timeline.after(script.seconds + late + dice.choice((0.0, 2.0)), lambda: self._done(order, outcome))
        if dice.randrange(12) == 0:
            wrong = dice.choice((f"{order.attempt}7", f"{order.run}:nobody#1", "nonsense", "r-0:a#1"))
            world.timeline.after(script.seconds / 2, lambda: self._report(wrong, outcome))

    def _done(self, order: WorkOrder, outcome: Outcome) -> None:
        self._world.agents.replies[order.attempt] = outcome
        self._report(order.attempt, outcome)

    def _report(self, attempt: str, outcome: Outcome | None) -> None:
        world = self._world
        record = next((one for one in world.audit.present() if attempt.startswith(f"{one.id}:")), None)
        server = None if record is None or world.dice.randrange(8) == 0 else world.owner_of(record)
        server = server or world.any_server()
        if server is not None:
            world.clients.report(server, attempt, outcome)


BROKEN = Failure(FailureKind.ERROR, "AGENT_ERROR", "the client broke")
