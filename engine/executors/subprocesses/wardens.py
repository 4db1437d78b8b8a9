"""Runs programs under wardens (see `warden.py`): starts the process that forks them, sends requests, reads answers.

Effects: one small process beside this one, or two, started with the first program; it ends with this process.

Theory of operation
===================

**The problem.** When an attempt is over, none of its processes may still run, whatever the agent forked, and also if
this server is killed in the middle. A program can leave its process group and session and empty its environment, but
not its ancestors: the new parent of an orphan is its nearest ancestor that is a subreaper. So each program gets one of
its own.

**Three processes.** The server starts one zygote for each role (`zygote.py`), and that forks a warden for each program
(`warden.py`). A fork of the server itself would copy its page tables and meet its threads; the zygote is small, has one
thread, and shares its memory with its forks. The roles differ in the clean-up after a killed warden: a zygote that
`adopts` is a subreaper itself and ends what such a warden held; one that `releases` is not, because its programs may
leave processes that outlive the server (`keepProcesses`). One that `calls` adopts, too, and its wardens call functions
of this program in a fork (`calls.py`).

**The lifeline.** A socket pair ties the server to each warden. The request goes down, answers come back, `p` means "end
only the program", and the end of the stream means "end everything": the kernel sends that even for a server that is
killed, so cleaning up needs no cooperation of the server.

**What can be lost.** An agent runs as the same user and can kill or stop any of the three. `begun` is sent before the
program is started: without it, nothing was started, and the request is tried once more with a new zygote. After it, an
end of the stream or a silence beyond the time for ending raises `WardenLost`, and the caller searches by tag instead
(`search.py`). A stopped zygote is continued before each use.

**Invariant.** `End` without `kept` and `refused` means that the kernel has reported no children left.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import marshal
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import msgspec

from engine.executors.subprocesses.output import Pipes
from engine.executors.subprocesses.reaper import PERSISTENCE
from engine.executors.subprocesses.warden import BEGUN
from engine.executors.subprocesses.zygote import UNSUPPORTED

# The package is appended, not prepended: nothing in its folder can replace a module of the standard library.
_PROGRAM = """\
import sys
sys.path.append(sys.argv.pop(1))
from engine.executors.subprocesses.zygote import main
sys.exit(main())
"""
_PACKAGE = str(Path(__file__).parents[3])
_START_SECONDS = 20.0
_MAX_ANSWER_BYTES = 64 * 1024
_SILENCE = 1.0
"""Seconds a warden may be silent beyond the time for ending."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run."""

    argv: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    grace: timedelta
    keep: bool
    call: str = ""
    """The function of this program, `module:function`, that *argv* calls: a fork that has it may do so instead."""


class End(msgspec.Struct, frozen=True):
    """How a program ended."""

    returncode: int
    """Negative: the signal that ended it."""
    kept: tuple[int, ...] = ()
    """Processes of it that may stay."""
    refused: tuple[int, ...] = ()
    """Processes that could not be ended, since they are another user's."""


class WardenLost(Exception):
    """The warden has ended, or is silent, without reporting that nothing is left."""


