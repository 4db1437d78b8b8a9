"""Runs one program to its end and leaves nothing of what it started behind.

Effects: starts a process in a session of its own, talks with it over pipes, reads the process table, ends processes.
It does not know what the program says or means.

Ending an attempt sends TERM, and KILL after a grace, to the program's session, to its descendants and to all that
carries its mark (see `marks.py`). The last finds a child that made a session of its own and whose parent has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil

from engine.executors.marks import carriers, lives, orphans
from engine.ids import AttemptId

GRACE = timedelta(seconds=2)
"""Between TERM and KILL."""
STDOUT_LIMIT = 10 * 1024 * 1024
STDERR_TAIL = 8 * 1024
_PERSISTENCE = timedelta(seconds=5)
"""How long KILL is repeated for what does not go; beyond it the kernel holds the process."""
_DRAIN = timedelta(seconds=1)
_DRAIN_KEPT = timedelta(milliseconds=200)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended."""

    returncode: int
    """Negative: the signal that ended it."""
    stdout: bytes
    """All of it, or what was read up to the limit; empty where lines were taken one by one."""
    stderr: bytes
    """The last 8 KB."""
    overflow: bool
    """The program was ended because it wrote more to stdout than allowed."""


async def run_program(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    mark: str,
    stdin: bytes = b"",
    on_line: Callable[[bytes], None] | None = None,
    on_news: Callable[[bytes], None] | None = None,
    stdout_limit: int = STDOUT_LIMIT,
    grace: timedelta = GRACE,
    keep: bool = False,
) -> Ended:
    """Run *argv* until it exits; then end what it left, unless *keep*. Cancelled, it ends all, *keep* or not.

    *environment* must carry *mark*. With *on_line* stdout is handed over line by line and the limit is per line;
    *on_news* is given every piece of output, of stderr too; neither may raise. OSError or ValueError where the program
    cannot be started.
    """
    loop = asyncio.get_running_loop()
    program = _Program(on_line=on_line, on_news=on_news, stdout_limit=stdout_limit)
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: program,
            *argv,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    calm = False
    try:
        await asyncio.shield(starting)
        program.give(stdin)
        await asyncio.wait([program.exited, program.overflowed], return_when=asyncio.FIRST_COMPLETED)
        calm = program.exited.done()
    finally:
        await uncancelled(_finish(program, starting, mark=mark, grace=grace, calm=calm, keep=keep))
    return program.ended()


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Do *work* to its end whatever is cancelled meanwhile; the cancellation goes on after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


async def end_orphans(
    project: Path,
    *,
    alive: Collection[AttemptId] = (),
    lost: Collection[AttemptId] = (),
    grace: timedelta = GRACE,
) -> int:
    """End what killed servers of *project* left running, and say how many processes that were.

    Only processes of our user that carry a mark of this project, whose server no longer runs, and whose attempt is not
    in *alive*. What an agent may keep (`keepProcesses`) stays, unless the crash cut its attempt off: those in *lost*.
    """

    def left() -> list[psutil.Process]:
        return orphans(project, alive=alive, lost=lost)

    found = await asyncio.to_thread(left)
    if found:
        await uncancelled(_end_all(left, grace=grace))
    return len(found)


