"""Where programs of ours are looked for: git and Claude Code are the machine's, never a project's by their bare name.

Effects: reads the search path, and looks for programs. A search path may hold folders of a project, or `.`, which is
whatever project one is in: what lies there came with it and is nobody's git.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def search_path(project: Path) -> str:
    """The search path without folders that are relative, or that lie in *project* with links followed."""
    root = Path(os.path.realpath(project))
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if _is_outside(folder, root))


def find_outside(name: str, project: Path) -> str | None:
    """The program *name* as a path, looked for outside of *project*; a path is taken as it is. None: there is none."""
    return shutil.which(name, path=search_path(project))


def _is_outside(folder: str, root: Path) -> bool:
    return folder.startswith(os.sep) and not Path(os.path.realpath(folder)).is_relative_to(root)
