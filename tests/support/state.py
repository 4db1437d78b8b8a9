"""State folders as they come with files, of a clone or of an older build, and what a folder holds.

Effects: writes into the project that a test gives.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.statefolder.links import STATE

OLDER = Path(__file__).parents[1] / "data" / "older-build"
"""A project, and the journal that the build before stamps wrote in it: a run that completed, one that was killed."""
OLDER_RUNS = {"/one": "completed", "/two": "interrupted"}


def plant(root: Path) -> Path:
    """Give the project at *root* the state folder of an older build, as a clone could bring it; it is returned."""
    folder = root / STATE
    folder.mkdir(parents=True)
    shutil.copyfile(OLDER / "journal.sqlite3", folder / "journal.sqlite3")
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


def older_project(root: Path) -> Path:
    """The project of the older build at *root*, with its state."""
    shutil.copytree(OLDER / "project", root)
    plant(root)
    return root


def contents(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Mode and content of all that lies below *folder*, by name; of links where they lead."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        content: bytes | str = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found
