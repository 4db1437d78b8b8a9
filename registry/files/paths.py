"""Keeps every path that a user or a model names inside the project.

Effects: follows symbolic links on disk. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError

_MAX_PATH_LENGTH = 4096


def inside(root: Path, given: str | Path, *, also: Sequence[Path] = (), advice: str = "") -> Path:
    """*given*, relative to *root* or absolute, with all links followed; InputError if that is outside *root*.

    It may also be in the folders *also*, resolved paths. *advice* is the hint for paths elsewhere. The
    existence of the file is checked only afterwards, so that no one learns about files outside.
    """
    text = str(given)
    if not text or "\0" in text or len(text) > _MAX_PATH_LENGTH:
        raise InputError("That is not a path", code="INVALID_PATH", hint='Name a file in the project, or "/command".')
    root = root.resolve()
    try:
        path = (root / text).resolve()
    except (OSError, RuntimeError, ValueError):
        message = f'Path "{text}" cannot be followed'
        raise InputError(message, code="INVALID_PATH", hint="Check for a circular symbolic link.") from None
    if not any(path.is_relative_to(folder) for folder in (root, *also)):
        message = f'Path "{text}" is outside the project'
        if advice:
            raise InputError(message, code="PATH_OUTSIDE_PROJECT", hint=advice)
        copy = f"Copy the file into {root}, or choose its project"
        raise InputError(
            message,
            code="PATH_OUTSIDE_PROJECT",
            hint=f"{copy} with `orchestrate --project DIR`.",
            client_hint=f"{copy} with CLAUDE_PROJECT_DIR of the server.",
        )
    return path


def shown(root: Path, path: Path) -> str:
    """*path* for display: relative to *root* if it is inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
