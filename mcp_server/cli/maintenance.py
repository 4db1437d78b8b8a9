"""The commands about a project's state: locks, prune.

Effects: releases locks, removes runs; prints results to stdout, all else to stderr.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.ids import RunId
from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, Json, counted, finish, project_root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.views.locks import LockLine

KEPT = 100
"""Number of runs that `prune` keeps by default."""


def locks(
    release: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Release the locks that are reserved for a run whose process died."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the locks that are held or requested."""
    finish(_locks(RunId(release) if release else None, as_json=as_json))


def prune(
    keep: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help=f"Remove all runs but the newest N (without --older-than: {KEPT})."),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=36_500,
            metavar="DAYS",
            help="Remove runs that ended more than this many days ago, whatever --keep says.",
        ),
    ] = None,
    interrupted: Annotated[
        bool, typer.Option("--interrupted", help="Also remove interrupted runs (they can no longer be resumed).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove old runs. The branches of their isolated agents are removed too; live runs are kept."""
    finish(_prune(keep, older_than, interrupted=interrupted, as_json=as_json))


async def _locks(release: RunId | None, *, as_json: bool) -> int:
    async with lazy.open_project(project_root(), reads=release is None) as project:
        engine = await (project.reader if release is None else project.engine)()
        if release is not None:
            lines = await engine.release_locks(release)
            console.notes.print(f"released {counted(len(lines), 'lock')} of run {release}")
        lines = await engine.locks()
    if as_json:
        from mcp_server.answers.wire import lock_lines  # noqa: PLC0415 - the wire models are needed for JSON only

        console.print_json({"locks": [line.data() for line in lock_lines(lines)]})
    elif lines:
        console.results.print(_lock_table(lines))
    else:
        console.notes.print("no locks held or requested")
    return OK


def _lock_table(lines: Sequence[LockLine]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("RESOURCE", "TYPE", "STATE", "RUN", "NODE", "WAITS FOR"):
        table.add_column(heading, no_wrap=heading != "WAITS FOR")
    for line in lines:
        waits_for = ", ".join(line.waits_for)
        cells = (line.resource, line.type, line.state, line.run, line.node or "(the run)", waits_for)
        table.add_row(*(clean(cell) for cell in cells))
    return table


async def _prune(keep: int | None, days: float | None, *, interrupted: bool, as_json: bool) -> int:
    if keep is None and days is None:
        keep = KEPT
    age = None if days is None else timedelta(days=days)
    async with lazy.open_project(project_root()) as project:
        gone = await project.prune(keep=keep, older_than=age, interrupted=interrupted)
    if as_json:
        console.print_json({"removed": [row.id for row in gone]})
        return OK
    for row in gone:
        console.results.print(clean(f"{row.id} {row.command} {row.status}"))
    console.notes.print(f"{counted(len(gone), 'run')} removed")
    return OK
