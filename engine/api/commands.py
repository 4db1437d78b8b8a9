"""A command as a program passes it: its data, its model, or the result of `CommandLoader.load`.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from engine.errors import InputError
from engine.model.command import CommandDefinition


@runtime_checkable
class HasDefinition(Protocol):
    """A `registry.LoadedCommand`, reduced to what is needed here."""

    @property
    def definition(self) -> CommandDefinition | Mapping[str, Any]:
        """The model, or the data if it has errors."""


Definition = CommandDefinition | Mapping[str, Any] | HasDefinition


def data_of(command: Definition, *, hint: str) -> Mapping[str, Any]:
    """The v2 data of *command*. Raises `InputError` with *hint* for anything else."""
    given: object = command.definition if isinstance(command, HasDefinition) else command
    if isinstance(given, CommandDefinition):
        dumped: dict[str, Any] = given.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return dumped
    if isinstance(given, Mapping):
        return given
    raise InputError(f"a command cannot be made of {given!r:.100}", hint=hint)
