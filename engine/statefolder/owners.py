"""The records of the processes that own runs of a project: one file each, locked for as long as its process lives.

Effects: makes, locks, reads and removes files below the state folder.

Beside the record is a second file that the process locks and passes on to the wardens of its agents' programs
(`wardens.py`): it is free once these are gone too, however the process ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import structs

from engine.errors import EnvironmentFault
from engine.statefolder.identity import Process, started, this_process
from engine.statefolder.location import locate
from engine.statefolder.regular_files import open_regular

FOLDER = "owners"
"""Their folder in the state folder."""
RENEWAL_SECONDS = 5.0
"""The interval of heartbeats: the shown duration of a run whose process was killed is at most this much too short."""
LATE_SECONDS = 300.0
"""How long a process on another host may live without a heartbeat: its lock may not be visible here."""
_RECORD, _WORK = ".lock", ".work"


def owners_of(project: Path) -> Path:
    """The folder with the records of the processes that own runs of *project*."""
    return locate(project).state.folder / FOLDER


class Record(msgspec.Struct, frozen=True):
    """A process that owns runs, or owned some."""

    owner: str
    process: Process | None
    """None if the record does not say; it is then of this host."""
    renewed: float
    """By the clock of the file system."""
    lived: datetime | None
    """The time of its last heartbeat, by its journals."""
    held: bool
    """Its process lives, and its lock is visible here."""

    def lives(self, here: Process, now: float) -> bool:
        """Whether its process still runs, as far as that can be known *here* and *now*."""
        if self.held or self.process is None or self.process.shares_locks_with(here):
            return self.held
        return self.process.machine != here.machine and now - self.renewed < LATE_SECONDS


def check_hosts(state: Path, found: Iterable[Record], here: Process, now: float) -> None:
    """Raise if a process on another machine than *here* uses the *state* folder, or did so shortly before *now*.

    *found* are the records in it, *now* is by the clock of its file system.

    File locks and the memory that processes share with the journal belong to one kernel: two kernels would overwrite
    each other's data.
    """
    for record in found:
        other = record.process
        if other is None or other.shares_locks_with(here) or not record.lives(here, now):
            continue
        ago = max(0, round(now - record.renewed))
        raise EnvironmentFault(
            f"{state} is in use by process {other.pid} on host {other.hostname}, last heard of {ago} s ago",
            code="PROJECT_ON_ANOTHER_HOST",
            hint="Work on the project there, or use a separate clone on this machine. If that host is switched off, "
            f"its claim expires {LATE_SECONDS:.0f} s after it was last heard of.",
        )


@dataclass(slots=True)
class Held:
    """The files that a process holds open as an owner."""

    folder: Path
    owner: str
    process: Process
    record: int
    work: int

    def renew(self, now: datetime) -> float:
        """Record a heartbeat at *now*; returns the time, by the clock of the file system."""
        os.pwrite(self.record, _text(self.process, now), 0)
        path = self.folder / f"{self.owner}{_RECORD}"
        os.utime(path)
        return path.stat().st_mtime

    def close(self) -> None:
        """Release and remove both files."""
        for suffix, descriptor in ((_RECORD, self.record), (_WORK, self.work)):
            with contextlib.suppress(OSError):
                (self.folder / f"{self.owner}{suffix}").unlink()
            os.close(descriptor)


def take(folder: Path, owner: str, process: Process) -> Held:
    """Create the files of *owner*, this *process*, in *folder*, and lock them. Raises OSError."""
    work = _locked(folder / f"{owner}{_WORK}")
    try:
        return Held(folder, owner, process, _locked(folder / f"{owner}{_RECORD}", _text(process)), work)
    except OSError:
        os.close(work)
        raise


def records(folder: Path) -> Iterator[Record]:
    """The records in *folder*."""
    try:
        paths = sorted(folder.glob(f"*{_RECORD}"))
    except OSError:
        return
    for path in paths:
        found = record_of(folder, path.stem)
        if found is not None:
            yield found


def record_of(folder: Path, owner: str) -> Record | None:
    """The record of *owner*; None if there is none."""
    try:
        descriptor = open_regular(folder / f"{owner}{_RECORD}", os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        process, lived = _parsed(os.read(descriptor, 4096))
        return Record(owner, process, os.fstat(descriptor).st_mtime, lived, _is_held(descriptor))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def remove(folder: Path, owner: str) -> None:
    """Remove the record of an owner that has died."""
    (folder / f"{owner}{_RECORD}").unlink(missing_ok=True)


class Servers:
    """Says which owners are alive: by their locks, or without a record by the process itself."""

    def __init__(self, found: Iterable[Record], here: Process | None = None) -> None:
        """*found* are the records of a project, as the process *here* (default: this one) reads them."""
        self._world = (here or this_process()).world
        self._held: dict[tuple[str, int, int], bool] = {}
        for record in found:
            if record.process is not None:
                key = record.process.world, record.process.pid, record.process.start
                self._held[key] = record.held or self._held.get(key, False)

    def live(self, world: str | None, pid: int, start: int | None, *, unknown: bool = False) -> bool:
        """Whether the process *pid* with *start* lives in *world* (default: this one).

        Returns *unknown* if it has no record and its world is another one, where a pid means nothing.
        """
        held = None if start is None else self._held.get((world or self._world, pid, start))
        if held is not None:
            return held
        if world not in {None, self._world}:
            return unknown
        began = started(pid)
        return began is not None and start in {None, began}


def at_work(folder: Path) -> list[Path]:
    """The files still held by orphans of dead owners; a file that is not held is removed."""
    held_files = []
    for path in folder.glob(f"*{_WORK}"):
        record = record_of(folder, path.stem)
        if record is not None and record.held:
            continue
        with contextlib.suppress(OSError):
            descriptor = open_regular(path, os.O_NOFOLLOW)
            try:
                if _is_held(descriptor):
                    held_files.append(path)
                else:
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
    return held_files


def _locked(path: Path, text: bytes = b"") -> int:
    """Create a file that becomes visible only once it is locked and written."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, text)
        new.rename(path)
    except OSError:
        os.close(descriptor)
        new.unlink(missing_ok=True)
        raise
    return descriptor


def _is_held(descriptor: int) -> bool:
    """Tested with a shared lock, so that two testers do not see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _text(process: Process, now: datetime | None = None) -> bytes:
    """A record; its length does not depend on the time, so that it can be overwritten."""
    lived = None if now is None else now.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps({**structs.asdict(process), "lived": lived}).encode()


def _parsed(text: bytes) -> tuple[Process | None, datetime | None]:
    """The fields of a record; None for missing ones."""
    try:
        fields = json.loads(text)
        lived = None if fields.get("lived") is None else datetime.fromisoformat(fields["lived"]).astimezone(UTC)
        hostname, machine, boot, world = (str(fields[name]) for name in ("hostname", "machine", "boot", "world"))
        pid, start = int(fields["pid"]), int(fields["start"])
        return Process(hostname=hostname, machine=machine, boot=boot, world=world, pid=pid, start=start), lived
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, None
