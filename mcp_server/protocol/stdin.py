"""Lines of stdin, read in a thread that can be abandoned.

Effects: takes file descriptor 0 and puts the null device in its place, so that no agent and no tool reads the protocol,
unless the door has already done so. The SDK's own reader cannot be cancelled while it waits for a line, so a signal
would not end the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from mcp_server.door.handover import HandOver

LINES_AHEAD = 64
"""Lines that are read in advance."""


class Lines:
    """An asynchronous iterator over the lines of stdin."""

    def __init__(self, *, on_end: Callable[[], None], door: HandOver | None = None) -> None:
        """*on_end* is called in the loop when stdin ends, before the iteration ends.

        *door* has the lines if it has taken stdin.
        """
        self._door = door
        self._on_end = on_end
        self._lines: deque[str | None] = deque()
        self._ready = asyncio.Event()
        self._room = threading.Semaphore(LINES_AHEAD)
        self._loop = asyncio.get_running_loop()
        self._ended = False

    def __enter__(self) -> Self:
        """Take stdin and start to read."""
        source = _stdin() if self._door is None else self._door.lines()
        threading.Thread(target=self._read, args=(source,), name="stdin", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading; the thread ends with the process at the latest."""
        self._ended = True
        self._room.release(LINES_AHEAD)

    def _read(self, source: Iterator[str]) -> None:
        try:
            for line in source:
                self._room.acquire()
                if self._ended:
                    return
                self._loop.call_soon_threadsafe(self._take, line)
            self._loop.call_soon_threadsafe(self._take, None)
        except (OSError, RuntimeError):  # the descriptor or the loop is gone: so is the client
            return

    def _take(self, line: str | None) -> None:
        if line is None:
            self._on_end()
        self._lines.append(line)
        self._ready.set()

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> str:
        """The next line, with its end."""
        while not self._lines:
            self._ready.clear()
            await self._ready.wait()
        line = self._lines.popleft()
        if line is None:
            self._lines.append(None)
            raise StopAsyncIteration
        self._room.release()
        return without_lone_surrogates(line) if "\\ud" in line.lower() else line


def _stdin() -> Iterator[str]:
    """The lines of descriptor 0, which leads nowhere from now on."""
    private = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def lines() -> Iterator[str]:
        with os.fdopen(private, encoding="utf-8", errors="replace", newline="\n") as stream:
            yield from stream

    return lines()


def without_lone_surrogates(line: str) -> str:
    """*line* of JSON with a question mark for each half of a surrogate pair.

    JavaScript sends one for text that was cut inside an emoji; the SDK cannot parse such a line, and drops it without
    an answer.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace").decode() + "\n"
