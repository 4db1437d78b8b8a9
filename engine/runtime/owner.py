"""Ownership of runs: an operating-system lock that lives and dies with this process.

Effects: two files per process in the state folder (`statefolder/owners.py`). If the lock is free, the process has died,
even by `kill -9`; one that has ended and is not yet waited for holds none.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from engine.executors.subprocesses.wardens import hold, let_go
from engine.ids import OwnerId
from engine.runtime.clock import SystemClock, new_owner_id
from engine.statefolder.identity import this_process
from engine.statefolder.owners import FOLDER, check_hosts, record_of, records, remove, take
from engine.statefolder.run_notes import remove_notes, write_notes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.statefolder.run_notes import RunNote

YOUNG_SECONDS = 60.0
"""For this long an unlocked lock file may be one that an older version is just creating."""


class Owner(Protocol):
    """This process as owner of runs, with what it knows about other owners."""

    id: OwnerId

    def is_alive(self, owner: OwnerId) -> bool:
        """Whether the process that *owner* names still runs."""

    def last_seen(self, owner: OwnerId) -> datetime | None:
        """When *owner* last sent a heartbeat, in the time of its journals; None if unknown."""

    def renew(self, now: datetime) -> None:
        """Send a heartbeat."""

    def close(self) -> None:
        """Release the lock; other processes may own these runs from now on."""


def has_lock(folder: Path, owner: OwnerId) -> bool:
    """Whether the process that *owner* names still holds its lock in *folder*."""
    record = record_of(folder, owner)
    return record is not None and record.lives(this_process(), SystemClock().now().timestamp())


def last_seen(folder: Path, owner: OwnerId) -> datetime | None:
    """When *owner* last renewed its record in *folder*; None if unknown."""
    record = record_of(folder, owner)
    return None if record is None else record.lived


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
        with contextlib.suppress(OSError):  # the folder was removed: the next writer reports it
            self._held.renew(now)

    def note(self, notes: Iterable[RunNote]) -> None:
        """Replace what is noted about the runs of this process. Raises OSError."""
        write_notes(self._folder, self.id, notes)

    def remove_dead(self) -> None:
        """Remove the lock files of processes that were killed, whether they owned a run or not."""
        young = SystemClock().now().timestamp() - YOUNG_SECONDS
        for record in records(self._folder):
            owner = OwnerId(record.owner)
            if record.renewed < young and not self.is_alive(owner):
                remove_notes(self._folder, owner)
                remove(self._folder, owner)

    def close(self) -> None:
        """See `Owner.close`."""
        remove_notes(self._folder, self.id)
        let_go(self._held.work)
        self._held.close()


class Reader:
    """A process that owns nothing but knows which owners are alive."""

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
        """Do nothing: a reader has no record."""

    def close(self) -> None:
        """See `Owner.close`."""
