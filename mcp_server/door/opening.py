"""Answers a client's first questions while the SDK is still being imported.

Theory of operation. A client waits for the handshake and the lists before it does anything, and nearly all of that time
is spent on imports, although the answers have been the same at every start. So they are given from the store at once.

- Nothing is taken away: every line is passed on to the SDK, in order, and so the SDK comes to the same state as without
  the door: era, client, capabilities, subscriptions and all. Its answers to what was answered here are compared and
  dropped (`ledger.py`).
- The door is open until the first doubt: a line that it does not understand (`conversation.py`), a question whose
  answer is not known (`store.py`) for these files (`keys.py`), a line that is too long. From then on it reads nothing,
  so that all that it has said comes before all that the SDK says.
- One loop reads, answers and waits for the import, which runs in a thread. It never waits for the client to read, which
  may itself be waiting to write. Signals come to this thread and have their ordinary effect, as during any import.
- The descriptors 0 and 1 are the protocol's only for the door: it moves them away and puts the null device and stderr
  in their place, so that no module that is imported, and no program that is started, reads or writes a message.
- In a session of Claude Code, another server may be the one to offer the tools (`twins.py`). That is settled before the
  first answer, and not asked again.
- A client that leaves before anything was begun need not wait for an import to end.

Without bytecode to keep answers beside, with other arguments, or without usable descriptors, the door stays closed and
the server starts in the ordinary way.

Effects: takes file descriptors 0 and 1; may end the process.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys

from mcp_server import twins
from mcp_server.door.conversation import Conversation
from mcp_server.door.handover import HandOver
from mcp_server.door.keys import Unclear, program_key, project_key
from mcp_server.door.ledger import Ledger
from mcp_server.door.store import Store, place_of_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEAD_START_SECONDS = 0.05
"""The import begins so long after the start at the latest: it would hold up the first answers."""
QUIET_SECONDS = 0.005
"""After an answer, a client that asks on does so within this time."""
MAX_LINE_BYTES = 64 * 1024
MAX_AHEAD_BYTES = 1024 * 1024
"""Bytes of lines that are read while the import lasts."""
LAST_RESORT_SECONDS = 10.0
"""The process ends within this time after the client has left."""
_STANDARD = 3
"""Descriptors below this are those of the standard streams."""


def open_door(arguments: Sequence[str]) -> Door | None:
    """The door of a server with these *arguments*; None if it has to start in the ordinary way."""
    if arguments and (len(arguments) != 2 or arguments[0] != "--project"):  # noqa: PLR2004 - the option and its value
        return None
    folder = place_of_store()
    if folder is None:
        return None
    named = arguments[1] if arguments else None
    try:
        return Door(Store(folder, program_key()), lambda: project_key(named))
    except (Unclear, OSError):
        return None


class Door:
    """Both standard streams until the SDK takes over."""

    def __init__(self, store: Store, around: Callable[[], str | None]) -> None:
        """*around* computes the key of the project's files. Raises `OSError` if a descriptor cannot be moved."""
        self._conversation = Conversation()
        self._ledger = Ledger(store, around, may_answer=lambda: twins.serves(os.environ))
        self._knows = not store.is_empty
        self._stdin, self._stdout = _taken()
        self._pending = b""
        """Bytes that the client has not taken yet."""
        self._rest = b""
        """The beginning of a line."""
        self._lines: list[str] = []
        self._ahead = 0
        self._reads = True
        self._owed = False
        """Whether the SDK has to answer a line."""

    def attend(self, load: Callable[[], None]) -> HandOver:
        """Answer what is known until *load*, in a thread, is done; raises what it raises."""
        if self._knows:
            self._greet()
        self._ledger.begin()
        failures: list[BaseException] = []
        wake, done = os.pipe()

        def work() -> None:
            try:
                load()
            except BaseException as error:  # noqa: BLE001 - it is raised again where it is seen
                failures.append(error)
            finally:
                os.close(done)

        import threading  # noqa: PLC0415 - the first answers do without

        threading.Thread(target=work, name="import", daemon=True).start()
        while not self._turn(None, wake):
            pass
        os.close(wake)
        if failures:
            raise failures[0]
        return HandOver(
            self._stdin,
            self._stdout,
            conversation=self._conversation,
            ledger=self._ledger,
            lines=self._lines,
            rest=self._rest,
            pending=self._pending,
        )

    def _greet(self) -> None:
        """Answer the first questions, until the client is quiet, or has not begun in time."""
        seconds = HEAD_START_SECONDS
        while self._reads and not self._turn(seconds):
            seconds = QUIET_SECONDS

    def _turn(self, seconds: float | None, wake: int | None = None) -> bool:
        """One turn of the loop; whether nothing happened for *seconds*, or *wake* has ended."""
        waited = [*([self._stdin] if self._reads else []), *([] if wake is None else [wake])]
        readable, writable, _ = select.select(waited, [self._stdout] if self._pending else [], [], seconds)
        if self._stdin in readable:
            self._read()
        if writable:
            self._write()
        return wake in readable or not (readable or writable)

    def _read(self) -> None:
        data = os.read(self._stdin, MAX_LINE_BYTES)
        if not data:
            self._end()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for place, line in enumerate(lines):
            self._hear(line)
            if not self._reads:
                self._rest = b"\n".join([*lines[place + 1 :], self._rest])
                return
        if len(self._rest) > MAX_LINE_BYTES or self._ahead > MAX_AHEAD_BYTES:
            self._reads, self._owed = False, True

    def _hear(self, line: bytes) -> None:
        question = self._conversation.hear(line)
        answered = self._ledger.answer(question) if question is not None else None
        passed_on = line.decode("utf-8", "replace") + "\n"
        if answered is not None:
            said, passed_on = answered
            self._pending += said.encode()
            self._write()
        elif question is not None:
            self._ledger.expect(question)
        if answered is None and (question is not None or self._conversation.doubted):
            self._reads, self._owed = False, True
        self._ahead += len(passed_on)
        self._lines.append(passed_on)

    def _write(self) -> None:
        """Write what the client takes without being waited for."""
        try:
            while self._pending and select.select([], [self._stdout], [], 0)[1]:
                written = os.write(self._stdout, self._pending[: select.PIPE_BUF])
                self._pending = self._pending[written:]
        except OSError:  # the client no longer reads: the SDK finds out by itself
            self._pending, self._reads = b"", False

    def _end(self) -> None:
        """The client has left: so does the server, if the SDK has nothing to answer."""
        self._reads = False
        if self._owed or self._rest:
            return
        while self._pending and select.select([], [self._stdout], [], LAST_RESORT_SECONDS)[1]:
            self._write()
        sys.stderr.flush()
        os._exit(0)


def _taken() -> tuple[int, int]:
    """Private copies of descriptors 0 and 1, which lead nowhere and to stderr from now on."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        stdin, stdout = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _STANDARD) for number in (0, 1))
        os.dup2(null, 0)
        try:
            os.dup2(2, 1)
        except OSError:  # there is no stderr
            os.dup2(null, 1)
    finally:
        if null >= _STANDARD:
            os.close(null)
    return stdin, stdout
