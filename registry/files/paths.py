"""Keeps every path that a user or a model names inside the project.

Effects: follows symbolic links on disk. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError

_MAX_PATH_LENGTH = 4096


def inside(root: Path, given: str | Path, *, also: Sequence[Path] = (), advice: str = "") -> Path:
    """*given*, relative to *root* or absolute, with all links followed; InputError where that leads out of *root*.

    It may lead into the folders *also*, resolved paths. *advice* says what can be done where it leads elsewhere. The
    answer comes before it is asked whether the file exists, so that nobody learns what lies outside.
    """
    text = str(given)
    if not text or "\0" in text or len(text) > _MAX_PATH_LENGTH:
        raise InputError(
            "That is not a path", code="INVALID_PATH", hint='Name a file under the project, or "/command".'
        )
    root = root.resolve()
    try:
        path = (root / text).resolve()
    except (OSError, RuntimeError, ValueError):
        message = f'Path "{text}" cannot be followed'
        raise InputError(message, code="INVALID_PATH", hint="A symbolic link may lead to itself.") from None
    if not any(path.is_relative_to(folder) for folder in (root, *also)):
        message = f'Path "{text}" leads out of the project'
        if advice:
            raise InputError(message, code="PATH_OUTSIDE_PROJECT", hint=advice)
        copy = f"copy the file into {root}, or choose its project"
        raise InputError(
            message,
            code="PATH_OUTSIDE_PROJECT",
            hint=f"{copy}: `orchestrate --project DIR`.",
            client_hint=f"{copy} by CLAUDE_PROJECT_DIR of the server.",
        )
    return path


def shown(root: Path, path: Path) -> str:
    """*path* as people read it: relative to *root* where it lies there."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
