"""Folders of the engine inside a project: found and removed without following a link.

Effects: removes folders. The target of a link never belongs to the engine: links come with the files of
a project, which are untrusted input.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def is_own(root: Path, place: Path) -> bool:
    """Whether *place* below *root*, a resolved path, is a folder with no link in its path."""
    steps = [root.joinpath(*place.parts[: count + 1]) for count in range(len(place.parts))]
    return not any(step.is_symlink() for step in steps) and steps[-1].is_dir()


def folders_in(root: Path, place: Path) -> list[Path]:
    """The folders in *place* of *root*, a resolved path; none if that is not a folder of our own."""
    if not is_own(root, place):
        return []
    return [folder for folder in (root / place).iterdir() if folder.is_dir() and not folder.is_symlink()]


def remove_folder(folder: Path) -> None:
    """Remove *folder* as far as permissions allow, even folders that an agent made unreadable; a link is left alone."""

    def reopen(remove: Callable[[str], object], path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            for closed in (os.path.dirname(path), path):  # noqa: PTH120 -- both may be links: only folders are opened
                if os.path.isdir(closed) and not os.path.islink(closed):  # noqa: PTH112, PTH114
                    os.chmod(closed, 0o700)  # noqa: PTH101
            remove(path)

    shutil.rmtree(folder, onerror=reopen)
