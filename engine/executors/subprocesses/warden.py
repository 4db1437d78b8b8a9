"""Supervises one program and all that it starts, so that none of it outlives the attempt. Linux only.

Effects: starts a program, or calls a function in a fork (`calls.py`), ends processes. It is a process of its own,
forked by `zygote.py`.

A warden is a child subreaper: an orphan's new parent is its nearest ancestor that is one. So every process that the
program starts stays below it, however it forks and whatever session, environment, title or user it takes, and the
kernel itself reports when no children are left.

It reads its request from its lifeline (`wardens.py` writes it) and ends everything when the lifeline is closed: the
kernel does that for a server that is killed. If the server has forked a copy of itself, which holds the lifeline too,
the kernel also reports the end of the server itself. It answers in lines: `begun`, and at the end `failed ERRNO PART`,
`ended CODE PID…` with processes that could not be ended, or `kept CODE PID…` with those that may stay.
"""

from __future__ import annotations

import errno
import marshal
import os
import signal

from engine.executors.subprocesses.descriptors import close, emptied, exactly, polled, read, woken_by_children, write
from engine.executors.subprocesses.reaper import Termination, below, reaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


BEGUN = b"begun\n"
"""Sent by a warden before it starts the program: a server that has not received it may try another warden."""
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end neither a warden nor the process that forks wardens."""
_DEFAULT = (*IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)


class Warden:
    """Supervises one program and all that it starts."""

    def __init__(
        self, prctl: Callable[[int, int | bytes], bool], server: int | None, lifeline: int, *streams: int
    ) -> None:
        self._prctl = prctl
        self._server = server
        self._lifeline = lifeline
        self._streams = streams
        self._main = 0
        self._keep = False
        self._code: int | None = None

    def watch(self) -> int:
        """Run the requested program to its end; returns the exit code, 0 if the server was answered."""
        request = _request(self._lifeline)
        if request is None:
            return 0
        argv, environment, cwd, grace, self._keep, call = request
        wake = woken_by_children()
        os.setsid()
        if not self._started(argv, environment, cwd, call):
            return 0
        poll = polled(wake, self._lifeline, self._server)
        ending: Termination | None = None
        pause = None
        while True:
            for descriptor, _event in poll.poll(pause):
                if descriptor == wake:
                    emptied(wake)
                elif descriptor == self._lifeline and read(self._lifeline):  # only the program is to end
                    ending = ending or Termination(grace, self._program)
                else:
                    poll = polled(wake)
                    self._keep = False
                    ending = Termination(grace, self._all)
            childless = self._reap()
            if self._code is not None:
                if childless or self._keep:
                    return self._answer("kept" if self._keep else "ended", [] if childless else self._all())
                ending = ending if ending is not None and ending.look == self._all else Termination(grace, self._all)
            if ending is not None:
                pause = ending.pressed()
                if ending.over:
                    return self._answer("ended", self._all())

    def _all(self) -> list[int]:
        return below(os.getpid())

    def _program(self) -> list[int]:
        return [self._main]

    def _started(self, argv: list[bytes], environment: dict[bytes, bytes], cwd: bytes, call: str) -> bool:
        part = "cwd"
        write(self._lifeline, BEGUN)
        try:
            os.chdir(cwd)
            part = "program"
            self._main = self._called(call, environment, cwd) if call else self._spawned(argv, environment)
        except OSError as error:
            failed([self._lifeline], error.errno or errno.EIO, part)
            return False
        finally:
            os.chdir("/")
            close(self._streams)
        return True

    def _spawned(self, argv: list[bytes], environment: dict[bytes, bytes]) -> int:
        return os.posix_spawn(
            argv[0],
            argv,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(self._streams)],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT,
        )

    def _called(self, call: str, environment: dict[bytes, bytes], cwd: bytes) -> int:
        from engine.executors.subprocesses.calls import forked  # noqa: PLC0415 -- the zygote has imported it

        return forked(call, environment, cwd, self._streams, self._prctl)

    def _reap(self) -> bool:
        """Whether no child is left; notes the program's exit code."""
        childless = True
        for pid, status in reaped():
            if pid == 0:
                childless = False
            elif pid == self._main:
                self._code = os.waitstatus_to_exitcode(status)
        return childless

    def _answer(self, word: str, remaining: Collection[int]) -> int:
        answer(self._lifeline, word, -signal.SIGKILL if self._code is None else self._code, remaining)
        return 0


def _request(lifeline: int) -> tuple[list[bytes], dict[bytes, bytes], bytes, float, bool, str] | None:
    """The server's request: its length in eight bytes, then `wardens.packed`; None if the server is gone."""
    head = exactly(lifeline, 8)
    body = head and exactly(lifeline, int.from_bytes(head, "big"))
    return marshal.loads(body) if body else None  # noqa: S302 -- from the server that started us


def failed(descriptors: list[int], number: int, part: str = "warden") -> None:
    for lifeline in descriptors[:1]:
        write(lifeline, f"failed {number} {part}\n".encode("ascii"))


def answer(lifeline: int, word: str, code: int, remaining: Collection[int]) -> None:
    write(lifeline, (" ".join([word, str(int(code)), *map(str, remaining)]) + "\n").encode("ascii"))