class _Program(asyncio.SubprocessProtocol):
    """Keeps what a program writes, within limits, and tells when it has exited, whoever still holds its pipes."""

    def __init__(
        self, *, on_line: Callable[[bytes], None] | None, on_news: Callable[[bytes], None] | None, stdout_limit: int
    ) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.overflowed: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.SubprocessTransport | None = None
        self._on_line = on_line
        self._on_news = on_news
        self._limit = stdout_limit
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._open = {1, 2}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 -- what subprocess_exec makes
        self.transport = transport

    def give(self, stdin: bytes) -> None:
        """Write *stdin* and close it; a program that does not read it is not waited for."""
        pipe = self.transport.get_pipe_transport(0) if self.transport is not None else None
        if isinstance(pipe, asyncio.WriteTransport):
            pipe.write(stdin)
            pipe.write_eof()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._on_news is not None:
            self._on_news(data)
        if fd != 1:
            self._stderr += data
            del self._stderr[:-STDERR_TAIL]
        elif not self.overflowed.done():
            self._stdout += data
            if self._on_line is not None:
                self._hand_over_lines(len(data))
            if len(self._stdout) > self._limit:
                self.overflowed.set_result(None)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        self._open.discard(fd)
        if not self._open and not self.drained.done():
            self.drained.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def ended(self) -> Ended:
        assert self.transport is not None  # noqa: S101 -- asked after the end only
        if self._on_line is not None and self._stdout and not self.overflowed.done():
            self._on_line(bytes(self._stdout))
            self._stdout.clear()
        returncode = self.transport.get_returncode()
        return Ended(
            returncode=-signal.SIGKILL if returncode is None else returncode,
            stdout=bytes(self._stdout[: self._limit]),
            stderr=bytes(self._stderr),
            overflow=self.overflowed.done(),
        )

    def _hand_over_lines(self, fresh: int) -> None:
        assert self._on_line is not None  # noqa: S101 -- asked by the caller
        if self._stdout.find(b"\n", len(self._stdout) - fresh) < 0:
            return
        *lines, rest = self._stdout.split(b"\n")
        self._stdout = rest
        for line in lines:
            self._on_line(bytes(line))


async def _finish(
    program: _Program,
    starting: asyncio.Future[Any],
    *,
    mark: str,
    grace: timedelta,
    calm: bool,
    keep: bool,
) -> None:
    """End what is left, read what is still in the pipes, close them."""
    with contextlib.suppress(OSError, ValueError):  # it could not be started: told by whoever awaits `starting` itself
        await starting
    transport = program.transport
    if transport is None or not starting.done() or starting.exception() is not None:
        return
    pid = transport.get_pid()
    try:
        if calm and not keep:
            await _end_all(lambda: _left_of(pid, mark, exited=True), grace=grace)
        elif not calm:
            await _end_tree(program, pid, mark=mark, grace=grace)
        if not program.drained.done():
            await asyncio.wait([program.drained], timeout=(_DRAIN_KEPT if keep else _DRAIN).total_seconds())
    except asyncio.CancelledError:  # the loop itself is going down: no more time, but nothing may stay
        _kill_now(program, pid, mark)
        raise
    finally:
        transport.close()


async def _end_tree(program: _Program, pid: int, *, mark: str, grace: timedelta) -> None:
    """End the program with all that belongs to it; what it has started is noted while it can still be asked."""
    family = await asyncio.to_thread(_descendants, pid)

    def left() -> list[psutil.Process]:
        seen = {process.pid: process for process in family if lives(process)}
        seen |= {process.pid: process for process in _left_of(pid, mark, exited=program.exited.done())}
        return list(seen.values())

    await _end_all(left, grace=grace)
    if not program.exited.done():  # it has ended, and the loop has yet to hear of it
        await asyncio.wait([program.exited], timeout=_PERSISTENCE.total_seconds())


async def _end_all(left: Callable[[], list[psutil.Process]], *, grace: timedelta) -> None:
    """TERM to what *left* finds, KILL after *grace*, until it finds nothing."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + grace.total_seconds()
    deadline = patience + _PERSISTENCE.total_seconds()
    told: set[int] = set()
    pause = 0.005
    while processes := await asyncio.to_thread(left):
        now = loop.time()
        if now >= deadline:
            return
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if now >= patience:
                    process.kill()
                elif process.pid not in told:
                    told.add(process.pid)
                    process.terminate()
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)


def _kill_now(program: _Program, pid: int, mark: str) -> None:
    for process in [*_descendants(pid), *_left_of(pid, mark, exited=program.exited.done())]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _left_of(pid: int, mark: str, *, exited: bool) -> list[psutil.Process]:
    """Everything alive that carries *mark* or belongs to the session which the program *pid* began."""
    # A process of this number after the program's end is another one, and then the session has no members:
    # the kernel gives no number anew while it names a session.
    stranger = exited and psutil.pid_exists(pid)
    return carriers(lambda environment: mark in environment, session=None if stranger else pid)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
