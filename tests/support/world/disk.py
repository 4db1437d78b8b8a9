"""One server's way to the shared storage: slow, failing for a while, and cut off in the middle by the server's death.

Effects: those of the storage behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from engine.errors import EnvironmentFault
from engine.ids import OwnerId, RunId
from engine.run.events import Event, RunStatus
from engine.storage.port import Batch, Follow, Message, RunSummary, SessionValue, Storage, TableOutcome
from engine.tables.locks import Claim, LockOutcome

if TYPE_CHECKING:
    from tests.support.world.server import Server

T = TypeVar("T")
READS = frozenset({"events", "summaries", "summary", "claims", "unread", "session_values", "estimates", "changed"})
WITHIN = "follow"
"""Inside a commit: what locks and breakers answered is being followed."""
WRITES = frozenset({"commit", "take_over", "post", "inbox", "remove"})
STEP = 1e-6


class Killed(SystemExit):
    """The server died at this very point; asyncio lets nothing else of its turn happen."""


@dataclass(slots=True)
class Fault:
    """What the disk says for a while."""

    code: str
    until: float
    operations: frozenset[str]


class Disk:
    """See `engine.storage.port.Storage`; every promise is the storage's behind it."""

    def __init__(self, server: Server, storage: Storage) -> None:
        self._server = server
        self._storage = storage
        self._turn = asyncio.Lock()
        self._answered_at = 0.0
        self.fault: Fault | None = None
        self.slowness = 0.0
        """Seconds that an operation takes at most."""

    async def _do(self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        """One operation after the other, as the one thread of a real storage does them; answers come in order too."""
        server, timeline = self._server, self._server.world.timeline
        async with self._turn:
            await self._pass(server.dice.uniform(0, self.slowness) if self.slowness else 0.0)
            self._check(what)
            server.world.plot.reached(server, what, before=True)
            result = await action()
            server.world.plot.reached(server, what, before=False)
        if self.slowness or self._answered_at > timeline.now:
            at = max(self._answered_at + STEP, timeline.now + server.dice.uniform(0, self.slowness))
            self._answered_at = at
            await self._pass(at - timeline.now)
        return result

    async def _pass(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)  # noqa: TID251 - of virtual time

    def _check(self, what: str) -> None:
        if not self._server.alive:
            raise EnvironmentFault("the process is gone", code="STORAGE_FAILED")
        fault = self.fault
        if fault is not None and what in fault.operations:
            if self._server.world.timeline.now < fault.until:
                raise EnvironmentFault(f"{what}: as the seed will have it", code=fault.code)
            self.fault = None

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """See `Storage.commit`; the server may die within, too, and nothing of it is durable then."""
        server = self._server
        taken = [batch]

        def followed(outcomes: list[TableOutcome]) -> Batch:
            server.world.plot.reached(server, WITHIN, before=True)
            assert follow is not None
            taken.append(follow(outcomes))
            server.world.plot.reached(server, WITHIN, before=False)
            return taken[-1]

        async def action() -> list[TableOutcome]:
            outcomes = await self._storage.commit(batch, owner, None if follow is None else followed)
            await server.world.audit.committed(server, taken, self._storage)
            return outcomes

        return await self._do("commit", action)

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """See `Storage.events`."""
        return await self._do("events", lambda: self._storage.events(run, since))

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """See `Storage.summaries`."""
        return await self._do("summaries", lambda: self._storage.summaries(limit))

    async def summary(self, run: RunId) -> RunSummary | None:
        """See `Storage.summary`."""
        return await self._do("summary", lambda: self._storage.summary(run))

    def value(self, digest: str) -> bytes | None:
        """See `Storage.value`."""
        return self._storage.value(digest)

    def last_status(self, command: str) -> RunStatus | None:
        """See `Storage.last_status`."""
        return self._storage.last_status(command)

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """See `Storage.take_over`."""

        async def action() -> bool:
            taken = await self._storage.take_over(run, old, new, ended=ended)
            if taken:
                self._server.world.audit.taken(run, new)
            return taken

        return await self._do("take_over", action)

    async def post(self, message: Message) -> None:
        """See `Storage.post`."""
        await self._do("post", lambda: self._storage.post(message))

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """See `Storage.inbox`."""
        return await self._do("inbox", lambda: self._storage.inbox(runs))

    async def unread(self, run: RunId) -> bool:
        """See `Storage.unread`."""
        return await self._do("unread", lambda: self._storage.unread(run))

    async def claims(self) -> list[Claim]:
        """See `Storage.claims`."""
        return await self._do("claims", self._storage.claims)

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """See `Storage.session_values`."""
        return await self._do("session_values", lambda: self._storage.session_values(now))

    async def estimates(self, command: str) -> dict[str, float]:
        """See `Storage.estimates`."""
        return await self._do("estimates", lambda: self._storage.estimates(command))

    async def remove(self, rows: Iterable[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        """See `Storage.remove`."""
        wanted = list(rows)

        async def action() -> tuple[list[RunId], list[LockOutcome]]:
            gone, outcomes = await self._storage.remove(wanted, owner)
            self._server.world.audit.removed(gone)
            return gone, outcomes

        return await self._do("remove", action)

    async def changed(self) -> bool:
        """See `Storage.changed`."""
        return await self._do("changed", self._storage.changed)

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._storage.close()
