"""Ends the descendants of this process, which must be a child subreaper. Linux only.

Effects: sends signals, reads `/proc`.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


PERSISTENCE = 5.0
"""Seconds for which KILL is repeated; a process that survives it is stuck in the kernel."""
_MAX_ROUNDS = 100


class Termination:
    """Sends TERM to the remaining processes, then KILL after a grace period, until none is left or can be ended."""

    def __init__(self, grace: float, look: Callable[[], list[int]]) -> None:
        """*look* returns the remaining processes."""
        self.look = look
        self.over = False
        """Set when only processes remain that cannot be ended."""
        self._patience = time.monotonic() + grace
        self._told: set[int] = set()
        self._refused: set[int] = set()
        self._pause = 5.0

    def pressed(self) -> float:
        """Send what is due; returns the milliseconds until the next call is due."""
        self._pause = min(self._pause * 2, 50.0)
        now = time.monotonic()
        if now >= self._patience:
            remaining = self._killed()
            self.over = now >= self._patience + PERSISTENCE or (bool(remaining) and self._refused.issuperset(remaining))
            return self._pause
        for pid in self.look():
            if pid not in self._told:
                self._told.add(pid)
                self._tell(pid, signal.SIGTERM)
                self._tell(pid, signal.SIGCONT)  # a stopped process handles no other signal
        return min(self._pause, max(1.0, (self._patience - now) * 1000))

    def _killed(self) -> set[int]:
        """Kill the remaining processes and return them; all are stopped first, so that none outruns us by forking."""
        seen: set[int] = set()
        for _round in range(_MAX_ROUNDS):
            fresh = set(self.look()) - seen
            if not fresh:
                break
            for pid in fresh:
                self._tell(pid, signal.SIGSTOP)
            seen |= fresh
        remaining = set(self.look())  # again: the id of one that ended meanwhile may belong to another process by now
        for pid in remaining:
            self._tell(pid, signal.SIGKILL)
        return remaining

    def _tell(self, pid: int, number: signal.Signals) -> None:
        if not send_signal(pid, number):
            self._refused.add(pid)


def below(pid: int, *, without: Collection[int] = ()) -> list[int]:
    """The descendants of *pid*, parents first, except those in *without* and their descendants."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        for child in _children(f"/proc/{pid}/task/{thread}/children"):
            if child not in without:
                found += [child, *below(child)]
    return found


def _children(path: str) -> list[int]:
    data = b""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        while piece := os.read(file, 65536):
            data += piece
    except OSError:  # it has ended in the meantime
        pass
    finally:
        os.close(file)
    return [int(word) for word in data.split()]


def send_signal(pid: int, number: signal.Signals) -> bool:
    """False if that is not allowed: the process belongs to another user."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def reaped(options: int = 0) -> Iterator[tuple[int, int]]:
    """Children that have ended, or were stopped, with their status; (0, 0) at the end if others remain."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | options)
        except ChildProcessError:
            return
        yield pid, status
        if pid == 0:
            return
