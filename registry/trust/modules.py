"""The files that a program in a folder can import, found in one walk.

Effects: reads folders and the state of files, no contents. It works relative to open folders, so that no folder can be
moved during the walk, follows only links to folders inside the project, and never blocks.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FILES = 100_000
"""Modules of one folder and the folders below it."""
MAX_ENTRIES = 1_000_000
"""Files of any kind that the walk passes."""
MAX_DEPTH = 60
"""Nesting of folders."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_NEVER = frozenset({"__pycache__", ".git"})

State: TypeAlias = "tuple[int, ...]"
"""Mode, inode, size, and times of change of content and metadata, in nanoseconds."""
Entry: TypeAlias = "tuple[str, State, str | None, State | None]"
"""A file: path below the folder and state; for a link also its target and the target's state."""


class Modules(msgspec.Struct, frozen=True):
    """The kind of modules that counts in a folder and the folders below it."""

    language: str
    endings: tuple[str, ...]
    below: Callable[[str], bool] = str.isidentifier
    """Whether it searches a folder of that name; by default those that Python can import by name."""


def too_much(message: str) -> InputError:
    """The error for programs that are too large to check."""
    return InputError(
        f"an approval would cover too many files: {message}",
        code="TRUST_TOO_LARGE",
        hint="Move the program into a folder with only its own modules.",
    )


def state_of(status: os.stat_result) -> State:
    """A value that differs once a file was changed, replaced or touched."""
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def modules_in(folder: Path, kind: Modules, root: Path) -> list[Entry] | None:
    """All modules of *kind* in *folder*, in no particular order; None if there is no such folder.

    *root* is the project's. Raises `InputError` (TRUST_TOO_LARGE) for more than can be checked.
    """
    try:
        descriptor = os.open(folder, _FOLDER)
    except (OSError, ValueError):
        return None
    walk = _Walk(root, folder, kind)
    try:
        walk.visit(descriptor, "", 0)
    finally:
        os.close(descriptor)
    return walk.found


@dataclass(slots=True)
class _Walk:
    """One walk and its findings."""

    root: Path
    folder: Path
    kind: Modules
    found: list[Entry] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)
    passed: int = 0

    def visit(self, descriptor: int, place: str, depth: int) -> None:
        """Take the modules of an open folder, *place* below the first one, and of those below it."""
        status = os.fstat(descriptor)
        here = (status.st_dev, status.st_ino)
        if here in self.visited:
            return
        self.visited.add(here)
        below = self._look(descriptor, place)
        if below and depth == MAX_DEPTH:
            raise too_much(f"{self.folder} has folders more than {MAX_DEPTH} deep")
        for name in below:
            try:
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
            except OSError:  # gone, or not readable
                continue
            try:
                self.visit(inner, f"{place}{name}/", depth + 1)
            finally:
                os.close(inner)

    def _look(self, descriptor: int, place: str) -> list[str]:
        """Add the modules of one folder; returns the names of the relevant folders in it."""
        endings, add = self.kind.endings, self.found.append
        below: list[str] = []
        passed = 0
        with os.scandir(descriptor) as entries:
            for entry in entries:
                passed += 1
                name = entry.name
                if entry.is_symlink():
                    below += self._link(descriptor, place, name)
                elif entry.is_dir(follow_symlinks=False):
                    if self._counts(name):
                        below.append(name)
                elif name.endswith(endings):
                    add((place + name, state_of(entry.stat(follow_symlinks=False)), None, None))
        self.passed += passed
        if len(self.found) > MAX_FILES or self.passed > MAX_ENTRIES:
            raise too_much(f"{self.folder} has more than {MAX_FILES:,} modules or {MAX_ENTRIES:,} files")
        return below

    def _counts(self, name: str) -> bool:
        return name not in _NEVER and self.kind.below(name)

    def _link(self, descriptor: int, place: str, name: str) -> list[str]:
        """Add a link to a file or out of the project; returns the name of a link to a folder to visit."""
        try:
            leads = os.readlink(name, dir_fd=descriptor)
            state = state_of(os.lstat(name, dir_fd=descriptor))
            target = os.stat(name, dir_fd=descriptor)
        except (OSError, ValueError):
            return []  # it is broken or circular
        if not stat.S_ISDIR(target.st_mode):
            if name.endswith(self.kind.endings):
                self.found.append((place + name, state, leads, state_of(target)))
            return []
        if not self._counts(name):
            return []
        if Path(os.path.realpath(self.folder / place / name)).is_relative_to(self.root):
            return [name]
        self.found.append((place + name, state, leads, None))  # files outside belong to the machine
        return []
