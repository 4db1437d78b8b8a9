"""Checks whether git tracks anything in a state folder, as a pull could then put other people's files into it.

Effects: starts `git ls-files` if the project is in a repository. It runs nothing that the repository configures.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from engine.statefolder.executables import find_outside, search_path

if TYPE_CHECKING:
    from pathlib import Path

    from engine.statefolder.links import Place

SECONDS = 30.0
"""How long git may take to read its index."""
_SETTINGS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
_KEPT = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"})


def is_tracked(place: Place) -> bool:
    """Whether the state folder at *place* is a repository itself, or in the index of one around it."""
    root, below = place
    if os.path.lexists(place.folder / ".git"):
        return True
    submodule = os.path.lexists(place.folder.parent / ".git")
    top, name = (place.folder.parent, below.name) if submodule else (root, below.as_posix())
    program = find_outside("git", root)
    if program is None or not any(os.path.lexists(folder / ".git") for folder in (top, *top.parents)):
        return False
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        listed = subprocess.run(  # noqa: S603 - git, with arguments of ours
            # Some file systems treat .CLAUDE as .claude.
            [program, "--no-pager", *settings, "ls-files", "-z", "--cached", "--", f":(icase,literal){name}"],
            cwd=top,
            env=_environment(root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and bool(listed.stdout)


def _environment(root: Path) -> dict[str, str]:
    """Our environment, without variables that point git to another repository or index, or to programs in *root*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    return {
        **kept,
        "PATH": search_path(root),
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }
