"""A folder with a small disk of its own, which can be full.

Effects: mounts and unmounts, which needs rights of its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = "4m"


def may_mount() -> bool:
    """Whether this user may give a folder a disk of its own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """*place* is a folder on a disk of its own for the length of the block."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "small", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """There is no room left on *disk*, a folder of it, for the length of the block."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(512)):
            pass
    try:
        yield
    finally:
        filling.unlink()
