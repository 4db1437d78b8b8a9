"""What one connection to the server keeps: the project, opened when the first tool needs it, or there may be orphans.

Effects: opens and closes the project. The heavy half of the program is imported here, on the first call, so that a
client that only connects does not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.statefolder.location import has_journal
from mcp_server.project import root
from mcp_server.protocol.notifications import Notifications

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import ModuleType

    from mcp.server.subscriptions import SubscriptionBus

    from engine.ids import AttemptId, RunId
    from mcp_server.answers.task_tools import Told
    from mcp_server.project.project import Project


QUIET_SECONDS = 1.0
"""After its first request a client is left alone for so long: what it asks next is answered before anything else."""

log = logging.getLogger(__name__)


class Session:
    """One client's connection."""

    def __init__(self, bus: SubscriptionBus, *, place: str | Path | None = None, home: Path | None = None) -> None:
        """*place* is the project root, *home* the user's home; by default what the environment says.

        *bus* carries news to clients of protocol 2026-07-28.
        """
        self.notifications = Notifications(bus)
        self.told: dict[RunId, int] = {}
        """Events of each run that the client has seen the effect of."""
        self.tasks: dict[RunId, Told] = {}
        """What the Task tools of the client were told of each run."""
        self.orders: dict[RunId, set[AttemptId]] = {}
        """Attempts of each run whose work orders the client was given."""
        self.asked: set[str] = set()
        """Questions that the person at the client was asked: none is asked twice."""
        self.told_as_over: set[RunId] = set()
        """Runs whose task was told as completed: it stays so, whatever becomes of the run."""
        self.closing = False
        """The client has gone: calls that end now were not cancelled by anybody."""
        self._place = place
        self._home = home
        self._project: Project | None = None
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._looking: asyncio.Task[None] | None = None

    async def project(self) -> Project:
        """The project. Raises `OrchestrationError` where it cannot be opened; the next call tries again."""
        async with self._opening:
            if self._project is not None:
                return self._project
            module = await asyncio.to_thread(_import_project)
            found = root.find_root(self._place, home=self._home)
            opened: AbstractAsyncContextManager[Project] = module.open_project(
                found.root, host=True, home=self._home, notes=root.told_others(found)
            )
            project = self._project = await self._stack.enter_async_context(opened)
            self.notifications.watch(project)
            return project

    def look_after(self) -> None:
        """Have what killed servers left looked after in a moment, though the client may never ask about runs."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        try:
            if has_journal(root.find_root(self._place, home=self._home).root):
                await (await self.project()).reader()
        except OrchestrationError as error:  # whoever asks about runs hears of it
            log.warning("what earlier servers left cannot be looked after: %s", error)

    @property
    def opened(self) -> Project | None:
        """The project where it is open already."""
        return self._project

    async def close(self) -> None:
        """End what runs, and record it as interrupted."""
        self.closing = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.notifications.close()
        await self._stack.aclose()


def _import_project() -> ModuleType:
    """The engine, the registry and all they need: several times what the server itself has to import."""
    importlib.import_module("mcp_server.protocol.contents")
    return importlib.import_module("mcp_server.project.project")
