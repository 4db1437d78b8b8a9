"""Input and output of a program, over pipes that lead directly to it.

Effects: makes pipes, reads and writes them when the event loop reports them ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Self

STDERR_TAIL = 8 * 1024
_PIECE = 256 * 1024


class Output:
    """Keeps a program's output, within limits, and knows when no process can write anymore."""

    def __init__(
        self,
        *,
        on_line: Callable[[bytes], None] | None,
        on_news: Callable[[int, bytes], None] | None,
        stdout_limit: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.overflowed: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self._on_line = on_line
        self._on_news = on_news
        self._limit = stdout_limit
        self._stdout = bytearray()
        self._stderr = bytearray()

    def take(self, number: int, data: bytes) -> None:
        """Take *data*, written to the stream *number*."""
        if self._on_news is not None:
            self._on_news(number, data)
        if number != 1:
            self._stderr += data
            del self._stderr[:-STDERR_TAIL]
        elif not self.overflowed.done():
            self._stdout += data
            if self._on_line is not None:
                self._hand_over_lines(len(data))
            if len(self._stdout) > self._limit:
                self.overflowed.set_result(None)

    def collected(self) -> tuple[bytes, bytes]:
        """All of stdout up to the limit, unless lines were taken one by one, and the end of stderr."""
        if self._on_line is not None and self._stdout and not self.overflowed.done():
            self._on_line(bytes(self._stdout))
            self._stdout.clear()
        return bytes(self._stdout[: self._limit]), bytes(self._stderr)

    def _hand_over_lines(self, fresh: int) -> None:
        assert self._on_line is not None  # noqa: S101 -- asked by the caller
        if self._stdout.find(b"\n", len(self._stdout) - fresh) < 0:
            return
        *lines, rest = self._stdout.split(b"\n")
        self._stdout = rest
        for line in lines:
            self._on_line(bytes(line))


class Pipes:
    """The three pipes of a program; *stdin* is written to the first."""

    def __init__(self, stdin: bytes, output: Output) -> None:
        self._loop = asyncio.get_running_loop()
        self._stdin = memoryview(stdin)
        self._output = output
        self._ours: dict[int, int] = {}
        """Our ends, by their number in the program."""
        self._theirs: dict[int, int] = {}
        self._is_full = False
        """The loop says when its stdin takes more."""

    def __enter__(self) -> Self:
        """Make them and start to read and write. OSError if too many are open."""
        try:
            for number in range(3):
                reading, writing = os.pipe()
                self._theirs[number], self._ours[number] = (writing, reading) if number else (reading, writing)
            for number, descriptor in self._ours.items():
                os.set_blocking(descriptor, False)
                if number:
                    self._loop.add_reader(descriptor, self._read, number)
        except BaseException:
            self.__exit__()
            raise
        if not self._write():
            self._is_full = True
            self._loop.add_writer(self._ours[0], self._write)
        return self

    @property
    def theirs(self) -> list[int]:
        """The program's ends: stdin, stdout and stderr."""
        return list(self._theirs.values())

    def hand_over(self) -> None:
        """The program has its ends: close them here, so that we see when the last process closes them."""
        for descriptor in self._theirs.values():
            os.close(descriptor)
        self._theirs.clear()

    def __exit__(self, *_error: object) -> None:
        self.hand_over()
        for number in list(self._ours):
            self._close(number)

    def _write(self) -> bool:
        """Write as much as fits, and close at the end; never wait for a program that does not read."""
        try:
            while self._stdin:
                self._stdin = self._stdin[os.write(self._ours[0], self._stdin) :]
        except BlockingIOError:
            return False
        except OSError:  # it does not read its stdin
            pass
        self._close(0)
        return True

    def _read(self, number: int) -> None:
        data = b""
        with contextlib.suppress(OSError):
            try:
                data = os.read(self._ours[number], _PIECE)
            except BlockingIOError:
                return
        if data:
            self._output.take(number, data)
            return
        self._close(number)
        if not {1, 2} & self._ours.keys() and not self._output.drained.done():
            self._output.drained.set_result(None)

    def _close(self, number: int) -> None:
        descriptor = self._ours.pop(number)
        if number:
            self._loop.remove_reader(descriptor)
        elif self._is_full:
            self._loop.remove_writer(descriptor)
        os.close(descriptor)
