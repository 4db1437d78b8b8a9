"""The files of folders, in order, and how to notice that one has changed.

Effects: lists folders.
"""

from __future__ import annotations

import os
from pathlib import Path

MAX_FILES = 10_000


def signature_of(path: Path) -> tuple[int, ...] | None:
    """Inode, size and times of *path*; None if it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def flat(directory: Path, suffix: str) -> list[Path]:
    """Files of *directory* with *suffix*, sorted; none if it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(suffix) and not entry.is_dir())
    except OSError:
        return []
    return [directory / name for name in names[:MAX_FILES]]


def tree(directory: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files below *directory* with one of *suffixes*, sorted.

    Linked directories are not followed, since they may form circles.
    """
    found: list[Path] = []
    endings = tuple(suffixes)
    for folder, folders, files in os.walk(directory, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(folder)
        found += [base / name for name in sorted(files) if name.endswith(endings) and name not in suffixes]
        if len(found) >= MAX_FILES:
            break
    return found[:MAX_FILES]
