"""Notifies clients of changes: of the project's commands, and of runs that they subscribed to.

Effects: polls command files and runs while a project is open, and sends notifications. Clients of protocol 2026-07-28
get them on the streams that they opened with `subscriptions/listen`, older ones on their connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from typing import TYPE_CHECKING

from mcp.server.subscriptions import PromptsListChanged, ResourcesListChanged, ResourceUpdated

from engine.errors import OrchestrationError
from mcp_server.protocol.uris import AGENTS, COMMANDS, RUNS, command_of, run_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from mcp.server.session import ServerSession
    from mcp.server.subscriptions import ServerEvent, SubscriptionBus

    from mcp_server.project.project import Project

LOOK_SECONDS = 1.0
"""Seconds between two looks for changes."""
MAX_CONNECTIONS = 256
MAX_SUBSCRIPTIONS = 1024

log = logging.getLogger(__name__)


class Notifications:
    """The subscriptions of one server's clients, and the state that was last announced."""

    def __init__(self, bus: SubscriptionBus) -> None:
        """*bus* carries events to the streams of `subscriptions/listen`."""
        self._bus = bus
        self._connected: deque[ServerSession] = deque(maxlen=MAX_CONNECTIONS)
        self._subscribed: deque[tuple[str, ServerSession]] = deque(maxlen=MAX_SUBSCRIPTIONS)
        self._listened: Counter[str] = Counter()
        self._seen: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None

    def connected(self, client: ServerSession) -> None:
        """Register a client of an older protocol, which is notified on its connection."""
        self._connected.append(client)

    async def subscribe(self, project: Project, uri: str, client: ServerSession) -> None:
        """Notify *client*, of an older protocol, of changes of *uri* from now on."""
        self.unsubscribe(uri, client)
        await self._note(project, [uri])
        self._subscribed.append((uri, client))

    def unsubscribe(self, uri: str, client: ServerSession) -> None:
        """Undo `subscribe`."""
        for entry in [entry for entry in self._subscribed if entry[0] == uri and _is_same(entry[1], client)]:
            self._subscribed.remove(entry)

    @contextlib.asynccontextmanager
    async def listening(self, project: Project, uris: Collection[str]) -> AsyncIterator[None]:
        """Watch *uris* for a stream that is open as long as the block."""
        await self._note(project, uris)
        self._listened.update(uris)
        try:
            yield
        finally:
            self._listened -= Counter(uris)

    def watch(self, project: Project) -> None:
        """Start to look; only changes from now on are announced."""
        self._seen = {COMMANDS: project.catalog.signature()}
        self._task = asyncio.create_task(self._watch(project))

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self, project: Project) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look(project)
            except Exception:
                log.exception("cannot look for changes")

    async def look(self, project: Project) -> None:
        """Compare the present state with the announced one, and announce the difference."""
        wanted = {*self._listened, *(uri for uri, _ in self._subscribed)}
        if self._differs(COMMANDS, project.catalog.signature()):
            await self._announce(PromptsListChanged())
            await self._announce(ResourcesListChanged())
            for uri in sorted(uri for uri in wanted if uri == COMMANDS or command_of(uri)):
                await self._announce(ResourceUpdated(uri=uri))
        for uri in sorted(wanted):
            if (state := await _state_of(project, uri)) is not None and self._differs(uri, state):
                await self._announce(ResourceUpdated(uri=uri))
        wanted = {*self._listened, *(uri for uri, _ in self._subscribed), COMMANDS}
        self._seen = {uri: state for uri, state in self._seen.items() if uri in wanted}

    async def _note(self, project: Project, uris: Collection[str]) -> None:
        """Remember the state of *uris* that were not watched before: later changes are announced."""
        for uri in uris:
            if uri not in self._seen and (state := await _state_of(project, uri)) is not None:
                self._seen.setdefault(uri, state)

    def _differs(self, uri: str, state: object) -> bool:
        """Whether the state of *uri* has changed; a run that did not exist before counts as a change."""
        before = self._seen.get(uri)
        self._seen[uri] = state
        return before != state

    async def _announce(self, event: ServerEvent) -> None:
        await self._bus.publish(event)
        if isinstance(event, ResourceUpdated):
            for _, client in [entry for entry in self._subscribed if entry[0] == event.uri]:
                await client.send_resource_updated(event.uri)
            return
        for client in list(self._connected):
            if isinstance(event, PromptsListChanged):
                await client.send_prompt_list_changed()
            else:
                await client.send_resource_list_changed()


async def _state_of(project: Project, uri: str) -> object | None:
    """A value that changes when *uri* does; None if that is unknown, or part of the commands' own signature."""
    if uri == AGENTS:
        return id(project.catalog.agents())  # a new object only if a file has changed
    try:
        if uri == RUNS:
            return tuple(await (await project.reader()).storage.summaries())
        run_id = run_of(uri)
        return await (await project.reader()).read(run_id, lambda view: view.run.events) if run_id else None
    except OrchestrationError:
        return None


def _is_same(one: ServerSession, other: ServerSession) -> bool:
    """Whether two requests came over one connection."""
    return one.client_params is other.client_params
