"""The Python API for commands: load one as in the guide, check it, and list its problems.

Effects: reads files. It runs nothing; `engine.OrchestrationEngine` does.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from engine.api.checks import check_kind, check_names
from registry.catalog import Catalog
from registry.files.places import COMMANDS
from registry.files.roots import find_project_root

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.model.command import CommandDefinition
    from engine.model.plan import Bundle
    from engine.validation import Problem
    from registry.catalog import CheckedCommand

_FOLDERS = ("", f"{COMMANDS}/v2", f"{COMMANDS}/v2/examples", COMMANDS)
"""Where a relative path is looked for, in this order, below the project."""


@dataclass(frozen=True, slots=True)
class LoadedCommand:
    """A command as returned by `CommandLoader.load`."""

    loaded: CheckedCommand

    @property
    def name(self) -> str:
        """With the slash."""
        return self.loaded.name

    @property
    def definition(self) -> CommandDefinition | Mapping[str, Any]:
        """The model; if the command has errors, the raw data, so that `validate` can list them."""
        return self.loaded.raw if self.loaded.definition is None else self.loaded.definition

    @property
    def format(self) -> str:
        """`json`, `markdown` or `dialect`."""
        return self.loaded.format

    @property
    def path(self) -> Path | None:
        """The file it came from."""
        return self.loaded.path

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Errors and warnings."""
        return self.loaded.problems


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """The result of `CommandLoader.validate`."""

    problems: tuple[Problem, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether the command can run."""
        return not self.errors


class CommandLoader:
    """Loads and checks commands of one project; keep it, since its cache makes later loads fast."""

    def __init__(
        self,
        project: str | Path | None = None,
        *,
        home: str | Path | None = None,
        breakers: Collection[str] = (),
        custom_agents: Collection[str] = (),
    ) -> None:
        """*project* is its root; without one the root is searched from the working directory upwards.

        *home* is the user's home directory, *breakers* and *custom_agents* are names that commands may use in addition
        to those found in files. Raises `InputError` (INVALID_OPTION) for anything else.
        """
        for name, folder in (("project", project), ("home", home)):
            check_kind(name, folder, (str, os.PathLike, NoneType), hint="Give the path of a folder.")
        check_names("breakers", breakers, hint='Give a list of names: ["external-api"].')
        check_names("custom_agents", custom_agents, hint='Give a list of ids: ["worker"].')
        user = Path(home) if home is not None else None
        root = Path(project) if project is not None else find_project_root(Path.cwd(), home=user)
        self.catalog: Catalog = Catalog(root, home=user, breakers=breakers, custom_agents=custom_agents)

    async def load(self, source: str | Path | Mapping[str, Any]) -> LoadedCommand:
        """The command *source*: "/name", a definition, or a path in the project or one of its command folders."""
        return self.load_sync(source)

    def load_sync(self, source: str | Path | Mapping[str, Any]) -> LoadedCommand:
        """The same for callers without an event loop."""
        if isinstance(source, Path):
            source = str(source)
        if not isinstance(source, str):
            return LoadedCommand(self.catalog.load(source))
        for folder in _FOLDERS:
            with contextlib.suppress(OSError):  # not a possible file name
                if (self.catalog.project / folder / source).is_file():
                    source = str(Path(folder, source))
                    break
        return LoadedCommand(self.catalog.load(source))

    def validate(self, definition: CommandDefinition | Mapping[str, Any] | LoadedCommand | str) -> ValidationResult:
        """All problems of *definition*, which may also be a name or a path."""
        loaded = definition.loaded if isinstance(definition, LoadedCommand) else self.catalog.load(definition)
        return ValidationResult(loaded.problems, loaded.errors, loaded.warnings)

    def bundle(self, source: str | Mapping[str, Any]) -> Bundle:
        """The command with everything that a run of it needs; InvalidCommand if it has errors."""
        return self.catalog.bundle(self.catalog.load(source))


__all__ = ["CommandLoader", "LoadedCommand", "ValidationResult"]
