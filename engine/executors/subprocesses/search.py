"""Ends programs and their descendants by searching for them, on systems without wardens or if one was killed.

Effects: reads the process table, starts and ends processes.

Ending an attempt sends TERM, and KILL after a grace, to the program's session, to its descendants and to all that
has its tag (see `process_tags.py`). The tag finds a child that made a session of its own and whose parent has
ended, but not one that has emptied its environment as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil

from engine.executors.shielding import uncancelled
from engine.executors.subprocesses.output import Pipes
from engine.executors.subprocesses.process_tags import carriers, carrying, lives, orphans
from engine.executors.subprocesses.wardens import End, Request
from engine.ids import AttemptId
from engine.statefolder.owners import at_work, owners_of

GRACE = timedelta(seconds=2)
"""Between TERM and KILL."""
_PERSISTENCE = timedelta(seconds=5)
"""How long KILL is repeated; a process that survives it is stuck in the kernel."""


class Endable(Protocol):
    """The part of a process that ending it needs."""

    @property
    def pid(self) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


Found = TypeVar("Found", bound=Endable)


class Searched:
    """One program whose process tree is searched for at its end."""

    def __init__(self, tag: str, *, leaves_nothing: bool) -> None:
        """*leaves_nothing*: the program starts no others, and a search would cost more than the program."""
        carrying(tag)  # raises before anything is started
        self._tag = tag
        self._leaves_nothing = leaves_nothing
        self._told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._program_only = True

    async def run(self, request: Request, pipes: Pipes) -> End:
        """Run *request* to its end. Raises OSError or ValueError if it cannot be started."""
        if self._told.done():
            return End(-signal.SIGTERM)
        stdin, stdout, stderr = pipes.theirs
        transport, program = await asyncio.get_running_loop().subprocess_exec(
            _Program,
            *request.argv,
            cwd=request.cwd,
            env=dict(request.environment),
            start_new_session=True,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        pipes.hand_over()
        pid = transport.get_pid()
        kept: list[psutil.Process] = []
        refused: list[psutil.Process] = []
        try:
            either: list[asyncio.Future[Any]] = [program.exited, self._told]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not program.exited.done():
                refused = await self._end_tree(program, pid, request.grace)
            elif not request.keep and not self._leaves_nothing:
                refused = await end_all(lambda: _remaining_of(pid, self._tag, exited=True), grace=request.grace)
            if request.keep and self._program_only:
                kept = await asyncio.to_thread(_remaining_of, pid, self._tag, exited=True)
        except asyncio.CancelledError:  # the loop itself shuts down: no time left, but nothing may stay
            _kill_now(pid, self._tag, exited=program.exited.done())
            raise
        finally:
            transport.close()
        code = transport.get_returncode()
        return End(-signal.SIGKILL if code is None else code, kept=_pids(kept), refused=_pids(refused))

    def end(self, *, program_only: bool, within: timedelta) -> None:  # noqa: ARG002 -- as `Warded.end`
        """Start to end all processes, or only the program; once all, it stays all."""
        self._program_only = self._program_only and program_only
        if not self._told.done():
            self._told.set_result(None)

    async def _end_tree(self, program: _Program, pid: int, grace: timedelta) -> list[psutil.Process]:
        """End the program and its descendants while these can still be found; returns what did not end."""
        itself, family = await asyncio.to_thread(_family, pid)

        def remaining() -> list[psutil.Process]:
            if self._program_only:
                return [process for process in itself if lives(process)]
            seen = {process.pid: process for process in family if lives(process)}
            seen |= {process.pid: process for process in _remaining_of(pid, self._tag, exited=program.exited.done())}
            return list(seen.values())

        stays = await end_all(remaining, grace=grace)
        if not program.exited.done():  # it has ended, but the loop does not know yet
            await asyncio.wait([program.exited], timeout=_PERSISTENCE.total_seconds())
        return stays


class _Program(asyncio.SubprocessProtocol):
    """Notes when a program has exited."""

    def __init__(self) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


async def end_tagged(tag: str, *, grace: timedelta) -> tuple[int, ...]:
    """End the processes with *tag*; returns those that did not end. Raises ValueError for an invalid tag."""
    is_wanted = carrying(tag)

    def remaining() -> list[psutil.Process]:
        return carriers(is_wanted)

    return _pids(await end_all(remaining, grace=grace))


async def end_orphans(
    project: Path,
    *,
    alive: Collection[AttemptId] = (),
    lost: Collection[AttemptId] = (),
    grace: timedelta = GRACE,
) -> int:
    """End the processes that killed servers of *project* left running; returns their number.

    These are processes of our user with a tag of this project whose server no longer runs and whose attempt is not in
    *alive*. Processes that an agent may keep (`keepProcesses`) stay, unless the crash interrupted their attempt: those
    in *lost*. Processes that wardens still hold for a killed server have ended, too.
    """

    def remaining() -> list[psutil.Process]:
        return orphans(project, alive=alive, lost=lost)

    owners = owners_of(project)
    return await end_found(remaining, lambda: bool(at_work(owners)), grace=grace)


async def end_found(remaining: Callable[[], list[Found]], held: Callable[[], bool], *, grace: timedelta) -> int:
    """End what *remaining* finds, and wait while wardens have *held* something; returns the number found."""
    found = await asyncio.to_thread(remaining)
    if found:
        await uncancelled(end_all(remaining, grace=grace))
    await _held_no_more(held, grace)
    return len(found)


async def _held_no_more(held: Callable[[], bool], grace: timedelta) -> None:
    """Wait until wardens have ended what they held for killed servers, even processes without a tag."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (grace + 2 * _PERSISTENCE).total_seconds()
    while await asyncio.to_thread(held) and loop.time() < deadline:  # noqa: ASYNC110 -- other processes
        await asyncio.sleep(0.02)


async def end_all(remaining: Callable[[], list[Found]], *, grace: timedelta) -> list[Found]:
    """Send TERM to what *remaining* finds, KILL after *grace*, until it finds nothing; returns what did not end."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + grace.total_seconds()
    deadline = patience + _PERSISTENCE.total_seconds()
    signalled: set[int] = set()
    pause = 0.005
    while processes := await asyncio.to_thread(remaining):
        now = loop.time()
        if now >= deadline:
            return processes
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if now >= patience:
                    process.kill()
                elif process.pid not in signalled:
                    signalled.add(process.pid)
                    process.terminate()
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
    return []


def _kill_now(pid: int, tag: str, *, exited: bool) -> None:
    for process in [*_family(pid)[1], *_remaining_of(pid, tag, exited=exited)]:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _remaining_of(pid: int, tag: str, *, exited: bool) -> list[psutil.Process]:
    """All live processes that have *tag* or belong to the session of the program *pid*."""
    # A process with this id after the program's end is another one, and then the session has no members:
    # the kernel does not reuse an id while a session has it.
    stranger = exited and psutil.pid_exists(pid)
    return carriers(carrying(tag), session=None if stranger else pid)


def _family(pid: int) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The process *pid*, if it exists, and its descendants."""
    try:
        process = psutil.Process(pid)
        return [process], process.children(recursive=True)
    except psutil.Error:
        return [], []


def _pids(processes: Collection[psutil.Process]) -> tuple[int, ...]:
    return tuple(process.pid for process in processes)