class Wardens:
    """The zygote: the process that forks wardens."""

    def __init__(self, role: str) -> None:
        """Start it; *role*: `adopts`, `releases` if processes may outlive this one, `calls` for functions."""
        self._owner = os.getpid()
        self._status: int | None = None
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            theirs.set_inheritable(True)
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *python_flags(role), "-c", _PROGRAM, _PACKAGE, str(theirs.fileno()), role],
                {},
                file_actions=[(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)],
                setsid=True,
            )
        self._link.settimeout(_START_SECONDS)

    @cached_property
    def ready(self) -> bool:
        """Whether it has started. Blocks until that is known."""
        try:
            ready = bool(self._link.recv(16))
        except OSError:
            ready = False
        if not ready:
            self.kill()
        return ready

    @property
    def unsupported(self) -> bool:
        """Whether this system does not support wardens."""
        return not self.ready and self._status == UNSUPPORTED

    @property
    def usable(self) -> bool:
        """Whether it runs and belongs to this process, not to one that forked us."""
        return self.ready and self._owner == os.getpid() and not self._ended(os.WNOHANG)

    def give(self, descriptors: Sequence[int], call: str = "") -> None:
        """Request a warden for *descriptors*: lifeline, stdin, stdout, stderr; *call* is a function. Raises OSError."""
        self.wake()
        given = [*descriptors, *_held]
        socket.send_fds(self._link, [bytes([len(given)]) + call.encode()], given)

    def prepare(self, targets: Iterable[str]) -> None:
        """Have it import the modules of functions, also before it is ready. Raises OSError."""
        self._link.send(b"\0" + " ".join(targets).encode())

    def wake(self) -> None:
        """Continue it, since an agent may have stopped it."""
        if self.usable:
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it; live wardens go on, and the next program gets another zygote."""
        self.close()
        if self._owner == os.getpid() and not self._ended(os.WNOHANG):
            os.kill(self.pid, signal.SIGKILL)
            self._ended(0)

    def close(self) -> None:
        """Let it exit by itself, as it does when this process ends."""
        self._link.close()

    def _ended(self, options: int) -> bool:
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # other code has reaped it
                pid, status = self.pid, 0
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None


_held: list[int] = []
_started: dict[str, Wardens] = {}
_ahead: dict[str, Wardens] = {}
"""Those that started before a program needed them."""
_starting = threading.Lock()
_unsupported = sys.platform != "linux" or not sys.executable


def hold(descriptor: int) -> None:
    """Keep *descriptor* open in each later warden: it is closed when nothing of any attempt is left."""
    _held.append(descriptor)


def let_go(descriptor: int) -> None:
    """Undo `hold`."""
    _held.remove(descriptor)


async def wardens_for(*, keep: bool, calls: bool = False) -> Wardens | None:
    """The zygote for programs that may (*keep*), or may not, leave processes; None on systems without wardens.

    With *calls*, that for functions, which must not leave any. Raises OSError if it cannot be started.
    """
    role = "releases" if keep else "calls" if calls else "adopts"
    found = _started.get(role)
    if _unsupported:
        return None
    if found is not None and found.usable:
        return found
    return await asyncio.to_thread(_start, role)


def start_ahead(targets: Iterable[str]) -> None:
    """Start the zygote for functions, and let it import those of *targets* while this process does other things."""
    if not _unsupported:
        with contextlib.suppress(OSError):  # the first program tries again, and says what is wrong
            _ahead["calls"] = Wardens("calls")
            _ahead["calls"].prepare(targets)


def _start(role: str) -> Wardens | None:
    global _unsupported  # noqa: PLW0603 -- of this system, found out once
    with _starting:
        found = _started.get(role)
        if found is not None and found.usable:
            return found
        if found is not None:
            found.close()
        started = _ahead.pop(role, None)
        if started is None or not started.ready:
            started = Wardens(role)
        if started.ready:
            _started[role] = started
            return started
        _unsupported = started.unsupported
        if _unsupported:
            return None
        raise OSError(errno.EAGAIN, "the process that supervises agents cannot be started")


def python_flags(role: str) -> list[str]:
    """The options of the Python of a zygote; that for functions finds the same modules as a Python for each would."""
    return ["-P"] if role == "calls" else ["-I", "-S"]


@atexit.register
def _close() -> None:
    for found in (*_started.values(), *_ahead.values()):
        found.close()


class Warded:
    """One program under a warden."""

    def __init__(self, wardens: Wardens) -> None:
        self._wardens = wardens
        self._lifeline: socket.socket | None = None
        self._ending = False
        self._said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The complete answer of the warden."""
        self._patience: asyncio.TimerHandle | None = None

    async def run(self, request: Request, pipes: Pipes) -> End:
        """Run *request* to its end; the result names every process that is left.

        Raises OSError if it cannot be started, `WardenLost` if it is unknown what is left.
        """
        data = packed(request)
        answer = b""
        for _attempt in range(2):
            if self._ending:
                return End(-signal.SIGTERM)
            answer = await self._tried(data, pipes, request.call)
            if answer or self._ending:
                return _parsed(answer, request)
            # It has not begun: the zygote was killed since its last use.
            self._wardens.kill()
            found = await wardens_for(keep=request.keep, calls=bool(request.call))
            self._wardens = found or self._wardens
        raise OSError(errno.EAGAIN, "its warden was killed before it could start the program")

    async def _tried(self, data: bytes, pipes: Pipes, call: str) -> bytes:
        """The complete answer of the warden; empty if it has not started the program."""
        loop = asyncio.get_running_loop()
        self._lifeline, theirs = socket.socketpair()
        self._lifeline.settimeout(0)
        self._said = loop.create_future()
        with self._lifeline as lifeline:
            with theirs:
                try:
                    self._wardens.give([theirs.fileno(), *pipes.theirs], call)
                except ConnectionError:  # the zygote was killed just now
                    return b""
            sending = _begin_to_send(lifeline, data)
            descriptor = lifeline.fileno()
            loop.add_reader(descriptor, self._hear, lifeline, bytearray(), pipes)
            try:
                return await self._said
            except WardenLost:
                self._wardens.kill()
                raise
            finally:
                loop.remove_reader(descriptor)
                if self._patience is not None:
                    self._patience.cancel()
                if sending is not None:
                    sending.cancel()
                    await asyncio.wait([sending])

    def _hear(self, lifeline: socket.socket, answer: bytearray, pipes: Pipes) -> None:
        """Read what the warden sent, or its end."""
        piece = b""
        with contextlib.suppress(OSError):
            try:
                piece = lifeline.recv(_MAX_ANSWER_BYTES)
            except BlockingIOError:
                return
        answer += piece
        if piece:
            pipes.hand_over()
        if (not piece or (answer.endswith(b"\n") and answer != BEGUN)) and not self._said.done():
            self._said.set_result(bytes(answer))

    def end(self, *, program_only: bool, within: timedelta) -> None:
        """Start to end all of it, or only the program; without an answer *within* that time, the warden is lost."""
        self._ending = True
        self._wardens.wake()
        if self._lifeline is None:
            return
        with contextlib.suppress(OSError):  # it has ended
            if program_only:
                self._lifeline.send(b"p")
            else:
                self._lifeline.shutdown(socket.SHUT_WR)
        patience = within.total_seconds() + PERSISTENCE + _SILENCE
        self._patience = asyncio.get_running_loop().call_later(patience, self._lose)

    def _lose(self) -> None:
        if not self._said.done():
            self._said.set_exception(WardenLost())


