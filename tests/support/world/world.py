"""A whole project under faults, from one seed: servers, agents, clients, a disk and a clock, and laws that must hold.

Effects: none but event loops that wait for nothing. Equal seeds give equal worlds to the last byte of every journal.

First everything goes wrong that the seed wants; then nothing does any more, and every run has to come to its end.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import deque
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import EnvironmentFault
from engine.ids import OwnerId
from engine.storage.memory import MemoryStorage
from engine.storage.port import Batch
from tests.support.world.agents import Agents
from tests.support.world.audit import Audit
from tests.support.world.breakdown import WORDS
from tests.support.world.calm import VISIT, Caretaker
from tests.support.world.clients import Clients
from tests.support.world.disk import Killed
from tests.support.world.end_laws import END_LAWS
from tests.support.world.fleet import Fleet
from tests.support.world.happenings import Happenings
from tests.support.world.host import HostClient
from tests.support.world.places import Places
from tests.support.world.server import Server
from tests.support.world.time import ServerLoop, Timeline, WallClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from datetime import datetime

    from engine.storage.port import Storage
    from engine.tables.breakers import BreakerState
    from tests.support.world.places import Place
    from tests.support.world.record import Record

T = TypeVar("T")
HAPPENINGS = 40
"""The most that happens to one world, before it is left in peace."""
PATIENCE = 3_000.0
"""Virtual seconds in which every run comes to its end once nothing goes wrong any more."""
MAX_WORLD_TURNS = 30_000
TRACE = 120
"""Last lines that a broken law is told with."""


class Broken(AssertionError):
    """A law did not hold."""


class Plot:
    """Where the next server dies: at an operation of its storage, before or after it is done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at: tuple[str, bool] | None = None
        self._left = 0

    def lay(self, what: str, *, before: bool, after: int) -> None:
        """Kill whoever is the *after*-th to do *what* from now on."""
        self._at, self._left = (what, before), after
        self._world.tell(f"whoever does {what} is killed {'before' if before else 'after'} it, in {after}")

    def drop(self) -> None:
        """Nobody is to be killed any more."""
        self._at = None

    def reached(self, server: Server, what: str, *, before: bool) -> None:
        """*server* is at an operation; raises `Killed` where it is to die there."""
        if self._at == (what, before) and server.alive:
            self._left -= 1
            if self._left <= 0:
                self._at = None
                self._world.tell(f"{server.name} dies {'before' if before else 'after'} {what}")
                raise Killed


