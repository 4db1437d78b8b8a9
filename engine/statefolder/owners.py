"""The records of the processes that own runs of a project: a file each, locked for as long as its process lives.

Effects: makes, locks, reads and removes files below the state folder.

Beside the record lies a second file that the process locks and hands on to whatever holds what its agents start
(`wardens.py`): it is free when nothing of that is left either, however the process ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.statefolder.identity import Process, started, this_process
from engine.statefolder.location import locate
from engine.statefolder.regular_files import open_regular

FOLDER = "owners"
"""Their place in the state folder."""
RENEWAL_SECONDS = 5.0
"""How often a process shows that it lives: a run whose process was killed is told to have run so much less at most."""
LATE_SECONDS = 300.0
"""For so long a record of another host may be of a process that lives without renewal: its lock may not be seen."""
_RECORD, _WORK = ".lock", ".work"


def owners_of(project: Path) -> Path:
    """The folder with the records of those that own runs of *project*."""
    return locate(project).state.folder / FOLDER


@dataclass(frozen=True, slots=True)
class Record:
    """A process that owns runs, or owned some."""

    owner: str
    process: Process | None
    """None where the record does not say; then it is of this host."""
    renewed: float
    """By the clock of the file system."""
    lived: datetime | None
    """When it has last renewed it, by the time of its journals."""
    held: bool
    """Its process lives, and its lock can be seen here."""

    def lives(self, here: Process, now: float) -> bool:
        """Whether its process still runs, as far as that can be known *here* and *now*."""
        if self.held or self.process is None or self.process.shares_locks_with(here):
            return self.held
        return self.process.machine != here.machine and now - self.renewed < LATE_SECONDS


@dataclass(slots=True)
class Held:
    """What a process has open as an owner."""

    folder: Path
    owner: str
    process: Process
    record: int
    work: int

    def renew(self, now: datetime) -> float:
        """Show that this process lives *now*; gives the time, by the clock of the file system."""
        os.pwrite(self.record, _text(self.process, now), 0)
        path = self.folder / f"{self.owner}{_RECORD}"
        os.utime(path)
        return path.stat().st_mtime

    def close(self) -> None:
        """Give both up and remove them."""
        for suffix, descriptor in ((_RECORD, self.record), (_WORK, self.work)):
            with contextlib.suppress(OSError):
                (self.folder / f"{self.owner}{suffix}").unlink()
            os.close(descriptor)


def take(folder: Path, owner: str, process: Process) -> Held:
    """Make the files of *owner*, this *process*, in *folder*, and lock them. Raises OSError."""
    work = _locked(folder / f"{owner}{_WORK}")
    try:
        return Held(folder, owner, process, _locked(folder / f"{owner}{_RECORD}", _text(process)), work)
    except OSError:
        os.close(work)
        raise


def records(folder: Path) -> Iterator[Record]:
    """Those in *folder*."""
    try:
        paths = sorted(folder.glob(f"*{_RECORD}"))
    except OSError:
        return
    for path in paths:
        found = record_of(folder, path.stem)
        if found is not None:
            yield found


def record_of(folder: Path, owner: str) -> Record | None:
    """That of *owner*; None where there is none."""
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
    """Which processes live that may own runs: their locks say so, and for one without a record the process itself."""

    def __init__(self, found: Iterable[Record], here: Process | None = None) -> None:
        """*found* are the records of a project, as the process *here* reads them; by default this one."""
        self._world = (here or this_process()).world
        self._held: dict[tuple[str, int, int], bool] = {}
        for record in found:
            if record.process is not None:
                key = record.process.world, record.process.pid, record.process.start
                self._held[key] = record.held or self._held.get(key, False)

    def live(self, world: str | None, pid: int, start: int | None, *, unknown: bool = False) -> bool:
        """Whether the process lives that *pid* and *start* name in *world*, by default in this one.

        *unknown* where it has no record and its world is another one: a number alone says nothing there.
        """
        held = None if start is None else self._held.get((world or self._world, pid, start))
        if held is not None:
            return held
        if world not in {None, self._world}:
            return unknown
        began = started(pid)
        return began is not None and start in {None, began}


def at_work(folder: Path) -> list[Path]:
    """The files that are held for what owners have left that have died; one that is not held is removed."""
    left = []
    for path in folder.glob(f"*{_WORK}"):
        record = record_of(folder, path.stem)
        if record is not None and record.held:
            continue
        with contextlib.suppress(OSError):
            descriptor = open_regular(path, os.O_NOFOLLOW)
            try:
                if _is_held(descriptor):
                    left.append(path)
                else:
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
    return left


def _locked(path: Path, text: bytes = b"") -> int:
    """A new file, which nobody sees before it is locked and written."""
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
    """Asked by a shared lock, so that two who ask do not see each other."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _text(process: Process, now: datetime | None = None) -> bytes:
    """A record; with a time it is as long whatever that is, so that it can be written over."""
    lived = None if now is None else now.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps({**asdict(process), "lived": lived}).encode()


def _parsed(text: bytes) -> tuple[Process | None, datetime | None]:
    """What a record says; None for what it does not."""
    try:
        told = json.loads(text)
        lived = None if told.get("lived") is None else datetime.fromisoformat(told["lived"]).astimezone(UTC)
        hostname, machine, boot, world = (str(told[name]) for name in ("hostname", "machine", "boot", "world"))
        pid, start = int(told["pid"]), int(told["start"])
        return Process(hostname=hostname, machine=machine, boot=boot, world=world, pid=pid, start=start), lived
    except (ValueError, TypeError, KeyError, AttributeError):
        return None, None
