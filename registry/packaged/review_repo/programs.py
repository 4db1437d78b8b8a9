"""Runs the programs that reviewers use, with an argv list, a time limit and an output limit.

Effects: starts processes and kills them, with their children, when their time is up. No shell, no prompts.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from registry.packaged.review_repo.answer import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

KILL_SECONDS = 5.0
"""How long to wait for killed processes to end."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
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
            list(argv), cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise Refusal(
            "TOOL_MISSING",
            f'"{argv[0]}" cannot be started: {error.strerror}',
            hint="Install it and run the review again.",
        ) from error
    with process:
        assert process.stdin and process.stdout and process.stderr  # noqa: PT018, S101 - all three were asked for
        out, err = _Drain(process.stdout, limit, process), _Drain(process.stderr, 100_000, None)
        feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
        feeder.start()
        timed_out = False
        try:
            process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill_tree(process.pid)
        out.join()
        err.join()
        feeder.join()
    return Finished(
        code=process.returncode,
        stdout=out.text,
        stderr=err.text.decode("utf-8", "replace"),
        timed_out=timed_out,
        truncated=out.truncated,
    )


class _Drain(threading.Thread):
    """Reads one stream to its end and keeps the first *limit* bytes; then the *writer*, if given, is stopped."""

    def __init__(self, stream: IO[bytes], limit: int, writer: subprocess.Popen[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._stream, self._limit, self._writer = stream, limit, writer
        self._chunks: list[bytes] = []
        self.truncated = False
        self.start()

    def run(self) -> None:
        size = 0
        while chunk := self._stream.read(65_536):
            if self.truncated:
                continue
            size += len(chunk)
            self._chunks.append(chunk)
            if size > self._limit:
                self.truncated = True
                if self._writer is not None:
                    _kill_tree(self._writer.pid)

    @property
    def text(self) -> bytes:
        return b"".join(self._chunks)[: self._limit]


def _feed(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.close()
    except OSError:
        return  # the program ended without reading all of it; its exit status shows why


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