class World:
    """One project and all that works on it."""

    def __init__(self, seed: int, *, storage: Callable[[], Storage] | None = None, trace: int | None = TRACE) -> None:
        """*storage* opens the shared storage for one server more; without it, it is in memory."""
        self.seed = seed
        self.dice = Random(seed)  # noqa: S311 - repeatable by intent
        self.trace: deque[str] = deque(maxlen=trace)
        self.broken: list[str] = []
        self.calm = False
        self.project = Path("/nowhere")
        self.timeline = Timeline()
        self.runs = itertools.count(1)
        self.places = Places(self)
        self._loop = ServerLoop(self.timeline)
        self._connect = storage or MemoryStorage().connect
        self.inspector = self._connect()
        self.servers: list[Server] = []
        self.plot = Plot(self)
        self.agents = Agents(self)
        self.fleet = Fleet(self)
        self.audit = Audit(self)
        self.clients = Clients(self)
        self.host = HostClient(self)
        self.happenings = Happenings(self)

    def play(self) -> str:
        """Everything from the first happening to the last law; gives the digest of all journals. Raises `Broken`."""
        try:
            with _listening(self):
                self._chaos()
                self._peace()
                self._judge()
        finally:
            logging.disable()
            for server in self.servers:
                server.alive = False
                server.take_apart()
            self._loop.close()
            logging.disable(logging.NOTSET)
        return self.audit.digest()

    def now(self) -> datetime:
        """What the machine's clock shows; for laws, which belong to no server."""
        return WallClock(self.timeline, self.runs).now()

    def read(self, reading: Coroutine[Any, Any, T]) -> T:
        """What storage says now; for laws, which belong to no server."""
        return self._loop.run_until_complete(reading)

    def breaker(self, name: str) -> BreakerState:
        """A circuit breaker as it is stored."""
        seen: list[BreakerState] = []

        def look(state: BreakerState) -> tuple[BreakerState, None]:
            seen.append(state)
            return state, None

        self.read(self.inspector.commit(Batch(breaker_ops=[(name, look)]), OwnerId("o-law")))
        return seen[0]

    def tell(self, line: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.timeline.now:10.4f} {line}")

    def breaks(self, what: str) -> None:
        """A law did not hold; told by `play` as soon as the turn is over."""
        self.tell(f"BROKEN {what}")
        self.broken.append(what)

    def _stand(self) -> None:
        if self.broken:
            lines = [f"seed {self.seed}: {self.broken[0]}", "", *self.trace]
            raise Broken("\n".join(lines))

    def open_server(self, place: Place | None = None) -> Server | None:
        """A new session, at *place* or anywhere; None where it is refused."""
        place = place or self.places.any()
        try:
            server = Server(self, len(self.servers) + 1, self._connect(), place)
        except EnvironmentFault as refusal:
            self.tell(f"a session on {place} is refused: {refusal.message}")
            return None
        self.servers.append(server)
        self.tell(f"{server.name} opens on {place}")
        return server

    def awake(self) -> list[Server]:
        """The servers that get turns."""
        return [server for server in self.servers if server.awake]

    def any_server(self) -> Server | None:
        """One of those that get turns."""
        awake = self.awake()
        return self.dice.choice(awake) if awake else None

    def owner_of(self, record: Record) -> Server | None:
        """The living server that owns a run."""
        return next((one for one in self.servers if one.owner.id == record.owner and one.alive), None)

    def _chaos(self) -> None:
        for _ in range(self.dice.choice((1, 2, 2, 2))):
            self.open_server()
        self.host.visit()
        self.happenings.start()
        for _ in range(self.dice.randint(5, HAPPENINGS)):
            self.run_for(self.dice.expovariate(1 / 1.2))
            self.happenings.happen()

    def _peace(self) -> None:
        self.tell("from now on nothing goes wrong")
        self.calm = True
        self.plot.drop()
        for server in self.servers:
            server.disk.fault = None
            server.disk.slowness = 0.0
            server.still_until = 0.0
            server.breakdown.lay(0)
        caretaker = Caretaker(self)
        caretaker.visit()
        end = self.timeline.now + PATIENCE
        self.run_for(3 * VISIT)
        while self.timeline.now < end and not caretaker.all_is_done():
            self.run_for(2.0)
        if not caretaker.all_is_done():
            self.breaks(f"some runs do not come to their end: {caretaker.left()}")
            self._stand()
        caretaker.go()

    def _judge(self) -> None:
        for law in END_LAWS:
            for what in law(self):
                self.breaks(f"{law.__doc__} {what}")
        self._stand()
        for server in self.awake():
            server.leave()
        self.run_for(10.0)
        if self.awake():
            self.breaks(f"{[server.name for server in self.awake()]} do not end")
        self._stand()

    def run_for(self, seconds: float) -> None:
        """Let the world go on for so long."""
        end = self.timeline.now + seconds
        for _ in range(MAX_WORLD_TURNS):
            ready = [one for one in self.servers if (due := one.next_due()) is not None and due <= self.timeline.now]
            if ready:
                server = ready[0] if len(ready) == 1 else self.dice.choice(ready)
                server.turn()
                self._stand()
                continue
            following = self._next_due(end)
            if following > end:
                self.timeline.now = max(self.timeline.now, end)
                return
            self.timeline.advance(following)
            self._stand()
        self.breaks("the world does not come to rest")
        self._stand()

    def _next_due(self, end: float) -> float:
        dues = [self.timeline.next_due(), *(server.next_due() for server in self.servers)]
        return min((due for due in dues if due is not None), default=end + 1)


@contextlib.contextmanager
def _listening(world: World) -> Iterator[None]:
    """Hear what the engine logs, alone."""
    logger, handler = logging.getLogger("engine"), _Listener(world)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


class _Listener(logging.Handler):
    """Whatever the engine logs as an error of its own breaks a law."""

    EXPECTED = ("executor of",)

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        text = record.getMessage()
        told = f"{text} {record.exc_info[1] if record.exc_info else ''}"
        internal = "INTERNAL" in text or (record.exc_info and not text.startswith(self.EXPECTED))
        self._world.tell(f"log: {text}")
        if internal and WORDS not in told:
            self._world.breaks(f"the engine logs: {told}")
