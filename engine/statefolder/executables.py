"""Where programs of ours are looked for: git and Claude Code are the machine's, never a project's by their bare name.

Effects: reads the search path, and looks for programs. A search path may hold folders of a project, or `.`, which is
whatever project one is in: what lies there came with it and is nobody's git.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SYSTEMS = os.pathsep.join(folder for folder in os.defpath.split(os.pathsep) if folder)
"""Where no folder is left: an empty search path would be the folder that one is in."""


def search_path(project: Path) -> str:
    """The search path without folders that are relative, or that lie in *project* with links followed."""
    return _outside(project) or _SYSTEMS


def find_outside(name: str, project: Path) -> str | None:
    """The program *name* as a path, looked for outside of *project*; a path is taken as it is. None: there is none."""
    return shutil.which(name, path=_outside(project))


def rooted(path: str) -> str:
    """The search path *path* without folders that are relative: they mean whatever project one is in."""
    return _absolute(path) or _SYSTEMS


def _outside(project: Path) -> str:
    root = Path(os.path.realpath(project))
    folders = _absolute(os.environ.get("PATH", os.defpath)).split(os.pathsep)
    return os.pathsep.join(one for one in folders if one and not Path(os.path.realpath(one)).is_relative_to(root))


def _absolute(path: str) -> str:
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder.startswith(os.sep))
