"""`orchestrate monitor`: a line whenever a run of the project asks, fails or ends; a monitor of Claude Code runs it.

Effects: reads the state folder every few seconds until it is ended or its reader has left; prints lines. It lives as
long as a session, so it imports as little as `line.py`, and looks into the journal only after a change.

Each line wakes a model, which costs a turn. So the state at the start is not news, a run's line comes once, and
several changes of one run between two looks are one line.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time

from engine.statefolder.quick_look import Uncertain, quick_state
from engine.statefolder.run_notes import read_notes
from mcp_server.cli.line import configuration, root_of
from mcp_server.cli.run_rows import OWNERS, Row, is_alive, rows_in, shown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK_SECONDS = 2.0
LOOKS_KEPT = 30
"""After so many looks the place of the state folder is determined again."""
_STATUS = 'call the tool `status` with run_id "{run}"'


class Seen:
    """One run as of a look."""

    __slots__ = ("asked", "failed", "over", "questions")

    def __init__(self, *, failed: int = 0, questions: int = 0, asked: float = 0.0, over: bool = False) -> None:
        """Numbers of failures and open questions; when the newest was *asked*; whether the run is *over*."""
        self.failed = failed
        self.questions = questions
        self.asked = asked
        self.over = over


class News:
    """Finds what has changed from one look to the next."""

    def __init__(self) -> None:
        """Nothing is known before the first look, which brings no news."""
        self._seen: dict[str, Seen] | None = None

    def of(self, rows: Sequence[tuple[Row, Seen, str]]) -> list[str]:
        """A line for each run with news; *rows* are all runs now, each with what is so and its state."""
        before, self._seen = self._seen, {row.run: seen for row, seen, _ in rows}
        if before is None:
            return []
        found = [(row, _news(before.get(row.run) or Seen(), seen, row, state)) for row, seen, state in rows]
        return [f"{shown_name(row.command)} (run {row.run}) {text}" for row, text in found if text]


def _news(known: Seen, seen: Seen, row: Row, state: str) -> str:
    status = _STATUS.format(run=row.run)
    if seen.over and not known.over:
        return f"has ended: {state}, {row.done}/{row.total}. If the user does not know yet, {status} and report it."
    if seen.over:
        return ""
    if seen.questions > known.questions or seen.asked > known.asked:
        return f"waits for the user's answer. Unless you have asked already, {status} and ask the question."
    if seen.failed > known.failed:
        return f"has a failure and goes on ({row.done}/{row.total}). If the user does not know yet, {status}."
    return ""


def look(folder: str, now: float) -> list[tuple[Row, Seen, str]]:
    """All recent runs in the state *folder*, except simulated ones. Raises `sqlite3.Error`."""
    owners = os.path.join(folder, OWNERS)
    found = []
    for row in rows_in(folder):
        if row.executor == "simulate":
            continue
        lives = row.ended is None and is_alive(owners, row.owner, now)
        note = read_notes(owners, row.owner).get(row.run) if lives else None
        questions, asked = (0, 0.0) if note is None else (note.questions, note.asked)
        state = row.status.replace("_", " ") if row.ended is not None or lives else "interrupted"
        found.append((row, Seen(failed=row.failed, questions=questions, asked=asked, over=not lives), state))
    return found


def signature(folder: str, *, quiet: bool) -> tuple[object, ...]:
    """A value that changes when something in *folder* may have; if not *quiet*, a run is under way: always."""
    found: list[object] = []
    for name in ("journal.sqlite3", "journal.sqlite3-wal"):
        try:
            status = os.stat(os.path.join(folder, name))
        except OSError:
            continue
        found += [status.st_ino, status.st_mtime_ns, status.st_size]
    return (*found, None if quiet else time.monotonic())


class StateFolder:
    """The state folder of a project, which may come into being later."""

    def __init__(self, root: str) -> None:
        """*root* is the project root."""
        self._root = root
        self._found: str | None = None
        self._looks = 0

    def __call__(self) -> str | None:
        """The folder, or None if there is none that this user made."""
        if self._looks % LOOKS_KEPT == 0 or self._found is None:
            try:
                self._found = quick_state(self._root, configuration())
            except (Uncertain, OSError):
                if self._looks % LOOKS_KEPT == 0:
                    self._found = _by_all_rules(self._root)
        self._looks += 1
        return self._found


def _by_all_rules(root: str) -> str | None:
    from pathlib import Path  # noqa: PLC0415 - ordinary projects do not need it

    from engine.errors import OrchestrationError  # noqa: PLC0415
    from engine.statefolder.guard import found_state  # noqa: PLC0415

    try:
        found = found_state(Path(root))
    except (OrchestrationError, OSError):
        return None
    return None if found is None else str(found)


def follow(find: Callable[[], str | None], parent: int) -> None:
    """Print news until the process *parent* has ended; *find* returns the state folder, or None if there is none.

    Raises `BrokenPipeError` once the reader has left.
    """
    news, last, quiet = News(), None, True
    while os.getppid() == parent:
        folder = find()
        now = None if folder is None else signature(folder, quiet=quiet)
        rows: Sequence[tuple[Row, Seen, str]] | None = ()
        if folder is not None:
            rows = None if now == last else _looked(folder)
        last = now
        if rows is not None:
            quiet = all(seen.over for _, seen, _ in rows)
            sys.stdout.write("".join(f"{text}\n" for text in news.of(rows)))
            sys.stdout.flush()
        time.sleep(LOOK_SECONDS)


def _looked(folder: str) -> Sequence[tuple[Row, Seen, str]] | None:
    try:
        return look(folder, time.time())  # noqa: TID251 - see `line.py`
    except sqlite3.Error:  # it is being replaced, or damaged, which other commands report
        return None


def run_monitor(options: Sequence[str]) -> None:
    """Follow the project of a command line with *options* before `monitor`.

    A session may have been started outside of any project: there is no news then.
    """
    root = root_for(options)
    try:
        follow(StateFolder(root) if root is not None else lambda: None, os.getppid())
    except (BrokenPipeError, KeyboardInterrupt):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered has no reader either


def root_for(options: Sequence[str]) -> str | None:
    """The project root, or None if there is no project."""
    try:
        return root_of(options)
    except Uncertain:
        from engine.errors import NotFound  # noqa: PLC0415 - see `_by_all_rules`
        from mcp_server.project.root import find_root  # noqa: PLC0415

        try:
            return str(find_root(options[-1].removeprefix("--project=") if options else None).root)
        except NotFound:
            return None
