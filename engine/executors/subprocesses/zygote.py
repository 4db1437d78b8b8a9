"""Forks wardens (`warden.py`), and cleans up after one that was killed. Linux only.

Effects: forks, ends processes. It is a program of its own, started by `wardens.py`, and imports only little of the
standard library: its memory is paid for once, and shared by the wardens that it forks.

    zygote.py LINK adopts|releases|calls

LINK delivers one message for each attempt, with these descriptors: its lifeline, its stdin, stdout and stderr, and
those to hold open until all of it has ended. Unless it `releases` it is a subreaper, too: it inherits the processes of
a killed warden, and ends them. One that `calls` is for functions, whose modules it imports (`calls.py`); the message
names the function, or functions of later attempts if it has no descriptors. It lives until the link is closed and all
that it held has ended.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import sys

from engine.executors.subprocesses.descriptors import (
    close,
    close_all_but,
    emptied,
    handle_of,
    polled,
    woken_by_children,
)
from engine.executors.subprocesses.reaper import Termination, below, reaped, send_signal
from engine.executors.subprocesses.warden import IGNORED, Warden, answer, failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


UNSUPPORTED = 3
"""Exit code if this system does not support wardens."""
_GRACE = 2.0
"""Seconds between TERM and KILL for the processes of a killed warden."""
_SET_NAME, _SET_CHILD_SUBREAPER = 15, 36
_OWN = 4
"""Descriptors in a message before those that are only held."""
MESSAGE_BYTES = 1024
"""The longest message: the number of descriptors in a byte, and the names of functions."""


def main() -> int:
    """Fork wardens until the link is closed and all that they held has ended."""
    link, role = sys.argv[1:]
    adopts = role != "releases"
    with socket.socket(fileno=int(link)) as server:
        server.set_inheritable(False)
        os.chdir("/")
        try:
            prctl = _call_of_prctl()
            close_all_but(0, 1, 2, server.fileno())
        except (ImportError, AttributeError, OSError):
            return UNSUPPORTED
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children") or not prctl(_SET_CHILD_SUBREAPER, adopts):
            return UNSUPPORTED
        prctl(_SET_NAME, b"orch-wardens")
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        zygote = Zygote(server, prctl, adopts=adopts)
        server.send(b"ready")
        gc.collect()
        gc.freeze()  # a collection would make wardens copy the memory that it touches
        zygote.serve()
    return 0


class Zygote:
    """The live wardens, and the processes of killed ones."""

    def __init__(self, server: socket.socket, prctl: Callable[[int, int | bytes], bool], *, adopts: bool) -> None:
        self._server = server
        self._prctl = prctl
        self._process = handle_of(os.getppid())
        self._wake = woken_by_children()
        self._adopts = adopts
        self._living: dict[int, list[int]] = {}
        """The descriptors held open for each warden, its lifeline first, until nothing of it is left."""
        self._bereaved: list[list[int]] = []
        self._ending: Termination | None = None
        self._left: set[int] = set()
        """Processes that could not be ended."""

    def serve(self) -> None:
        """Run until there is neither a server nor anything to hold."""
        poll = polled(self._wake, self._server.fileno(), self._process)
        serving, pause = True, None
        while serving or self._living or self._ending:
            for descriptor, _event in poll.poll(pause):
                if descriptor == self._wake:
                    emptied(self._wake)
                elif serving and (descriptor == self._process or not self._taken()):
                    poll = polled(self._wake)
                    serving = False
            pause = self._looked_after()

    def _taken(self) -> bool:
        """Take one request; False if the server is gone."""
        try:
            message, ancillary, _flags, _address = self._server.recvmsg(
                MESSAGE_BYTES, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False
        descriptors = [number for _level, _kind, data in ancillary for number in memoryview(data).cast("i")]
        if not message:
            return False
        if len(descriptors) != message[0]:  # too many were open already
            failed(descriptors[:1], errno.EMFILE)
            close(descriptors)
            return True
        if len(message) > 1:
            self._prepare(message[1:].decode())
        if not descriptors:
            return True
        try:
            pid = os.fork()
        except OSError as error:
            failed(descriptors, error.errno or errno.EAGAIN)
            close(descriptors)
            return True
        if pid == 0:
            self._become_warden(descriptors)
        close(descriptors[1:_OWN])
        self._living[pid] = [descriptors[0], *descriptors[_OWN:]]
        return True

    def _become_warden(self, descriptors: list[int]) -> None:
        """Become a warden; never returns, not even by an exception, which would continue as a second zygote."""
        code = 1
        try:
            self._server.close()
            for held in [*self._living.values(), *self._bereaved, [self._wake]]:
                close(held)
            self._prctl(_SET_CHILD_SUBREAPER, 1)
            self._prctl(_SET_NAME, b"orch-warden")
            code = Warden(self._prctl, self._process, *descriptors[:_OWN]).watch()
        finally:
            os._exit(code)

    @staticmethod
    def _prepare(targets: str) -> None:
        from engine.executors.subprocesses import calls  # noqa: PLC0415 -- the other roles have no use for it

        calls.prepare(targets.split())

    def _looked_after(self) -> float | None:
        """Reap, and continue to end processes of killed wardens; returns the milliseconds until that is due again."""
        for pid, status in reaped(os.WUNTRACED):
            if os.WIFSTOPPED(status):
                if pid in self._living:
                    send_signal(pid, signal.SIGCONT)  # an agent has stopped its warden
            elif pid in self._living:
                held = self._living.pop(pid)
                if status == 0 or not self._adopts:
                    close(held)  # without adoption, the server searches for the rest
                else:
                    self._bereaved.append(held)
        return self._ended_adopted() if self._adopts else None

    def _ended_adopted(self) -> float | None:
        # Read twice: a list read while a child ends may miss another child.
        if not self._adopted() and not self._adopted():
            self._ending = None
        elif self._ending is None:
            self._ending = Termination(_GRACE, self._adopted)
        pause = None if self._ending is None else self._ending.pressed()
        if self._ending is not None and not self._ending.over:
            return pause
        self._ending = None
        left = self._adopted()
        self._left.update(left)
        for held in self._bereaved:
            answer(held[0], "ended", -signal.SIGKILL, left)
            close(held)
        self._bereaved.clear()
        return None

    def _adopted(self) -> list[int]:
        """The processes of killed wardens, except those that could not be ended."""
        found = below(os.getpid(), without=self._living)
        self._left.intersection_update(found)
        return [pid for pid in found if pid not in self._left]


def _call_of_prctl() -> Callable[[int, int | bytes], bool]:
    """The system call, prepared before the first fork so that the wardens share what it loads."""
    import ctypes  # noqa: PLC0415 -- the server, which asks this module for names, has no use for it

    call = ctypes.CDLL(None).prctl
    zero = ctypes.c_ulong(0)

    def prctl(option: int, value: int | bytes) -> bool:
        return call(option, value, zero, zero, zero) == 0  # type: ignore[no-any-return]

    return prctl