def _begin_to_send(lifeline: socket.socket, data: bytes) -> asyncio.Task[None] | None:
    """Send as much of *data* as fits, and the rest in a task; a warden that has ended reads nothing."""
    try:
        sent = lifeline.send(data)
    except BlockingIOError:
        sent = 0
    except OSError:
        return None
    return None if sent == len(data) else asyncio.ensure_future(_send(lifeline, data[sent:]))


async def _send(lifeline: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(lifeline, data)


def packed(request: Request) -> bytes:
    """*request* as `warden.py` reads it. Raises ValueError for values that no program can receive."""
    argv = [os.fsencode(word) for word in request.argv]
    environment = {os.fsencode(name): os.fsencode(value) for name, value in request.environment.items()}
    if b"\0" in b"".join((*argv, *environment, *environment.values())):
        raise ValueError("embedded null byte")
    if b"=" in b"".join(environment):
        raise ValueError("illegal environment variable name")
    place, grace = os.fsencode(request.cwd), request.grace.total_seconds()
    body = marshal.dumps((argv, environment, place, grace, request.keep, request.call))
    return len(body).to_bytes(8, "big") + body


def _parsed(answer: bytes, request: Request) -> End:
    word, *rest = answer.removeprefix(BEGUN).decode("ascii", "replace").split() or [""]
    try:
        if word == "failed":
            number, part = rest
            name = {"cwd": str(request.cwd), "program": request.argv[0]}.get(part)
            raise OSError(int(number), os.strerror(int(number)), name)
        code, *left = map(int, rest)
    except ValueError as error:
        raise WardenLost from error
    if word not in {"ended", "kept"}:
        raise WardenLost
    return End(code, kept=tuple(left) if word == "kept" else (), refused=tuple(left) if word == "ended" else ())
