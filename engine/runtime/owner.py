"""Being the owner of runs: an operating-system lock that lives and dies with this process.

Effects: two files a process in the state folder (`statefolder/owners.py`). Whose lock is free has died, `kill -9`
included, and a process that has ended and is not yet waited for holds none.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from engine.errors import EnvironmentFault
from engine.executors.subprocesses.wardens import hold, let_go
from engine.ids import OwnerId
from engine.runtime.clock import SystemClock, new_owner_id
from engine.statefolder.identity import this_process
from engine.statefolder.owners import FOLDER, LATE_SECONDS, record_of, records, remove, take

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.statefolder.identity import Process
    from engine.statefolder.owners import Record

YOUNG_SECONDS = 60.0
"""For so long a lock file that nobody holds may be one that an older version is just making."""


class Owner(Protocol):
    """This process as owner of runs, and what it knows of others."""

    id: OwnerId

    def is_alive(self, owner: OwnerId) -> bool:
        """Whether the process that *owner* names still runs."""

    def last_seen(self, owner: OwnerId) -> datetime | None:
        """When *owner* has last shown that it lives, by the time of its journals; None where that is not known."""

    def renew(self, now: datetime) -> None:
        """Show that this process lives."""

    def close(self) -> None:
        """Give up; the runs of this owner are free for others from now on."""


def has_lock(folder: Path, owner: OwnerId) -> bool:
    """Whether the process that *owner* names still holds its lock in *folder*."""
    record = record_of(folder, owner)
    return record is not None and record.lives(this_process(), SystemClock().now().timestamp())


def last_seen(folder: Path, owner: OwnerId) -> datetime | None:
    """When *owner* has last renewed its record in *folder*; None where that does not say."""
    record = record_of(folder, owner)
    return None if record is None else record.lived


def check_hosts(state: Path, found: Iterable[Record], here: Process, now: float) -> None:
    """Raise where a process of another machine than *here* uses the *state* folder, or did so shortly before *now*.

    *found* are the records in it, *now* is by the clock of its file system.

    Locks and the memory that processes share with the journal are those of one kernel: two would lose what the other
    has written.
    """
    for record in found:
        other = record.process
        if other is None or other.shares_locks_with(here) or not record.lives(here, now):
            continue
        ago = max(0, round(now - record.renewed))
        raise EnvironmentFault(
            f"{state} is in use by the process {other.pid} of the host {other.hostname}, last heard of {ago} s ago",
            code="PROJECT_ON_ANOTHER_HOST",
            hint="Work on the project there, or give this machine a clone of its own. Where that host is switched off, "
            f"its claim ends {LATE_SECONDS:.0f} s after it was last heard of.",
        )


class FileOwner:
    """This process, as long as it holds its lock."""

    def __init__(self, state: Path) -> None:
        """Take a new lock in the *state* folder. Raises `EnvironmentFault` (PROJECT_ON_ANOTHER_HOST), OSError."""
        self._folder = state / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.id: OwnerId = new_owner_id()
        here = this_process()
        self._held = take(self._folder, self.id, here)
        try:
            check_hosts(state, records(self._folder), here, self._held.renew(SystemClock().now()))
        except BaseException:
            self._held.close()
            raise
        hold(self._held.work)

    def is_alive(self, owner: OwnerId) -> bool:
        """See `Owner.is_alive`."""
        return owner == self.id or has_lock(self._folder, owner)

    def last_seen(self, owner: OwnerId) -> datetime | None:
        """See `Owner.last_seen`."""
        return last_seen(self._folder, owner)

    def renew(self, now: datetime) -> None:
        """See `Owner.renew`."""
        with contextlib.suppress(OSError):  # the folder was removed: whoever writes there says so
            self._held.renew(now)

    def remove_dead(self) -> None:
        """Remove the lock files of processes that were killed, whether they owned a run or not."""
        young = SystemClock().now().timestamp() - YOUNG_SECONDS
        for record in records(self._folder):
            owner = OwnerId(record.owner)
            if record.renewed < young and not self.is_alive(owner):
                remove(self._folder, owner)

    def close(self) -> None:
        """See `Owner.close`."""
        let_go(self._held.work)
        self._held.close()


class Reader:
    """A process that owns nothing, and knows who lives."""

    id = OwnerId("o-reader")

    def __init__(self, state: Path) -> None:
        """Raises `EnvironmentFault` (PROJECT_ON_ANOTHER_HOST)."""
        self._folder = state / FOLDER
        check_hosts(state, records(self._folder), this_process(), SystemClock().now().timestamp())

    def is_alive(self, owner: OwnerId) -> bool:
        """See `Owner.is_alive`."""
        return has_lock(self._folder, owner)

    def last_seen(self, owner: OwnerId) -> datetime | None:
        """See `Owner.last_seen`."""
        return last_seen(self._folder, owner)

    def renew(self, now: datetime) -> None:
        """It owns nothing, and shows nothing."""

    def close(self) -> None:
        """See `Owner.close`."""
