"""Finds command and agent files, reads and checks them, and bundles everything that a run needs.

Effects: none by itself; its contents are imported on first use, so that a server starts quickly.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; the module is imported before the server's first answer
if TYPE_CHECKING:
    from registry.catalog import Catalog, CheckedCommand
    from registry.commands import CommandSource, CommandSummary
    from registry.files.roots import find_project_root
    from registry.loader import CommandLoader, LoadedCommand, ValidationResult

_HOMES = {
    "Catalog": "registry.catalog",
    "CommandLoader": "registry.loader",
    "CommandSource": "registry.commands",
    "CommandSummary": "registry.commands",
    "CheckedCommand": "registry.catalog",
    "LoadedCommand": "registry.loader",
    "ValidationResult": "registry.loader",
    "find_project_root": "registry.files.roots",
}

__all__ = [
    "Catalog",
    "CheckedCommand",
    "CommandLoader",
    "CommandSource",
    "CommandSummary",
    "LoadedCommand",
    "ValidationResult",
    "find_project_root",
]


if not TYPE_CHECKING:  # otherwise a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        from importlib import import_module  # noqa: PLC0415 - asked for once per name

        return getattr(import_module(_HOMES[name]), name)
