"""One server of the project: an engine on a loop of its own, which can end, be killed, or stand still.

Effects: an event loop. A killed server never gets another turn; only when all is over is it taken apart, cut off from
everything.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import OrchestrationError
from engine.ids import OwnerId
from engine.model.agent import AgentKind
from engine.service import Engine
from engine.tables.breakers import BreakerConfig
from tests.support.world.agents import AgentExecutor, WorldOutbox
from tests.support.world.breakdown import Breakdown
from tests.support.world.disk import Disk, Killed
from tests.support.world.fleet import FleetExecutor
from tests.support.world.people import FAR
from tests.support.world.time import ServerLoop, WallClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine
    from pathlib import Path

    from engine.ids import AttemptId
    from engine.storage.port import Storage
    from tests.support.world.places import Place
    from tests.support.world.world import World

T = TypeVar("T")
BREAKER = BreakerConfig(
    failure_threshold=2, reset_timeout=timedelta(seconds=5), monitoring_period=timedelta(seconds=20)
)


class WorldOwner:
    """See `engine.runtime.owner.Owner`: what it knows of others stands in their records."""

    def __init__(self, world: World, server: Server) -> None:
        self.id = OwnerId(f"o-{server.name}")
        self._places = world.places
        self._server = server
        self.lived: datetime | None = None
        """When it has last shown that it lives."""

    def is_alive(self, owner: OwnerId) -> bool:
        """See `Owner.is_alive`."""
        record, here = self._places.record(owner, self._server.process), self._server.process
        return owner == self.id or (record is not None and record.lives(here, self._server.world.timeline.now))

    def last_seen(self, owner: OwnerId) -> datetime | None:
        """See `Owner.last_seen`."""
        record = self._places.record(owner, self._server.process)
        return None if record is None else record.lived

    def renew(self, now: datetime) -> None:
        """See `Owner.renew`."""
        self.lived = now
        self._places.renew(self._server)

    def close(self) -> None:
        """See `Owner.close`."""
        self._places.leave(self.id)


class Server:
    """A process with an engine."""

    def __init__(self, world: World, number: int, storage: Storage, place: Place) -> None:
        """Raises `EnvironmentFault` where another machine is at work on the project."""
        self.world = world
        self.name = f"s{number}"
        self.owner = WorldOwner(world, self)
        self.process = world.places.enter(self, place)
        self.dice = Random(f"{world.seed}:{self.name}")  # noqa: S311 - repeatable by intent
        self.loop = ServerLoop(world.timeline)
        self.loop.set_exception_handler(self._unhandled)
        self.alive = True
        self.still_until = 0.0
        """Until then it gets no turn: the machine or the process stands still."""
        self.clock = WallClock(world.timeline, world.runs)
        self.disk = Disk(self, storage)

        async def end_orphans(project: Path, *, lost: Collection[AttemptId] = ()) -> int:
            assert project == world.project
            return await world.agents.end_orphans(self, lost)

        executor = AgentExecutor(world.agents, self)
        self.engine = Engine(
            world.project,
            storage=self.disk,
            owner=self.owner,
            clock=self.clock,
            executors=dict.fromkeys((AgentKind.PROCESS, AgentKind.CLAUDE, AgentKind.PYTHON), executor),
            orphans=end_orphans,
            outbox=WorldOutbox(world.agents),
        )
        self.engine.custom_executors.update(dict.fromkeys(FAR, FleetExecutor(world.fleet, self)))
        self.engine.breakers["api"] = BREAKER
        if self.dice.randrange(3) == 0:
            self.engine.values.configure(max_bytes=self.dice.choice((0, 200, 50_000)))
        self.engine.live_runs.listeners.append(lambda run, events: world.audit.told(self, run, events))
        changes = Random(f"{world.seed}:{self.name}: what is covered")  # noqa: S311 - repeatable by intent
        self.engine.permits.again = lambda *_: "something was changed" if changes.randrange(30) == 0 else None
        self.breakdown = Breakdown(self)
        self._leave = asyncio.Event()
        self._main = self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        async with self.engine.serving():
            cleaning = asyncio.ensure_future(self._clean_up())
            await self._leave.wait()
            cleaning.cancel()
            await asyncio.gather(cleaning, return_exceptions=True)

    async def _clean_up(self) -> None:
        """As every server does when it opens a project."""
        with contextlib.suppress(OrchestrationError):
            await self.engine.clean_up()

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self.alive:
            self.world.breaks(f"{self.name}: {context.get('message')} {context.get('exception')!r}")

    @property
    def awake(self) -> bool:
        """Whether it gets turns now."""
        return self.alive and self.world.timeline.now >= self.still_until

    def next_due(self) -> float | None:
        """When it wants its next turn; None: never."""
        due = self.loop.next_due() if self.alive else None
        return None if due is None else max(due, self.still_until)

    def turn(self) -> None:
        """One turn of its loop, in which it may die."""
        try:
            self.loop.turn()
        except Killed:
            self.kill()
        if self.alive and self._main.done():
            self.alive = False
            self.owner.close()
            if self._main.exception() is not None:
                self.world.breaks(f"{self.name} ended with {self._main.exception()!r}")
            self.world.tell(f"{self.name} has ended")

    def call(self, work: Coroutine[Any, Any, T], then: Callable[[T | BaseException], None]) -> asyncio.Task[T]:
        """Have its engine do *work* for a client; *then* is told what came of it, in the moment it is answered."""

        def answered(task: asyncio.Task[T]) -> None:
            if self.alive and not task.cancelled():
                error = task.exception()
                then(task.result() if error is None else error)

        task = self.loop.create_task(work)
        task.add_done_callback(answered)
        return task

    def leave(self) -> None:
        """End in good order: what runs is ended and recorded as interrupted."""
        self._leave.set()

    def kill(self) -> None:
        """Gone, from one moment to the next."""
        self.alive = False
        self.world.tell(f"{self.name} is killed")
        self.world.agents.orphan(self)

    def take_apart(self) -> None:
        """Let nothing of a dead server stay in the memory of the test; whatever it still does reaches nobody."""
        for _ in range(1000):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                break
            self.world.agents.let_go(self)
            for task in tasks:
                task.cancel()
            with contextlib.suppress(Killed):
                self.loop.turn()
        else:
            self.world.breaks(f"{self.name} cannot be taken apart: {asyncio.all_tasks(self.loop)}")
        self.loop.close()
