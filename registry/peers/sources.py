"""The files beside a workflow that it names, as the caller finds them.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _nothing(*_: str) -> None:
    return None


class Sources(msgspec.Struct, frozen=True):
    """Files beside a workflow that it names."""

    command_text: Callable[[str], str | None] = _nothing
    """The text of a command file of Archon, by its name."""
    workflow: Callable[[str], Mapping[str, Any] | None] = _nothing
    """The content of a workflow of Archon, by its name."""
    script_file: Callable[[str, str], tuple[str, str] | None] = _nothing
    """Path and text of a script of Archon, by its name and the program that runs it."""
