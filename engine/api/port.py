"""The workplace that the Python API needs: commands and agents by name, and the engine.

Effects: only imports the ordinary workplace when it is first needed.

Why an import by name. Users write `from engine import OrchestrationEngine` and run "/review-code" with it, so something
under `engine` must find command files, agent files and settings. These belong to the registry and the server, which are
above the engine and import it. The API therefore knows only this port; a caller may pass another workplace, and the
ordinary one is looked up by name at run time, only here. No module of the engine depends on a room above it when it is
imported, tested or used with its own workplace.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from engine.run.events import Limits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine.executors.simulate import Fault
    from engine.ids import NodeId, RunId
    from engine.model.agent import Agent
    from engine.service import Engine
    from engine.views.todos import TodoOptions

ORDINARY = "mcp_server.project.workplace:open_workplace"
"""Module and function of the default workplace."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a new run."""

    source: str | Mapping[str, Any]
    """ "/name", a path under the project root, or a definition."""
    arguments: str | Mapping[str, Any] | None = None
    executor: str = "auto"
    """`auto`, `claude` or `simulate`."""
    own_agents: bool = False
    """The program does the work of every agent itself, so no other executor is needed."""
    limits: Limits = msgspec.field(default_factory=Limits)
    faults: Mapping[tuple[NodeId, int | None], Fault] = msgspec.field(default_factory=dict)
    """For `simulate`: failures by node and attempt number."""
    values: Mapping[NodeId, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    """For `simulate`: outputs by node and key."""
    seed: int | None = None
    """For `simulate`: equal seeds produce equal runs."""


class Workplace(Protocol):
    """One project, open."""

    @property
    def todo_options(self) -> TodoOptions:
        """The form of todo lists in the project's settings."""

    async def engine(self) -> Engine:
        """The engine. Raises `EnvironmentFault` if the state folder cannot be used."""

    def add_agents(self, names: Collection[str]) -> None:
        """Let commands name these agents; the program does their work."""

    def add_breakers(self, names: Collection[str]) -> None:
        """Let commands name these circuit breakers, beside those of the settings."""

    def agent(self, agent_id: str) -> Agent | None:
        """The agent as its file defines it, whether or not the program does its work."""

    def agent_ids(self, source: str | Mapping[str, Any]) -> Collection[str]:
        """The agents that a command needs. Raises `InvalidCommand`, `NotFound`."""

    async def start(self, request: Request) -> RunId:
        """Start a run, or simulate one to its end. Raises `InvalidCommand`, `InputError`, `EnvironmentFault`."""

    async def resume(self, run_id: RunId, *, failed: bool, limits: Limits) -> None:
        """Resume an interrupted run, or retry a failed one, with these *limits* over its own.

        Raises `StateError`, `NotFound`.
        """

    async def decide(self, run_id: RunId, node: str, answer: str) -> None:
        """Pass on a person's answer. Raises `StateError`, `NotFound`."""


class Opener(Protocol):
    """Opens a workplace for the length of a block."""

    def __call__(self, project: Path | None) -> AbstractAsyncContextManager[Workplace]:
        """*project* is its root; None: searched from the working directory upwards."""


def open_ordinary(project: Path | None) -> AbstractAsyncContextManager[Workplace]:
    """The project's own commands, agents, settings and runs."""
    module, _, name = ORDINARY.partition(":")
    opener: Opener = getattr(import_module(module), name)
    return opener(project)
