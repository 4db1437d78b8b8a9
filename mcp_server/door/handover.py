"""The part of the door that the SDK gets: both streams, the lines that have come, and the ledger of what was said.

Effects: reads and writes the protocol's descriptors, and what the ledger does.
"""

from __future__ import annotations

import contextlib
import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from mcp_server.door.conversation import Conversation
    from mcp_server.door.ledger import Ledger

MAX_HEARD = 20
"""Lines after which nothing more is learned."""


class HandOver:
    """The standard streams, after the door."""

    def __init__(
        self,
        stdin: int,
        stdout: int,
        *,
        conversation: Conversation,
        ledger: Ledger,
        lines: list[str],
        rest: bytes,
        pending: bytes,
    ) -> None:
        """*lines* have been heard and are to be passed on; *rest* is what was read after them.

        *pending* is what the client has not taken yet. It is written by a thread, so that nothing waits for the client.
        """
        self._stdin = stdin
        self._stdout = stdout
        self._conversation = conversation
        self._ledger = ledger
        self._lines = lines
        self._rest = rest
        self._writing = threading.Lock()
        if pending:
            self._writing.acquire()
            threading.Thread(target=self._write_first, args=(pending,), name="stdout", daemon=True).start()

    def lines(self) -> Iterator[str]:
        """All lines for the SDK, as they come; blocks."""
        yield from self._lines
        self._lines = []
        with os.fdopen(self._stdin, "rb") as stream:
            *whole, begun = self._rest.split(b"\n")
            self._rest = b""
            for number, line in enumerate(_all(whole, begun, stream)):
                self._hear(line, number)
                yield line.decode("utf-8", "replace")

    def _hear(self, line: bytes, number: int) -> None:
        """Learn from the answer to *line* while all lines are understood."""
        if self._conversation.doubted:
            return
        question = self._conversation.hear(line)
        if number == MAX_HEARD:
            self._conversation.doubted = True
        if self._conversation.doubted:
            self._ledger.learn_no_more()
        elif question is not None:
            self._ledger.expect(question)

    @property
    def has_answered(self) -> bool:
        """Whether the client has an answer."""
        return self._ledger.has_answered

    def keep_nothing(self) -> None:
        """Store no answers, and forget those of this client's questions: the next server is to decide by itself."""
        self._ledger.keeps = False

    def write(self, line: str, is_secret: Callable[[str], bool]) -> None:
        """Pass on the SDK's *line*, unless it was said before; blocks. *is_secret* says what must not be stored."""
        self._ledger.is_secret = is_secret
        for text in self._ledger.passes(line):
            with self._writing:
                _write_all(self._stdout, text.encode())

    def _write_first(self, pending: bytes) -> None:
        try:
            with contextlib.suppress(OSError):  # the next line meets the same error
                _write_all(self._stdout, pending)
        finally:
            self._writing.release()


def _all(whole: list[bytes], rest: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """The lines *whole*, the line that begins with *rest*, and those of *stream*, each with its end."""
    yield from (line + b"\n" for line in whole)
    if begun := rest + stream.readline():
        yield begun
    yield from stream


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of *data*. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
