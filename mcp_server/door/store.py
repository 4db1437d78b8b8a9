"""Keeps what the server has answered, one file for each answer, so that the next server can say it again.

Effects: reads, writes and removes files in a folder beside this module's bytecode.

Theory of operation. A model reads the answers, so whoever can write them can instruct it. There is one folder where
this adds no power: the one where Python keeps the bytecode of this very module, which is run at every start. A cache
folder of the user is different: programs in a sandbox can often write there, so one session could instruct all later
ones. So where no bytecode can be written, as in an installation that belongs to another user, no answers are kept, and
the server starts in the ordinary way.

- The name of a file is the digest of all that its answer depends on. Nothing has to be compared or invalidated, and
  servers of other projects and versions have other files. The oldest are removed once there are many.
- A file is complete or absent: it is written under another name and then renamed, so that two servers which start at
  once do not read half of each other's. Its first line is a digest of the rest, for disks that lose data in a crash.
- A file that cannot be right (no such digest, more than one line, too large, a pipe, writable by others) is not used;
  the SDK's answer replaces it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ANSWER_BYTES = 500_000
"""Bytes of the longest answer that is kept."""
MAX_FILES = 200
"""Files that are kept, the newest ones."""
_FOLDER = "answers"
_ENDING = ".json"


class Store:
    """The answers of one version of the program."""

    def __init__(self, folder: str, program: str) -> None:
        """*folder* is their place, *program* identifies all code and versions that they depend on."""
        self._folder = folder
        self._program = program

    @property
    def is_empty(self) -> bool:
        """Whether there is no answer of any version."""
        return next(_names(self._folder), None) is None

    def find(self, name: str, around: str = "") -> str | None:
        """The answer to the question *name* in the project state *around*."""
        try:
            descriptor = os.open(self._path(name, around), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                ours = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
                if not ours or not stat.S_ISREG(status.st_mode):
                    return None
                digest, _, text = file.read(MAX_ANSWER_BYTES + 1000).partition(b"\n")
            if digest != _digest(text) or b"\n" in text:
                return None
            return text.decode()
        except (OSError, ValueError):
            return None

    def keep(self, text: str, name: str, around: str = "") -> None:
        """Store *text*, one line, as the answer to the question *name*; a failure costs only time at the next start."""
        data = text.encode()
        if len(data) > MAX_ANSWER_BYTES or b"\n" in data:
            return
        path = self._path(name, around)
        draft = f"{path}.{os.getpid()}"
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._remove_old()
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with open(os.open(draft, flags, 0o600), "wb") as file:
                    file.write(_digest(data) + b"\n" + data)
                os.replace(draft, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft)
                raise

    def forget(self, name: str, around: str = "") -> None:
        """Remember no answer to the question *name*."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(name, around))

    def _path(self, name: str, around: str) -> str:
        key = f"{self._program}\n{around}\n{name}".encode("utf-8", "surrogateescape")
        return f"{self._folder}/{hashlib.sha256(key).hexdigest()}{_ENDING}"

    def _remove_old(self) -> None:
        """Make room for one more file."""
        paths = [f"{self._folder}/{name}" for name in _names(self._folder)]
        if len(paths) >= MAX_FILES:
            for path in sorted(paths, key=_age)[: len(paths) - MAX_FILES // 2]:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def place_of_store() -> str | None:
    """The folder for the answers; None if Python keeps no bytecode of this module, or may write none."""
    bytecode = getattr(__spec__, "cached", None)
    if sys.dont_write_bytecode or not bytecode or not os.path.isfile(bytecode):
        return None
    return f"{os.path.dirname(os.path.abspath(bytecode))}/{_FOLDER}"


def _names(folder: str) -> Iterator[str]:
    """All files in *folder*, drafts of killed servers too."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.name for entry in entries)


def _age(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
