"""Being the owner of runs: an operating-system lock that lives and dies with this process.

Effects: one lock file a process in the state folder. Whose lock is free has died, `kill -9` included.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from engine.ids import OwnerId
from engine.runtime.clock import SystemClock, new_owner_id

if TYPE_CHECKING:
    from pathlib import Path

YOUNG_SECONDS = 60.0
"""For so long a lock file that nobody holds may be one that is just being made."""


class Owner(Protocol):
    """This process as owner of runs, and what it knows of others."""

    id: OwnerId

    def is_alive(self, owner: OwnerId) -> bool:
        """Whether the process that *owner* names still runs."""

    def close(self) -> None:
        """Give up; the runs of this owner are free for others from now on."""


def has_lock(folder: Path, owner: OwnerId) -> bool:
    """Whether the process that *owner* names still holds its lock in *folder*; a free one is removed."""
    path = folder / f"{owner}.lock"
    if not path.exists():
        return False
    probe = FileLock(path, timeout=0)
    try:
        probe.acquire()
    except Timeout:
        return True
    path.unlink(missing_ok=True)
    probe.release()
    return False


class FileOwner:
    """This process, as long as it holds its lock."""

    def __init__(self, folder: Path) -> None:
        """Take a new lock in *folder*, made where it is missing."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.id: OwnerId = new_owner_id()
        self._lock = FileLock(self._path(self.id), timeout=0, mode=0o600)
        self._lock.acquire()

    def _path(self, owner: OwnerId) -> Path:
        return self._folder / f"{owner}.lock"

    def is_alive(self, owner: OwnerId) -> bool:
        """See `Owner.is_alive`."""
        return owner == self.id or has_lock(self._folder, owner)

    def remove_dead(self) -> None:
        """Remove the lock files of processes that were killed, whether they owned a run or not.

        Files of the last minute are let be: their process may be about to take its lock.
        """
        young = SystemClock().now().timestamp() - YOUNG_SECONDS
        for path in list(self._folder.glob("*.lock")):
            with contextlib.suppress(OSError):  # somebody else was faster
                if path.stat().st_mtime < young:
                    self.is_alive(OwnerId(path.stem))

    def close(self) -> None:
        """See `Owner.close`."""
        with contextlib.suppress(OSError):
            self._path(self.id).unlink(missing_ok=True)
        self._lock.release()
