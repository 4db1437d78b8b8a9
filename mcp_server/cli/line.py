"""`orchestrate status --line`: the run under way in one line, for a status line that is drawn every few seconds.

Effects: reads the state folder and prints one line, or none. It imports a Python's own modules and a few of ours that
import nothing: all in all it takes little more than a Python that opens the database. Where the state folder is not
certain at a glance (`quick_look`), `shown` leaves it to the ordinary command, which finds it by all rules and then
draws the same line.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from datetime import timedelta

from engine.statefolder.quick_look import Uncertain, quick_root, quick_state
from engine.statefolder.run_notes import RunNote, read_notes
from engine.views.durations import about, took
from engine.views.marks import MARKS
from engine.views.money import dollars
from mcp_server.cli.run_rows import OWNERS, Row, is_alive, rows_in, shown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RECENT_SECONDS = 600.0
"""How long a run that has ended stays in the line."""
_PLAIN = frozenset({"running", "pending", "completed"})
"""States that the sign says well enough."""


def shown(options: Sequence[str]) -> bool:
    """Print the line, for a command line with *options* before `status --line`; False if this needs the ordinary way.

    It writes nothing then.
    """
    try:
        root = root_of(options)
        folder = quick_state(root, configuration())
        now = time.time()  # noqa: TID251 - the engine's clock takes half of its imports
        line = "" if folder is None else line_in(folder, now)
    except (Uncertain, OSError, ValueError, sqlite3.Error):
        return False
    sys.stdout.write(f"{line}\n" if line else "")
    return True


def line_in(folder: str, now: float) -> str:
    """The line about the newest run in the state *folder* at *now*, in seconds since 1970; empty if there is none.

    Raises `sqlite3.Error`.
    """
    rows = rows_in(folder)
    live = [row for row in rows if row.ended is None]
    if live:
        newest = live[0]
        owners = os.path.join(folder, OWNERS)
        note = read_notes(owners, newest.owner).get(newest.run)
        return line_of(newest, now, note, lives=is_alive(owners, newest.owner, now), more=len(live) - 1)
    newest_ended = max(rows, key=lambda row: row.ended or 0.0, default=None)
    if newest_ended is None or now - (newest_ended.ended or 0.0) > RECENT_SECONDS:
        return ""
    return line_of(newest_ended, now, None)


def line_of(row: Row, now: float, note: RunNote | None, *, lives: bool = True, more: int = 0) -> str:
    """`⚙️ /review-code 8.8s · 1/4 · ~15 min left · <$0.01`; *more* is the number of other runs under way.

    A run that does not *live* has lost its process.
    """
    status = row.status if lives or row.ended is not None else "interrupted"
    since = 0.0 if note is None else max(0.0, now - note.at)
    elapsed = note.lived + since if note is not None else (row.ended or now) - row.began - row.idle
    left = None if note is None or note.left is None else max(0.0, note.left - since)
    word = "" if status in _PLAIN else f"{status.replace('_', ' ')} "
    duration = "" if status == "interrupted" else took(timedelta(seconds=max(0.0, elapsed)))
    parts = [
        f"{MARKS.get(status, MARKS['running'])} {shown_name(row.command)} {word}{duration}".rstrip(),
        f"{row.done}/{row.total}",
        f"{row.failed} failed" if row.failed else "",
        f"{about(timedelta(seconds=left))} left" if left is not None and status == "running" else "",
        _questions(note) if status == "running" else "",
        dollars(row.cost) if row.cost else "",
        "simulated" if row.executor == "simulate" else "",
        f"+{more} more" if more > 0 else "",
    ]
    return " · ".join(part for part in parts if part)


def _questions(note: RunNote | None) -> str:
    if note is None or not note.questions:
        return ""
    return "❓ waits for your answer" if note.questions == 1 else f"❓ waits for {note.questions} answers"


def root_of(options: Sequence[str]) -> str:
    """The project root as `find_root` determines it. Raises `Uncertain`."""
    if options:
        named = options[1] if len(options) == 2 and options[0] == "--project" else options[0].partition("--project=")[2]  # noqa: PLR2004
        if not named or named.startswith("~") or not os.path.isdir(named):
            raise Uncertain
        return named
    project = os.environ.get("CLAUDE_PROJECT_DIR")
    if project and not os.environ.get("CLAUDECODE"):
        if not os.path.isdir(project):
            raise Uncertain
        return project
    return quick_root(project or os.getcwd(), os.path.expanduser("~"))


def configuration() -> str:
    """The folder of the user's own files, as `configuration_folder` has it."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = configured if configured.startswith("/") else os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "orchestration-mcp")
