"""Where a project is.

Effects: looks at folders. It is imported before the first answer of the server, so it imports little.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import NotFound
from registry.files.roots import FoundRoot, look_for_root

SESSION_VARIABLE = "CLAUDECODE"
"""Claude Code sets it for whatever a session starts: the server, and the commands of its model."""
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
"""Claude Code sets it to the folder that a session was started in; elsewhere a person has named the project."""


def find_root(given: str | Path | None = None, *, home: Path | None = None) -> FoundRoot:
    """The project root: *given* as it is, else that around CLAUDE_PROJECT_DIR, else that around the working folder.

    Without Claude Code, CLAUDE_PROJECT_DIR is the root as it is. *home* is the user's, by default that of the process.
    Raises `NotFound`: PROJECT_NOT_FOUND where a folder that was named is none, PROJECT_UNKNOWN as `look_for_root` does.
    """
    started = os.environ.get(PROJECT_VARIABLE) if os.environ.get(SESSION_VARIABLE) and not given else None
    if started:
        return look_for_root(_folder(started), home=home)
    named = given or os.environ.get(PROJECT_VARIABLE)
    return FoundRoot(_folder(named)) if named else look_for_root(Path.cwd(), home=home)


def told_others(found: FoundRoot) -> list[str]:
    """What there is to say of journals that lie in the project and are not used."""
    return [f"{other} has a journal of its own; {found.root} does not use it" for other in found.others]


def _folder(named: str | Path) -> Path:
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise NotFound(f'the project "{folder}" is no directory', code="PROJECT_NOT_FOUND")
    return folder.resolve()
