"""Somebody who looks after a project in which nothing goes wrong any more: opens a session, resumes, answers.

Effects: none beyond the world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.scheduling.readiness import waiting_for
from tests.support.world.happenings import asked

if TYPE_CHECKING:
    from engine.ids import RunId
    from tests.support.world.record import Record
    from tests.support.world.server import Server
    from tests.support.world.world import World

VISIT = 3.0
"""Seconds between two visits."""


TAKEN_UP = frozenset({RunStatus.FAILED, RunStatus.DEGRADED})


class Caretaker:
    """Comes again and again until every run has ended."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_work = True
        self._visits = 0
        """How often a session was there to look after the runs."""
        self._place = world.places.any()
        self._seen: set[RunId] = set()
        """Runs that have failed, or partly, of which each is taken up again once, or never."""

    def go(self) -> None:
        """Come no more."""
        self._at_work = False

    def visit(self) -> None:
        """Do what people do for runs, now and ever after."""
        world = self._world
        if not self._at_work:
            return
        server = world.any_server() or world.open_server(self._place)
        if server is not None:
            self._do(server)
        world.timeline.after(VISIT, self.visit)

    def _do(self, server: Server) -> None:
        world = self._world
        self._visits += 1
        world.clients.look_after(server)
        for record in world.audit.present():
            questions = asked(record)
            if record.run.status is RunStatus.INTERRUPTED:
                world.clients.resume(world.any_server() or server, record.id, failed=False)
            elif record.run.status in TAKEN_UP and record.id not in self._seen:
                self._seen.add(record.id)
                if world.dice.randrange(3):
                    world.clients.resume(world.any_server() or server, record.id, failed=True)
            elif questions:
                node = world.dice.choice(sorted(questions))
                world.clients.decide(world.any_server() or server, record.id, node, world.dice.choice(questions[node]))

    def all_is_done(self) -> bool:
        """Whether every run has come to its end, and every call to its answer.

        Not before somebody was there, and has come back: what died in mid-air is looked after by who opens the project.
        """
        runs = self._world.audit.present()
        return self._visits > 1 and all(one.run.ended and one.run.status is not RunStatus.INTERRUPTED for one in runs)

    def left(self) -> list[str]:
        """What is not done, with its reasons."""
        return [_reasons(one) for one in self._world.audit.present() if not one.run.ended or _interrupted(one)]


def _interrupted(record: Record) -> bool:
    return record.run.status is RunStatus.INTERRUPTED


def _reasons(record: Record) -> str:
    run = record.run
    waits = {name: waiting_for(run, node) for name, node in run.nodes.items() if not node.settled}
    return f"{run.id} {run.status} of {record.owner}, live {sorted(run.live)}, waits {waits}, stop {run.stop}"
