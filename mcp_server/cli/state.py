"""`orchestrate trust --state`: takes over runs that were made by someone else, by an older version, or in the original.

Effects: shows the contents of the state folder, asks, and stamps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from engine.statefolder.guard import Found, Standing, look_at, take_over
from engine.statefolder.links import state_of
from engine.statefolder.location import locate
from engine.text.redaction import one_line
from mcp_server.cli import console, lazy
from mcp_server.cli.person import asked, can_ask, check_person
from mcp_server.cli.shared import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.storage.copies import ForeignRun

MAX_TEXT_LENGTH = 100
_OTHERS = {Standing.FOREIGN, Standing.COPY}


def trust_state(root: Path, *, yes: bool) -> bool:
    """Show the state folder of *root* and its origin, and take it over after a yes; whether it is the user's now.

    Raises `StateError` as `check_person` does, and `EnvironmentFault` if it cannot be taken over.
    """
    location = locate(root)
    places = dict.fromkeys((location.root, location.project))
    with lazy.faults(state_of(root).folder):
        others = [found for place in places if (found := look_at(place)).standing in _OTHERS]
        if not others:
            console.notes.print("this project has no state of anyone else")
            return True
        check_person("take over runs", f"orchestrate --project {root} trust --state", yes=yes)
        return all(_take_over(found, yes=yes) for found in others)


def _take_over(found: Found, *, yes: bool) -> bool:
    _show(found, *lazy.runs_of(found.folder))
    if not yes and can_ask():
        yes = asked("Take it over? Its contents are then trusted as if you had run it.")
    if not yes:
        console.notes.print("nothing was taken over; `orchestrate trust --state` asks on a terminal, --yes answers yes")
        return False
    take_over(found)
    console.notes.print(f"{found.folder} is yours now", soft_wrap=True)
    return True


def _show(found: Found, number: int, newest: Sequence[ForeignRun]) -> None:
    runs = counted(number, "run")
    text = f"{found.folder} was not made by this user on this machine: {found.story}. It contains {runs}."
    console.notes.print(text, soft_wrap=True)
    if not newest:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("RUN", "COMMAND", "STATE", "STARTED"):
        table.add_column(heading, overflow="fold")
    for run in newest:
        table.add_row(*(one_line(text, limit=MAX_TEXT_LENGTH) for text in run))
    console.notes.print(table)
    if number > len(newest):
        console.notes.print(f"and {number - len(newest)} more")
