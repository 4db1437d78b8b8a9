"""What one connection to the server keeps: the project, opened when the first tool needs it.

Effects: opens and closes the project. The heavy half of the program is imported here, on the first call, so that a
client that only connects does not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import TYPE_CHECKING

from mcp_server.news import News

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import ModuleType

    from mcp.server.subscriptions import SubscriptionBus

    from engine.ids import AttemptId, RunId
    from mcp_server.project import Project
    from mcp_server.tasks import Told


class Session:
    """One client's connection."""

    def __init__(self, bus: SubscriptionBus, *, root: str | Path | None = None, home: Path | None = None) -> None:
        """*root* is the project root, *home* the user's home; by default what the environment says.

        *bus* carries news to clients of protocol 2026-07-28.
        """
        self.news = News(bus)
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
        self._root = root
        self._home = home
        self._project: Project | None = None
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()

    async def project(self) -> Project:
        """The project. Raises `OrchestrationError` where it cannot be opened; the next call tries again."""
        async with self._opening:
            if self._project is not None:
                return self._project
            module = await asyncio.to_thread(_import_project)
            opened: AbstractAsyncContextManager[Project] = module.open_project(
                module.find_root(self._root), host=True, home=self._home
            )
            project = self._project = await self._stack.enter_async_context(opened)
            self.news.watch(project)
            return project

    @property
    def opened(self) -> Project | None:
        """The project where it is open already."""
        return self._project

    async def close(self) -> None:
        """End what runs, and record it as interrupted."""
        self.closing = True
        await self.news.close()
        await self._stack.aclose()


def _import_project() -> ModuleType:
    """The engine, the registry and all they need: several times what the server itself has to import."""
    importlib.import_module("mcp_server.reading")
    return importlib.import_module("mcp_server.project")
