"""Programs in a project that cannot be written to.

Effects: for root, to whom modes mean nothing, a mount in a namespace of the program's own; for others, modes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOUNT = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'


@contextlib.contextmanager
def read_only(root: Path) -> Iterator[list[str]]:
    """Nothing can be written in *root* by commands that have these words before them, for the length of the block."""
    words: list[str] = []
    if os.geteuid() == 0:
        if sys.platform != "linux" or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
            pytest.skip("root may write everywhere, and cannot mount here")
        words = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(root)]
    modes = {path: path.stat().st_mode for path in [root, *root.rglob("*")] if not path.is_symlink()}
    try:
        for path, mode in modes.items():
            path.chmod(mode & 0o7555)
        yield words
    finally:
        for path, mode in modes.items():
            with contextlib.suppress(FileNotFoundError):  # whoever had it open already has removed it
                path.chmod(mode)
