"""Writes the logs of the attempts that run in this process: all that their agents printed, said and did.

Effects: writes files, at most a few times a second for each attempt.

An agent may print faster than anyone can read. So the part that is redacted and written is limited for each attempt: a
burst passes whole, then a steady rate, and of the rest the newest part is kept and the log says how much is left out.
Neither memory, nor the disk, nor the event loop depends on the amount that an agent prints. A log that cannot be
written ends; its attempt does not notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.model.log import LogEntry, LogKind, LogLine
from engine.storage.attempt_logs import RunFolder, pieces
from engine.text.redacted_stream import RedactedStream
from engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.ids import NodeId, RunId
    from engine.runtime.clock import Clock
    from engine.statefolder.links import Place
    from engine.storage.attempt_logs import LogFile

log = logging.getLogger(__name__)
FLUSH_SECONDS = 0.25
"""How long a line may wait to be written."""
MAX_PENDING = 64 * 1024
"""Characters of an attempt that wait to be written."""
BURST = 1024 * 1024
"""Characters that an attempt may log at once."""
RATE = 256 * 1024
"""Characters a second that it may log for longer."""


class AttemptLogs:
    """The logs of one process."""

    def __init__(self, state: Place, clock: Clock) -> None:
        """*state* is the place of the state folder."""
        self._state = state
        self._clock = clock
        self._folders: dict[RunId, RunFolder | None] = {}
        self._waiting: set[AttemptLog] = set()
        self._timer: asyncio.TimerHandle | None = None

    def open(self, run: RunId, node: NodeId, number: int) -> AttemptLog:
        """The log of a new attempt; its file is made with its first line."""
        return AttemptLog(self, run, node, number)

    def file_of(self, run: RunId, node: NodeId, number: int) -> LogFile | None:
        """The file of a log; None if logs of this run cannot be written."""
        if run not in self._folders:
            try:
                self._folders[run] = RunFolder(self._state, run)
            except (OSError, ValueError, OrchestrationError) as error:
                self.fail(run, error)
        folder = self._folders[run]
        return None if folder is None else folder.log(node, number)

    def fail(self, run: RunId, error: Exception) -> None:
        """Write no more logs of *run*, and say so once."""
        if self._folders.get(run, True) is not None:
            log.warning("logs of the agents of %s cannot be written: %s", run, error)
        self._folders[run] = None

    def forget(self, run: RunId) -> None:
        """Drop what is known about an ended run."""
        self._folders.pop(run, None)

    def now(self) -> datetime:
        """The time of a line."""
        return self._clock.now()

    def wake(self, waiting: AttemptLog) -> None:
        """Write *waiting* soon."""
        self._waiting.add(waiting)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def sleep(self, waiting: AttemptLog) -> None:
        """Nothing of *waiting* has to be written."""
        self._waiting.discard(waiting)
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._timer = None
        for waiting in list(self._waiting):
            waiting.write()
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)


class AttemptLog:
    """The log of one attempt."""

    def __init__(self, logs: AttemptLogs, run: RunId, node: NodeId, number: int) -> None:
        """Use `AttemptLogs.open`."""
        self._logs = logs
        self._key = (run, node, number)
        self._file: LogFile | None = None
        self._pending: deque[tuple[datetime, LogLine]] = deque()
        self._size = 0
        self._left_out = 0
        self._printed: RedactedStream | None = None
        self._closed = False
        self._allowed = float(BURST)
        self._since = asyncio.get_running_loop().time()

    def add(self, lines: Iterable[LogLine]) -> None:
        """Add *lines*, which are written soon, or never if there are too many."""
        if self._closed:
            return
        now = self._logs.now()
        for line in lines:
            self._pending.append((now, line))
            self._size += len(line.text)
        if self._size > MAX_PENDING:
            self.write()
            self._trim()
        if self._pending:
            self._logs.wake(self)

    def close(self) -> None:
        """Write what is left."""
        if self._pending or self._left_out or self._printed is not None:
            self._trim()
            self._allowed = max(self._allowed, 1)
            self.write(last=True)
        self._closed = True
        if self._file is not None:
            self._file.close()

    def write(self, *, last: bool = False) -> None:
        """Write what waits, as far as that is allowed by now; with *last* also a line without an end."""
        now = asyncio.get_running_loop().time()
        self._allowed = min(BURST, self._allowed + RATE * (now - self._since))
        self._since = now
        if self._allowed <= 0:
            return
        self._allowed -= self._size
        entries = list(self._entries(last=last))
        self._pending.clear()
        self._size = 0
        self._logs.sleep(self)
        if not entries:
            return
        run, node, number = self._key
        if self._file is None:
            self._file = self._logs.file_of(run, node, number)
        if self._file is not None:
            try:
                self._file.append(entries)
            except OSError as error:
                self._logs.fail(run, error)
                self._file = None

    def _trim(self) -> None:
        """Leave out the oldest of what waits, beyond the maximum."""
        while self._size > MAX_PENDING:
            at, line = self._pending.popleft()
            surplus = len(line.text)  # half of what was said could begin with half a secret
            if line.kind is LogKind.PRINTED:
                surplus = min(surplus, self._size - MAX_PENDING)
            self._left_out += surplus
            self._size -= surplus
            if surplus < len(line.text):
                self._pending.appendleft((at, LogLine(line.kind, line.text[surplus:], line.by)))

    def _entries(self, *, last: bool) -> Iterable[LogEntry]:
        """The waiting lines as entries, redacted; pieces that were printed become one."""
        if self._left_out and self._printed is not None:
            self._left_out += self._printed.skip()
        printed: list[str] = []
        first: datetime | None = None
        for at, line in self._pending:
            if line.kind is LogKind.PRINTED:
                first = first or at
                printed.append(line.text)
                continue
            yield from self._flushed(first or at, printed, gap=True)
            printed, first = [], None
            yield from (LogEntry(_ms(at), line.kind, piece, line.by) for piece in pieces(redact(line.text)))
        yield from self._flushed(first, printed, gap=last, last=last)

    def _flushed(self, at: datetime | None, printed: list[str], *, gap: bool, last: bool = False) -> Iterable[LogEntry]:
        """The entries of what was *printed*, after one for what is left out; with *gap* for that in any case."""
        text = ""
        if printed and self._printed is None:
            self._printed = RedactedStream()
            if self._left_out:
                self._printed.skip()
        if self._printed is not None and (printed or last):
            text, left_out = self._printed.take("".join(printed), last=last)
            self._left_out += left_out
        if not (text or (gap and self._left_out)):
            return
        ms = _ms(at or self._logs.now())
        if self._left_out:
            yield LogEntry(ms, LogKind.LEFT_OUT, size=self._left_out)
            self._left_out = 0
        if text:
            yield from (LogEntry(ms, LogKind.PRINTED, piece) for piece in pieces(text))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
