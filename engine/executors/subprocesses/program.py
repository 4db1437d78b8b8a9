"""Runs one program to its end and leaves none of its processes behind.

Effects: has a program started under a warden (`wardens.py`) or, where there are none, with a search at its end
(`search.py`), and communicates with it over pipes. It does not interpret the output.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil

from engine.executors.shielding import uncancelled
from engine.executors.subprocesses.output import Output, Pipes
from engine.executors.subprocesses.search import GRACE, Searched, end_tagged
from engine.executors.subprocesses.wardens import End, Request, Warded, WardenLost, wardens_for

STDOUT_LIMIT = 10 * 1024 * 1024
_DRAIN = timedelta(seconds=1)
_DRAIN_KEPT = timedelta(milliseconds=200)
_LOST = -9


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended."""

    returncode: int
    """Negative: the signal that ended it."""
    stdout: bytes
    """All of it, or what was read up to the limit; empty if lines were taken one by one."""
    stderr: bytes
    """The last 8 KB."""
    overflow: bool
    """The program was stopped because it wrote too much to stdout."""
    kept: tuple[str, ...] = ()
    """Processes of it that may keep running, such as `4242 (node)`."""
    refused: tuple[str, ...] = ()
    """Processes of another user, which could not be ended."""

    @property
    def left(self) -> tuple[str, ...]:
        """Processes that still run, a line each."""
        return (
            *(f"{name} keeps running, as allowed by `keepProcesses` of its agent" for name in self.kept),
            *(f"{name} could not be ended because it belongs to another user" for name in self.refused),
        )


async def run_program(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    tag: str,
    stdin: bytes = b"",
    on_line: Callable[[bytes], None] | None = None,
    on_news: Callable[[int, bytes], None] | None = None,
    stdout_limit: int = STDOUT_LIMIT,
    grace: timedelta = GRACE,
    keep: bool = False,
    leaves_nothing: bool = False,
    enough: asyncio.Event | None = None,
    call: str = "",
) -> Ended:
    """Run *argv* until it exits, or *enough* is set; then end its remaining processes, unless *keep*.

    A cancellation ends all of them, *keep* or not. *argv* starts with a path, *environment* must hold *tag*. With
    *on_line* stdout is passed on line by line and the limit is per line; *on_news* gets every piece of output, with the
    number of its stream, 1 or 2; neither may raise. *leaves_nothing* says that the program starts no others, so no
    search is needed. *call* is the function of this program that *argv* calls: where there are wardens, a fork that has
    imported it already calls it instead. OSError or ValueError if the program cannot be started.
    """
    output = Output(on_line=on_line, on_news=on_news, stdout_limit=stdout_limit)
    call = "" if keep else call
    request = Request(argv=argv, cwd=cwd, environment=environment, grace=grace, keep=keep, call=call)
    wardens = await wardens_for(keep=keep, calls=bool(call))
    with Pipes(stdin, output) as pipes:
        hold = Searched(tag, leaves_nothing=leaves_nothing) if wardens is None else Warded(wardens)
        running = asyncio.ensure_future(_held(hold, request, pipes, tag))
        running.add_done_callback(lambda done: done.cancelled() or done.exception())  # a cancelled caller does not ask
        try:
            calm = await _over(running, output, enough)
            if not running.done():
                hold.end(program_only=calm and keep, within=grace)
            await _drained(running, output, _DRAIN_KEPT if keep else _DRAIN)
        except asyncio.CancelledError as cancelled:
            if not running.done():
                hold.end(program_only=False, within=grace)
            await uncancelled(_drained(running, output, _DRAIN))
            _note(cancelled, running)
            raise
    end = running.result()
    stdout, stderr = output.collected()
    return Ended(
        returncode=end.returncode,
        stdout=stdout,
        stderr=stderr,
        overflow=output.overflowed.done(),
        kept=_named(end.kept),
        refused=_named(end.refused),
    )


def _note(cancelled: asyncio.CancelledError, running: asyncio.Future[End]) -> None:
    """Note on the cancellation what could not be ended: its caller gets no result."""
    if not running.cancelled() and running.exception() is None:
        for name in _named(running.result().refused):
            cancelled.add_note(f"The process {name} could not be ended because it belongs to another user.")


async def _over(running: asyncio.Future[End], output: Output, enough: asyncio.Event | None) -> bool:
    """Wait for the program's end, for too much output or for *enough*; False for too much."""
    waited: list[asyncio.Future[Any]] = [running, output.overflowed]
    if enough is not None:
        waited.append(asyncio.ensure_future(enough.wait()))
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for extra in waited[2:]:
            extra.cancel()
    return not output.overflowed.done()


async def _held(hold: Warded | Searched, request: Request, pipes: Pipes, tag: str) -> End:
    try:
        return await hold.run(request, pipes)
    except WardenLost:  # an agent can cause that: processes with its tag are still found
        return End(_LOST, refused=await end_tagged(tag, grace=request.grace))


async def _drained(running: asyncio.Future[End], output: Output, patience: timedelta) -> None:
    """Wait until nothing is left, and the rest of the pipes is read."""
    if not running.done():
        await asyncio.wait([running])
    if not output.drained.done() and not running.cancelled() and running.exception() is None:
        await asyncio.wait([output.drained], timeout=patience.total_seconds())


def _named(pids: Collection[int]) -> tuple[str, ...]:
    named = []
    for pid in pids:
        try:
            named.append(f"{pid} ({psutil.Process(pid).name()})")
        except psutil.NoSuchProcess:
            continue
        except psutil.Error:
            named.append(str(pid))
    return tuple(named)
