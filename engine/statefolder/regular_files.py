"""Reads files that others may have put there: opening a pipe in their place would wait for its writer.

Effects: reads files.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def open_regular(path: Path, flags: int = 0) -> int:
    """A descriptor of the regular file at *path*, opened for reading with *flags*. Raises OSError otherwise."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The first *limit* bytes (default: all) of the regular file at *path*. Raises OSError for anything else."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read(limit)
