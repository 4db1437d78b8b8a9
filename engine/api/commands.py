"""A command as a program hands it over: its data, the model of it, or what `CommandLoader.load` gave.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from engine.errors import InputError
from engine.model.command import CommandDefinition


@runtime_checkable
class HasDefinition(Protocol):
    """A `registry.LoadedCommand`, of which nothing else is known here."""

    @property
    def definition(self) -> CommandDefinition | Mapping[str, Any]:
        """The model, or the data where it has errors."""


Definition = CommandDefinition | Mapping[str, Any] | HasDefinition


def data_of(command: Definition, *, hint: str) -> Mapping[str, Any]:
    """The v2 data of *command*. Raises `InputError` with *hint* where it is nothing of the kind."""
    given: object = command.definition if isinstance(command, HasDefinition) else command
    if isinstance(given, CommandDefinition):
        dumped: dict[str, Any] = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return dumped
    if isinstance(given, Mapping):
        return given
    raise InputError(f"a command cannot be made of {given!r:.100}", hint=hint)
