"""The two streams of the command line, safe for text of others, and the list of runs.

Effects: writes to the terminal. It imports no part of the engine that knows runs: `orchestrate runs` waits for it.
"""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from engine.text.shown import clean, printable
from engine.views.durations import took
from engine.views.marks import MARKS

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import datetime, timedelta

    from engine.storage.port import RunSummary

RUNS_SHOWN = 20
"""Runs of a list that is not to have all."""
ASKS = "❓ waits for you"
"""The state in a list of a run that waits for a person's answer."""
WIDE = 100_000
"""Width of output that is not a terminal: programs read whole lines."""


class Unbroken(Console):
    """A console that cuts and wraps on a terminal only, and treats text as nothing but text.

    Most of what is printed was written by others, so square brackets are not markup and `:name:` is not an emoji, and
    nothing that controls a terminal or deceives its reader gets through.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of a Console
        """*options* are those of a Console."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401
        """*text*, made safe to show."""
        return super().render_str(printable(text), **options)

    @property
    def size(self) -> ConsoleDimensions:
        """The size of the terminal."""
        found = super().size
        return found if self.is_terminal else ConsoleDimensions(WIDE, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def _check_buffer(self) -> None:
        """Write what is printed; a run continues though its progress cannot be written, as on a full disk."""
        try:
            super()._check_buffer()
        except OSError:
            if not self.stderr:
                raise
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Discard output from now on: the reader has left, and the run continues all the same."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


results = Unbroken()
"""Output for results."""
notes = Unbroken(stderr=True)
"""Output for everything else."""


class ListedRun(NamedTuple):
    """A run of a list, as far as the list shows it."""

    id: str
    command: str
    status: str
    executor: str
    created_at: datetime
    ended_at: datetime | None
    done: int
    total: int
    worktree: str
    idle: timedelta


def runs_table(rows: Sequence[RunSummary | ListedRun], now: datetime, asking: Container[str] = ()) -> Table:
    """The list of runs, newest first; if they do not fit, commands are wrapped, but not ids and states.

    *asking* are runs that wait for a person's answer, as far as is known.
    """
    asks = [row.status == "running" and row.id in asking for row in rows]
    states = [Text(ASKS if one else f"{MARKS[row.status]} {row.status}") for row, one in zip(rows, asks, strict=True)]
    whole = {"RUN": max(len(row.id) for row in rows), "STATE": max(state.cell_len for state in states)}
    table = Table(box=None, pad_edge=False)
    marked = ("WORKTREE",) if any(row.worktree for row in rows) else ()
    for heading in ("RUN", "COMMAND", "STATE", "DONE", "STARTED", "TOOK", *marked):
        table.add_column(heading, no_wrap=heading != "COMMAND", overflow="fold", min_width=whole.get(heading))
    for row, state in zip(rows, states, strict=True):
        table.add_row(
            row.id,
            clean(row.command) + (" (simulated)" if row.executor == "simulate" else ""),
            state,
            f"{row.done}/{row.total}",
            row.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            took((row.ended_at or now) - row.created_at - row.idle),
            *((PurePath(row.worktree).name,) if marked else ()),
        )
    return table
