"""A project as the Python API sees it.

Effects: those of `project.Project`, to which it passes calls. It is found by name: `engine/api/port.py` says why.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault
from mcp_server.project.project import Project, RunRequest, open_project
from mcp_server.project.root import find_root, notes_on
from registry.agents.load import load_agents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from engine.api.port import Request, Workplace
    from engine.ids import RunId
    from engine.model.agent import Agent
    from engine.run.events import Limits
    from engine.service import Engine
    from engine.views.todos import TodoOptions


class ProjectPlace:
    """One open project."""

    def __init__(self, project: Project, home: Path | None) -> None:
        """*home* is the user's home directory."""
        self._project = project
        self._home = home

    @property
    def todo_options(self) -> TodoOptions:
        """See `Workplace.todo_options`."""
        return self._project.todo_options

    async def engine(self) -> Engine:
        """See `Workplace.engine`; if nothing can be written, it is one that reads and simulates."""
        engine, _recorded = await self._project.engines.recorder()
        return engine

    def add_agents(self, names: Collection[str]) -> None:
        """See `Workplace.add_agents`."""
        self._project.catalog.custom_agents = frozenset(names)

    def agent(self, agent_id: str) -> Agent | None:
        """See `Workplace.agent`."""
        return load_agents(self._project.root, home=self._home).get(agent_id)

    def add_breakers(self, names: Collection[str]) -> None:
        """See `Workplace.add_breakers`."""
        self._project.catalog.breakers = frozenset({*self._project.settings.breakers, *names})

    def agent_ids(self, source: str | Mapping[str, Any]) -> Collection[str]:
        """See `Workplace.agent_ids`."""
        return self._project.plan(source).agents.keys()

    async def start(self, request: Request) -> RunId:
        """See `Workplace.start`."""
        asked = RunRequest(
            source=request.source,
            arguments=request.arguments,
            executor=request.executor,
            limits=request.limits,
            faults=request.faults,
            values=request.values,
            seed=request.seed,
        )
        try:
            return await self._project.start(asked)
        except EnvironmentFault as fault:
            if fault.code != "EXECUTOR_UNAVAILABLE" or not request.own_agents:
                raise
        engine = await self._project.engine()
        limits = self._project.limits(request.limits)
        loaded = self._project.load(request.source)
        plan = self._project.plan(loaded)
        return await engine.start(
            plan, arguments=request.arguments, executor="native", limits=limits, definition=loaded.raw
        )

    async def resume(self, run_id: RunId, *, failed: bool, limits: Limits) -> None:
        """See `Workplace.resume`."""
        await self._project.resume(run_id, failed=failed, limits=limits)

    async def decide(self, run_id: RunId, node: str, answer: str) -> None:
        """See `Workplace.decide`."""
        await self._project.decide(run_id, node, answer)


@contextlib.asynccontextmanager
async def open_workplace(project: Path | None) -> AsyncIterator[Workplace]:
    """The project at *project*, or around the working directory, for the duration of the block."""
    found = find_root(project)
    async with open_project(found.root, notes=notes_on(found)) as opened:
        yield ProjectPlace(opened, Path.home())
