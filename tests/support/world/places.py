"""Where the servers of a world run: on which machine, in which PID namespace of it, and what each sees of the others.

Effects: none. What a server knows of another stands in a record, as in the state folder; whether its lock is held can
be seen by who shares a kernel with it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from msgspec import structs

from engine.errors import EnvironmentFault
from engine.statefolder.identity import Process
from engine.statefolder.owners import LATE_SECONDS, Record, check_hosts

if TYPE_CHECKING:
    from datetime import datetime

    from engine.ids import OwnerId
    from tests.support.world.server import Server
    from tests.support.world.world import World

FIRST_PID = 10_000_000
"""Beyond all numbers that processes of this machine have."""


@dataclass(frozen=True, slots=True)
class Place:
    """A PID namespace of a machine."""

    hostname: str
    namespace: str = ""


HERE = Place("here")
CONTAINER = Place("here", "container")
ELSEWHERE = Place("elsewhere")


class Places:
    """Those of one world, and the records of the servers that are or were there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = Random(f"{world.seed}:places")  # noqa: S311 - repeatable by intent
        self.all: tuple[Place, ...] = self._dice.choice(((HERE,), (HERE,), (HERE, CONTAINER), (HERE, ELSEWHERE)))
        self._boots = dict.fromkeys((place.hostname for place in self.all), 1)
        self._numbers = {place: itertools.count(1) for place in self.all}
        self._records: dict[OwnerId, Record] = {}

    def any(self) -> Place:
        """One of them."""
        return self._dice.choice(self.all)

    def enter(self, server: Server, place: Place) -> Process:
        """Take a new *server* in, if none of another machine is in the way. Raises `EnvironmentFault`.

        The first server of each place has the number of the first ones of all others, and so on.
        """
        world, number = self._world, next(self._numbers[place])
        boot = f"{place.hostname} {self._boots[place.hostname]}"
        process = Process(
            hostname=place.hostname,
            machine=place.hostname,
            boot=boot,
            world=f"{crc32(f'{boot} {place.namespace}'.encode()):012x}",
            pid=FIRST_PID + number,
            start=number,
        )
        try:
            check_hosts(world.project, self.seen_by(process), process, world.timeline.now)
        except EnvironmentFault:
            if not self._is_claimed(place.hostname):
                world.breaks(f"{server.name} is refused on {place}, and no other machine has a claim")
            raise
        others = [one.name for one in world.servers if one.alive and one.process.machine != process.machine]
        if others:
            world.breaks(f"{server.name} works on another machine than {others}, which live")
        self._records[server.owner.id] = Record(server.owner.id, process, world.timeline.now, None, held=True)
        return process

    def _is_claimed(self, hostname: str) -> bool:
        """Whether a machine other than *hostname* has shown that it is at work, shortly before now."""
        since = self._world.timeline.now - LATE_SECONDS
        return any(
            one.process is not None and one.process.hostname != hostname and one.renewed > since
            for one in self._records.values()
        )

    def renew(self, server: Server) -> None:
        """*server* shows that it lives."""
        record = self._records.get(server.owner.id)
        if record is not None:
            self._records[server.owner.id] = structs.replace(
                record, renewed=self._world.timeline.now, lived=server.owner.lived
            )

    def leave(self, owner: OwnerId) -> None:
        """*owner* has ended in good order, and takes its record with it."""
        self._records.pop(owner, None)

    def shown(self, owner: OwnerId) -> datetime | None:
        """When *owner* has last shown that it lives, as long as its record is there."""
        record = self._records.get(owner)
        return None if record is None else record.lived

    def seen_by(self, here: Process) -> list[Record]:
        """All records, as a process *here* reads them."""
        alive = {server.owner.id for server in self._world.servers if server.alive}
        return [
            structs.replace(one, held=one.owner in alive and one.process is not None and one.process.boot == here.boot)
            for one in self._records.values()
        ]

    def record(self, owner: OwnerId, here: Process) -> Record | None:
        """That of *owner*, as a process *here* reads it."""
        return next((one for one in self.seen_by(here) if one.owner == owner), None)

    def restart(self, hostname: str) -> None:
        """A machine starts again: what ran there is gone, and its locks with it."""
        world = self._world
        world.tell(f"the machine {hostname} starts again")
        self._boots[hostname] += 1
        for server in world.servers:
            if server.alive and server.process.hostname == hostname:
                server.kill()
        world.agents.cut_off(hostname)
