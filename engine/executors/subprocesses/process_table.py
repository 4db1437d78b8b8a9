"""The processes of this machine, read once for all who ask at the same time.

Effects: reads the process table. Without wardens each attempt looks for its processes when it ends, and reading all of
them takes long: attempts that end together share one reading.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, NamedTuple

import psutil

from engine.statefolder.identity import HAS_PROC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Row(NamedTuple):
    """A process."""

    pid: int
    session: int | None
    """None if it has ended."""
    environment: str
    """All variables as one text; empty if it may not be read, or the process has ended."""


class ProcessTable:
    """Readings of the process table. No reading is older than the question it answers."""

    def __init__(self, read: Callable[[], Sequence[Row]]) -> None:
        """*read* reads all processes."""
        self._read = read
        self._reading = threading.Lock()
        self._moments = itertools.count()
        self._begun = -1
        self._rows: Sequence[Row] | None = None
        self.asking: set[int] = set()
        """Questions without an answer."""

    def rows(self) -> Sequence[Row]:
        """All processes; blocks. Questions that come while it is read wait for the next reading, and share it."""
        asked = next(self._moments)
        self.asking.add(asked)
        with self._reading:
            try:
                found = self._rows
                if found is None or self._begun < asked:
                    begun = next(self._moments)
                    found = self._read()
                    self._rows, self._begun = found, begun
            finally:
                self.asking.discard(asked)
                if not self.asking:
                    self._rows = None  # environments may hold secrets
        return found


def row_of(pid: int) -> Row:
    """The process *pid* now."""
    return Row(pid, _session_of(pid), _environment(pid))


def _all_but_this() -> list[Row]:
    ours = os.getpid()
    return [row_of(pid) for pid in psutil.pids() if pid != ours]


def _environment(pid: int) -> str:
    try:
        if HAS_PROC:
            # Ten times as fast as psutil, which matters: all processes are read.
            with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 -- Path doubles the cost
                return file.read().decode("utf-8", "replace")
        return "\0".join(psutil.Process(pid).environ().values())
    except (OSError, psutil.Error):
        return ""


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


TABLE = ProcessTable(_all_but_this)
"""That of this machine, without this process."""
