"""Runs the programs that reviewers use, with an argv list, a time limit and an output limit.

Effects: starts processes and kills them, with their children, when their time is up. No shell, no prompts.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import subprocess
import time
from typing import TYPE_CHECKING

import msgspec

from registry.packaged.review_repo.answer import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

KILL_SECONDS = 5.0
"""How long to wait for killed processes to end."""
_COMPLAINTS = 100_000
_CHUNK = 65_536


class Deadline:
    """A budget of seconds that starts now."""

    def __init__(self, seconds: float) -> None:
        """Allow *seconds* from now."""
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a program."""

    code: int
    """Exit status; negative for a signal."""
    stdout: bytes
    stderr: str
    timed_out: bool = False
    truncated: bool = False
    """Whether it was stopped because it wrote more than the limit."""

    @property
    def complaint(self) -> str:
        """The last non-empty line of stderr, at most 300 characters."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit status {self.code}"


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    seconds: float,
    limit: int = 64_000_000,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
) -> Finished:
    """Run *argv* to its end, for at most *seconds* and *limit* bytes of stdout."""
    try:
        process = subprocess.Popen(  # noqa: S603 - argv list, no shell
            list(argv),
            cwd=cwd,
            env=env,
            bufsize=0,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise Refusal(
            "TOOL_MISSING",
            f'"{argv[0]}" cannot be started: {error.strerror}',
            hint="Install it and run the review again.",
        ) from error
    with process, _Exchange(process, stdin, limit) as exchange:
        timed_out = not exchange.over(Deadline(max(seconds, 0.1)))
        if timed_out:
            _kill_tree(process.pid)
            exchange.over(Deadline(KILL_SECONDS))
    return Finished(
        code=process.returncode,
        stdout=bytes(exchange.out[:limit]),
        stderr=exchange.err[:_COMPLAINTS].decode("utf-8", "replace"),
        timed_out=timed_out,
        truncated=exchange.truncated,
    )


class _Exchange:
    """Feeds a program and reads its output, until it has ended; one that writes too much is stopped.

    The end of its streams is waited for, not the process: Python looks only now and then whether one has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], data: bytes, limit: int) -> None:
        self._process, self._data, self._limit = process, memoryview(data), limit
        self._waiting = selectors.DefaultSelector()
        self.out, self.err = bytearray(), bytearray()
        self.truncated = False
        for stream, event, work in (
            (process.stdout, selectors.EVENT_READ, self._read),
            (process.stderr, selectors.EVENT_READ, self._listen),
            (process.stdin, selectors.EVENT_WRITE, self._feed),
        ):
            if stream is not None:
                self._waiting.register(stream, event, (stream, work))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.close()

    def over(self, deadline: Deadline) -> bool:
        """Go on until the program has ended, or *deadline* has passed: False."""
        while self._waiting.get_map():
            ready = self._waiting.select(deadline.left)
            if not ready and deadline.passed:
                return False
            for key, _event in ready:
                stream, work = key.data
                if not work(key.fd):
                    self._waiting.unregister(stream)
                    stream.close()
        try:
            self._process.wait(deadline.left)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self, descriptor: int) -> bool:
        chunk = os.read(descriptor, _CHUNK)
        if not self.truncated:
            self.out += chunk
            if len(self.out) > self._limit:
                self.truncated = True
                _kill_tree(self._process.pid)
        return bool(chunk)

    def _listen(self, descriptor: int) -> bool:
        chunk = os.read(descriptor, _CHUNK)
        if len(self.err) < _COMPLAINTS:
            self.err += chunk
        return bool(chunk)

    def _feed(self, descriptor: int) -> bool:
        """Write what a pipe surely takes; False at the end."""
        try:
            self._data = self._data[os.write(descriptor, self._data[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            return False  # it ended without reading all of it; its exit status shows why
        return bool(self._data)


def _kill_tree(pid: int) -> None:
    import psutil  # noqa: PLC0415 - needed only if a program must be stopped

    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    patience = time.monotonic() + KILL_SECONDS

    def lives(member: psutil.Process) -> bool:
        """Whether a process still runs; one that has ended stays in the table until its parent reaps it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
        return False

    while any(lives(member) for member in family) and time.monotonic() < patience:
        time.sleep(0.005)


def batches(names: Iterable[str], *, files: int, characters: int) -> Iterator[list[str]]:
    """*names* in order, in lists that fit on one command line."""
    batch: list[str] = []
    size = 0
    for name in names:
        if batch and (len(batch) >= files or size + len(name) > characters):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += len(name.encode()) + 1
    if batch:
        yield batch
