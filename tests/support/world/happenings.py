"""What happens to a world by itself: people ask for things, servers die, disks fail, clocks jump.

Effects: none beyond the world. Everything is chosen by the world's dice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from engine.run.events import Limits, RunStatus, WaitReason
from tests.support.definitions import plan
from tests.support.living_commands import contested_family, living_family
from tests.support.world.disk import READS, WITHIN, WRITES, Fault
from tests.support.world.people import AGENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from engine.ids import NodeId
    from tests.support.world.record import Record
    from tests.support.world.server import Server
    from tests.support.world.world import World

MAX_RUNS = 8
MAX_SERVERS = 3
ANSWERS = {WaitReason.APPROVAL: ("yes", "yes", "no"), WaitReason.DECISION: ("retry", "skip", "skip", "fail")}


def asked(record: Record) -> dict[NodeId, tuple[str, ...]]:
    """What a person may answer, by node."""
    return {
        name: ANSWERS[node.waiting.reason]
        for name, node in record.run.nodes.items()
        if node.waiting is not None and node.waiting.reason in ANSWERS and not record.run.ended
    }


class Happenings:
    """One thing after the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice: Random = world.dice
        self._kinds: tuple[tuple[int, Callable[[], None]], ...] = (
            (10, self.start),
            (8, self.look),
            (6, self.answer),
            (4, self.cancel),
            (3, self.give_up_undoing),
            (8, self.resume),
            (3, self.resume_twice),
            (6, self.kill),
            (6, self.plot_a_kill),
            (8, self.open),
            (2, self.leave),
            (3, self.stand_still),
            (3, self.disk_fails),
            (2, self.disk_slows),
            (3, self.clock_jumps),
            (1, self.prune),
            (2, self.release),
            (4, self.give_up),
            (2, self.break_down),
            (1, self.restart),
        )

    def happen(self) -> None:
        """One thing that may happen now."""
        weights, kinds = zip(*self._kinds, strict=True)
        self._dice.choices(kinds, weights)[0]()

    def _server(self) -> Server | None:
        return self._world.any_server()

    def _record(self, *, live: bool = True) -> Record | None:
        found = self._world.audit.live() if live else self._world.audit.present()
        return self._dice.choice(found) if found else None

    def start(self) -> None:
        """Somebody runs a command."""
        server, dice = self._server(), self._dice
        if server is None or len(self._world.audit.records) >= MAX_RUNS:
            return
        family = living_family(dice, dice.randint(1, 4)) if dice.randrange(4) else contested_family(dice)
        executor = dice.choice(("native", "native", "host"))
        self._world.clients.start(server, plan(*family, agents=AGENTS), executor=executor, limits=some_limits(dice))

    def look(self) -> None:
        """Somebody looks at a run."""
        server, record = self._server(), self._record(live=False)
        if server is not None:
            self._world.clients.look(server, None if record is None else record.id)

    def answer(self) -> None:
        """A person answers a question, at any server; sometimes one that nobody asked."""
        server, record = self._server(), self._record()
        if server is None or record is None:
            return
        questions = asked(record)
        if questions:
            node = self._dice.choice(sorted(questions))
            self._world.clients.decide(server, record.id, node, self._dice.choice(questions[node]))
        elif self._dice.randrange(4) == 0:
            self._world.clients.decide(server, record.id, self._dice.choice(list(record.run.nodes)), "yes")

    def cancel(self) -> None:
        """Somebody cancels a run, at any server."""
        server, record = self._server(), self._record(live=self._dice.randrange(4) > 0)
        if server is not None and record is not None:
            self._world.clients.cancel(server, record.id, compensate=self._dice.randrange(4) > 0)

    def give_up_undoing(self) -> None:
        """Somebody has enough of a run that undoes what it did, best of one that waits for its locks first."""
        undoing = [one for one in self._world.audit.live() if one.run.saga is not None or one.run.undoing]
        waiting = [one for one in undoing if one.run.status is RunStatus.PENDING]
        server, found = self._server(), waiting or undoing
        if server is not None and found:
            self._world.clients.cancel(server, self._dice.choice(found).id, compensate=False)

    def resume(self) -> None:
        """Somebody takes up a run that was interrupted, or has failed."""
        server, record = self._server(), self._resumable()
        if server is not None and record is not None:
            failed = record.run.status is not RunStatus.INTERRUPTED
            limits = some_limits(self._dice) if self._dice.randrange(3) == 0 else None
            self._world.clients.resume(server, record.id, failed=failed, limits=limits)

    def resume_twice(self) -> None:
        """Two take up one run at once."""
        record = self._resumable()
        if record is not None:
            failed = record.run.status is not RunStatus.INTERRUPTED
            for server in self._world.awake():
                self._world.clients.resume(server, record.id, failed=failed)

    def _resumable(self) -> Record | None:
        states = {RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.DEGRADED}
        world = self._world
        found = [one for one in world.audit.present() if one.run.status in states or world.owner_of(one) is None]
        return self._dice.choice(found) if found else None

    def kill(self) -> None:
        """A server dies between two turns."""
        server = self._server()
        if server is not None:
            server.kill()

    def plot_a_kill(self) -> None:
        """A server will die in the middle of something."""
        what = self._dice.choice(("commit", "commit", WITHIN, *sorted(READS | WRITES)))
        self._world.plot.lay(what, before=self._dice.randrange(2) == 0, after=self._dice.randint(1, 6))

    def open(self) -> None:
        """A session begins."""
        if len(self._world.awake()) < MAX_SERVERS:
            self._world.open_server()

    def restart(self) -> None:
        """The machine of a server starts again."""
        server = self._server()
        if server is not None:
            self._world.places.restart(server.process.hostname)

    def leave(self) -> None:
        """A session ends in good order."""
        server = self._server()
        if server is not None:
            self._world.tell(f"{server.name} leaves")
            server.leave()

    def stand_still(self) -> None:
        """A server gets no turn for a while."""
        server = self._server()
        if server is not None:
            server.still_until = self._world.timeline.now + self._dice.choice((1.0, 8.0))
            self._world.tell(f"{server.name} stands still until {server.still_until:.3f}")

    def disk_fails(self) -> None:
        """Storage refuses for a while: all that is written, at one server or at all; or some reads of one."""
        dice, world = self._dice, self._world
        code = dice.choice(("DISK_FULL", "DATABASE_LOCKED"))
        servers = world.awake() if code == "DISK_FULL" else world.awake()[:1]
        operations = WRITES if dice.randrange(3) else frozenset(dice.sample(sorted(READS | WRITES), 2))
        until = world.timeline.now + dice.choice((0.1, 1.0, 10.0))
        for server in servers:
            server.disk.fault = Fault(code, until, operations)
        world.tell(f"{code} for {[one.name for one in servers]} until {until:.3f}: {sorted(operations)}")

    def disk_slows(self) -> None:
        """Storage takes its time at one server."""
        server = self._server()
        if server is not None:
            server.disk.slowness = self._dice.choice((0.0, 0.01, 0.5))
            self._world.tell(f"the disk of {server.name} takes {server.disk.slowness} s")

    def clock_jumps(self) -> None:
        """Somebody sets the clock, or the machine has slept: a server finds out as soon as it decides anything."""
        seconds = self._dice.choice((-86_400.0, -3_600.0, -3.0, 5.0, 7_200.0, 86_400.0))
        self._world.timeline.jumped += timedelta(seconds=seconds)
        self._world.tell(f"the clock jumps by {seconds} s")

    def break_down(self) -> None:
        """A decision of a server will break down half-way."""
        server = self._server()
        if server is not None:
            server.breakdown.lay(self._dice.randint(1, 6))

    def prune(self) -> None:
        """Somebody forgets old runs."""
        server = self._server()
        if server is not None:
            keep = self._dice.choice((0, 1, 3))
            self._world.clients.prune(server, keep=keep, interrupted=self._dice.randrange(2) == 0)

    def release(self) -> None:
        """Somebody gives up what is reserved for a dead run."""
        server = self._server()
        dead = [one for one in self._world.audit.present() if one.run.status is RunStatus.INTERRUPTED]
        if server is not None and dead:
            self._world.clients.release(server, self._dice.choice(dead).id)

    def give_up(self) -> None:
        """Somebody does not wait for an answer any longer: mostly one whose server is slow."""
        self._world.clients.give_up()


def some_limits(dice: Random) -> Limits:
    """Limits of a run, mostly none."""
    return Limits(
        max_parallelism=dice.choice((None, 1, 2, 3)),
        max_cost_usd=dice.choice((None, None, None, 0.5)),
        max_attempts_total=dice.choice((None, None, None, 6)),
        max_duration_seconds=dice.choice((None, None, None, 15.0)),
    )
