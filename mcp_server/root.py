"""Where a project is.

Effects: looks at folders. It is imported before the first answer of the server, so it imports little.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import NotFound
from registry.paths import find_project_root


def find_root(given: str | Path | None = None) -> Path:
    """The project root: *given*, else CLAUDE_PROJECT_DIR, else the nearest directory with `.claude` or `.git`.

    Raises `NotFound` where a directory that was named is none.
    """
    named = given or os.environ.get("CLAUDE_PROJECT_DIR")
    if not named:
        return find_project_root(Path.cwd())
    root = Path(named).expanduser()
    if not root.is_dir():
        raise NotFound(f'the project "{root}" is no directory', code="PROJECT_NOT_FOUND")
    return root.resolve()
