"""Where the state of a project is, reached without following any symbolic link below the folder that it is kept in.

Effects: looks at folders and makes them. A link in a clone could lead whatever is written, read or removed to any place
of its user. So where `.claude` is a link, as whoever shares one configuration among projects has it, state is not
behind it, but in the user's own folder for state.
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
"""The state folder, from the project's root on, where `.claude` is no link."""
JOURNAL = STATE / "journal.sqlite3"
"""The journal of such a project; there is none before its first run."""
NOT_OURS = "STATE_NOT_OURS"
"""The code of the fault that a state folder cannot be believed."""


class Place(NamedTuple):
    """Where a folder of the engine's is: no link is followed from *root* to it."""

    root: Path
    """Resolved; it is a project, or a folder of the user's own."""
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
    """Where the state folder of *project* is."""
    root = project.resolve()
    if not (root / STATE.parent).is_symlink():
        return Place(root, STATE)
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    return Place(
        (base if base.is_absolute() else Path.home() / ".local/state").resolve(), Path("orchestration", _id_of(root))
    )


def _id_of(root: Path) -> str:
    """A name for the project *root* that says which one it is, and that no other one has."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).strip(".-")[:40]
    return f"{name or 'project'}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"


def check_links(root: Path, below: Path = STATE) -> None:
    """Raise `EnvironmentFault` (STATE_NOT_OURS) for a symbolic link on the way from *root* to *below*, or in it.

    Looked at are its entries and theirs: files that are opened, and folders in which files are.
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
    except OSError:  # it is not there, no folder, or closed: whoever uses it says so
        return []


def make_below(root: Path, below: Path) -> Path:
    """The folder *below* of *root*, made step by step where it is missing; private are the last and all of the state.

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
    """Give *path* its *mode* where it is ours, no link, and others may do something with it.

    It is not opened for that: closing a file would give up what SQLite has locked of it in this process.
    """
    with contextlib.suppress(OSError):  # it is not there, or its file system knows no modes
        found = path.lstat()
        ours = found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode)
        if ours and found.st_mode & 0o077:
            path.chmod(mode)


def linked(path: Path) -> EnvironmentFault:
    """What there is to say of a link in the place of a folder or file of ours."""
    return EnvironmentFault(
        f"{path} is a symbolic link, and none is followed to the state of a project",
        code=NOT_OURS,
        hint="Replace the link by a folder of its own, or remove it.",
    )
