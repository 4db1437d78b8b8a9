"""Finds the root of a project.

Effects: looks at folders. It is imported before the server's first answer, so it imports little.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import NotFound
from registry.files.roots import FoundRoot, look_for_root

SESSION_VARIABLE = "CLAUDECODE"
"""Claude Code sets it for everything that a session starts: the server, and the commands of its model."""
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
"""Claude Code sets it to the folder that a session was started in; otherwise a person has set it to a project."""


def find_root(given: str | Path | None = None, *, home: Path | None = None) -> FoundRoot:
    """The project root: *given*, or the root around CLAUDE_PROJECT_DIR, or the one around the working directory.

    Outside Claude Code, CLAUDE_PROJECT_DIR is the root itself. *home* is the user's home directory, by default that of
    the process. Raises `NotFound`: PROJECT_NOT_FOUND if a given folder does not exist, PROJECT_UNKNOWN as
    `look_for_root` does.
    """
    started = os.environ.get(PROJECT_VARIABLE) if os.environ.get(SESSION_VARIABLE) and not given else None
    if started:
        return look_for_root(_folder(started), home=home)
    named = given or os.environ.get(PROJECT_VARIABLE)
    return FoundRoot(_folder(named)) if named else look_for_root(Path.cwd(), home=home)


def notes_on(found: FoundRoot) -> list[str]:
    """A note for each journal in the project that is not used."""
    return [f"{other} has a journal of its own; {found.root} does not use it" for other in found.others]


def _folder(named: str | Path) -> Path:
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise NotFound(
            f'the project "{folder}" is not a directory',
            code="PROJECT_NOT_FOUND",
            hint=f"Correct `orchestrate --project DIR`, or {PROJECT_VARIABLE} in the environment of the server.",
        )
    return folder.resolve()
