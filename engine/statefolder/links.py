"""The place of a project's state, reached without following any symbolic link below the folder it is kept in.

Effects: looks at folders and creates them. A link in a clone could redirect all writes, reads and removals to any place
of its user. So if `.claude` is a link, as in setups that share one configuration among projects, state is not behind it
but in the user's own folder for state.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from engine.errors import EnvironmentFault

STATE = Path(".claude/orchestration")
"""The state folder, relative to the project's root, unless `.claude` is a link."""
JOURNAL = STATE / "journal.sqlite3"
"""The journal of such a project; there is none before its first run."""
NOT_OURS = "STATE_NOT_OURS"
"""The code of the fault of a state folder that cannot be believed."""


class Place(NamedTuple):
    """The place of one of the engine's folders: no link is followed from *root* to it."""

    root: Path
    """Resolved; a project, or a folder of the user's own."""
    below: Path

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.root / self.below

    @property
    def journal(self) -> Path:
        """The journal in it, if it is a state folder."""
        return self.folder / JOURNAL.name

    def inside(self, name: str) -> Place:
        """The folder *name* in it."""
        return Place(self.root, self.below / name)


def state_of(project: Path) -> Place:
    """The place of the state folder of *project*."""
    root = project.resolve()
    if not (root / STATE.parent).is_symlink():
        return Place(root, STATE)
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return Place(
        (base if base.is_absolute() else Path.home() / ".local/state").resolve(), Path("orchestration", _id_of(root))
    )


def _id_of(root: Path) -> str:
    """A unique and recognisable name for the project *root*."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).strip(".-")[:40]
    return f"{name or 'project'}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"


def check_links(root: Path, below: Path = STATE) -> None:
    """Raise `EnvironmentFault` (STATE_NOT_OURS) for a symbolic link on the way from *root* to *below*, or in it.

    It checks its entries and theirs: the files that are opened, and the folders that contain files.
    """
    path = root
    for step in below.parts:
        path /= step
        if path.is_symlink():
            raise linked(path)
    for entry in _entries(path):
        if entry.is_symlink():
            raise linked(Path(entry.path))
        if entry.is_dir():
            for inner in _entries(Path(entry.path)):
                if inner.is_symlink():
                    raise linked(Path(inner.path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # missing, not a folder, or closed: its first use reports that
        return []


def make_below(root: Path, below: Path) -> Path:
    """The folder *below* of *root*, created step by step; the last one and all inside the state are private.

    Raises `EnvironmentFault` (STATE_NOT_OURS) for a symbolic link on the way, and `OSError`.
    """
    path = root.resolve()
    if not path.exists():
        path.mkdir(parents=True, mode=0o700)
    for number, step in enumerate(below.parts, 1):
        path /= step
        private = number == len(below.parts) or number >= len(STATE.parts)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700 if private else 0o777)
        if path.is_symlink():
            raise linked(path)
    return path


def make_private(path: Path, mode: int) -> None:
    """Set *mode* on *path* if it is ours, not a link, and open to other users.

    It is not opened for that: closing it would release the locks that SQLite holds on it in this process.
    """
    with contextlib.suppress(OSError):  # it is missing, or its file system has no modes
        found = path.lstat()
        ours = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
        if ours and found.st_mode & 0o077:
            path.chmod(mode)


def linked(path: Path) -> EnvironmentFault:
    """The fault of a link in the place of one of our folders or files."""
    return EnvironmentFault(
        f"{path} is a symbolic link; links to the state of a project are not followed",
        code=NOT_OURS,
        hint="Replace the link with a folder, or remove it.",
    )
