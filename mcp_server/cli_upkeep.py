"""The commands about a project's state: trust, locks, prune.

Effects: keeps the user's word, gives up locks, forgets runs; prints results to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.errors import StateError
from engine.executors.marks import ATTEMPT_VARIABLE
from engine.ids import RunId
from mcp_server import console
from mcp_server.cli_shared import FAILED, OK, Json, errors, finish, project_root
from mcp_server.project import open_catalog, open_project
from mcp_server.settings import load_settings
from mcp_server.trusted import Trust, open_trust, program_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.model.agent import Agent
    from engine.views.locks import LockLine

SESSION_VARIABLE = "CLAUDECODE"
"""Claude Code sets it for whatever a session starts, the commands of its model among them."""
KEPT = 100
"""Runs that `prune` keeps where it is told neither a number nor an age."""


def trust(
    yes: Annotated[bool, typer.Option("--yes", help="Say yes to all that is listed, without a question.")] = False,
) -> None:
    """Say which programs of this project may run; asked once, and again after a change."""
    with errors():
        trusted = _trust(project_root(), yes=yes)
    raise typer.Exit(OK if trusted else FAILED)


def locks(
    release: Annotated[
        str | None, typer.Option(metavar="RUN", help="Give up what is reserved for a run whose process died.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who has or waits for which lock."""
    finish(_locks(RunId(release) if release else None, as_json=as_json))


def prune(
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep the newest N runs; 100 where nothing is said.")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, max=36_500, metavar="DAYS", help="Remove runs that ended before that.")
    ] = None,
    interrupted: Annotated[
        bool, typer.Option("--interrupted", help="Interrupted runs too, which can not be resumed then.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Forget old runs, and the branches of their isolated agents; never a run that lives."""
    finish(_prune(keep, older_than, interrupted=interrupted, as_json=as_json))


def _trust(root: Path, *, yes: bool) -> bool:
    """Show what of the project wants to run and is not trusted, and keep the answer; whether all is trusted now.

    Raises `StateError` as `ask_trust` does.
    """
    settings = load_settings(root)
    catalog = open_catalog(root, settings)
    trust = open_trust(catalog.project, settings)
    missing = trust.missing(catalog.agents().agents.values())
    if not missing:
        console.notes.print("every program of this project is trusted as it is now")
        return True
    return ask_trust(trust, missing, yes=yes)


def ask_trust(trust: Trust, agents: Sequence[Agent], *, yes: bool = False) -> bool:
    """Show *agents* and keep a yes, said already or typed now; whether there was one. No answer is a no.

    Raises `StateError` where a model would say yes to what it may have written: in an agent of ours, and in what a
    session of Claude Code starts, unless somebody types the answer there. This looks at the environment, which a
    program with the user's rights can change.
    """
    typed = not yes and can_ask() and sys.stdout.isatty()
    if ATTEMPT_VARIABLE in os.environ or (os.environ.get(SESSION_VARIABLE) and not typed):
        teller = "an agent" if ATTEMPT_VARIABLE in os.environ else "a command that Claude Code starts"
        raise StateError(
            f"{teller} cannot say which programs may run",
            code="NOT_TRUSTED",
            hint=f"Type in a terminal of your own: orchestrate --project {trust.project} trust",
        )
    console.notes.print("These agents run programs of the project with your rights:")
    table = Table(box=None, pad_edge=False)
    for heading in ("AGENT", "PROGRAM", "FILE"):
        table.add_column(heading, overflow="fold")
    for agent in agents:
        table.add_row(agent.id, program_of(agent), agent.path or "")
    console.notes.print(table, markup=False)
    if not yes and can_ask():
        console.notes.print("Let them run? A change of a program asks again. [y/N] ", end="", markup=False)
        yes = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not yes:
        console.notes.print("nothing was trusted; `orchestrate trust` asks on a terminal, --yes says it at once")
        return False
    trust.remember(agents)
    console.notes.print(f"{len(agents)} trusted; remembered in {trust.file}", soft_wrap=True, markup=False)
    return True


def can_ask() -> bool:
    """Whether a person can be asked: question and answer go through a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _locks(release: RunId | None, *, as_json: bool) -> int:
    async with open_project(project_root()) as project:
        engine = await project.engine()
        if release is not None:
            lines = await engine.release_locks(release)
            console.notes.print(f"released {len(lines)} locks of run {release}", markup=False, highlight=False)
        lines = await engine.locks()
    if as_json:
        from mcp_server.wire import lock_lines  # noqa: PLC0415 - the wire models are needed for JSON only

        console.print_json({"locks": [line.data() for line in lock_lines(lines)]})
    elif lines:
        console.results.print(_lock_table(lines))
    else:
        console.notes.print("nobody has or waits for a lock")
    return OK


def _lock_table(lines: Sequence[LockLine]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("RESOURCE", "TYPE", "STATE", "RUN", "NODE", "WAITS FOR"):
        table.add_column(heading, no_wrap=heading != "WAITS FOR")
    for line in lines:
        waits_for = ", ".join(line.waits_for)
        table.add_row(line.resource, line.type, line.state, line.run, line.node or "(the run)", waits_for)
    return table


async def _prune(keep: int | None, days: float | None, *, interrupted: bool, as_json: bool) -> int:
    if keep is None and days is None:
        keep = KEPT
    age = None if days is None else timedelta(days=days)
    async with open_project(project_root()) as project:
        gone = await project.prune(keep=keep, older_than=age, interrupted=interrupted)
    if as_json:
        console.print_json({"removed": [row.id for row in gone]})
        return OK
    for row in gone:
        console.results.print(f"{row.id} {row.command} {row.status}", markup=False, highlight=False)
    console.notes.print(f"{len(gone)} runs removed")
    return OK
