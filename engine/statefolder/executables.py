"""The search for the programs we need: git and Claude Code come from the machine, never from a project.

Effects: reads the search path, and looks for programs. A search path may hold folders of a project, or `.`, which is
whatever project is the current one: a program there came with the project, and is not to be trusted.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SYSTEMS = os.pathsep.join(folder for folder in os.defpath.split(os.pathsep) if folder)
"""Used if no folder is left: an empty search path would mean the current folder."""


def search_path(project: Path) -> str:
    """The search path without relative folders and those that lie in *project*, links followed."""
    return _outside(project) or _SYSTEMS


def find_outside(name: str, project: Path) -> str | None:
    """The path of the program *name*, found outside of *project*; a path is returned as it is. None: not found."""
    return shutil.which(name, path=_outside(project))


def rooted(path: str) -> str:
    """The search path *path* without relative folders, which depend on the current folder."""
    return _absolute(path) or _SYSTEMS


def _outside(project: Path) -> str:
    root = Path(os.path.realpath(project))
    folders = _absolute(os.environ.get("PATH", os.defpath)).split(os.pathsep)
    return os.pathsep.join(one for one in folders if one and not Path(os.path.realpath(one)).is_relative_to(root))


def _absolute(path: str) -> str:
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder.startswith(os.sep))
