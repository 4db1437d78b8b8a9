"""The command about the user's yes: trust.

Effects: shows what of a project waits, keeps and takes back the user's word; prints to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.redaction import printable
from mcp_server import console
from mcp_server.cli_person import asked, can_ask, check_person
from mcp_server.cli_shared import FAILED, OK, errors, project_root
from mcp_server.cli_state import trust_state
from mcp_server.project import open_catalog
from mcp_server.settings import load_settings
from mcp_server.trusted import Trust, open_trust

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.model.trust import TrustItem

MOST_LISTED = 20
"""Changed files that are named of one item."""


def trust(
    yes: Annotated[bool, typer.Option("--yes", help="Say yes to all that is listed, without a question.")] = False,
    state: Annotated[
        bool, typer.Option("--state", help="Take over runs that came with the project, or are of an older version.")
    ] = False,
) -> None:
    """Say which programs of this project may run; asked once, and again after a change."""
    with errors():
        trusted = trust_state(project_root(), yes=yes) if state else _trust(project_root(), yes=yes)
    raise typer.Exit(OK if trusted else FAILED)


def _trust(root: Path, *, yes: bool) -> bool:
    """Show what of the project wants to run and is not trusted, and keep the answer; whether all is trusted now.

    Raises `StateError` as `ask_trust` does.
    """
    settings = load_settings(root)
    trust = open_trust(open_catalog(root, settings), settings)
    missing = trust.unaccepted(trust.items())
    if not missing:
        console.notes.print("every program of this project is trusted as it is now")
        return True
    return ask_trust(trust, missing, yes=yes)


def ask_trust(trust: Trust, items: Sequence[TrustItem], *, yes: bool = False) -> bool:
    """Show *items* and keep a yes, said already or typed now; whether there was one. No answer is a no.

    Raises `StateError` as `check_person` does.
    """
    check_person("say which programs may run", f"orchestrate --project {trust.project} trust", yes=yes)
    if trust.grants.outdated:
        _say("answers of an earlier version no longer hold: a yes covers more now")
    _say("this project wants to run or reach, with your rights:")
    for item in items:
        changes = trust.changes(item)
        _say(item.id)
        for line in item.lines if changes is None else _listed(changes):
            _say(f"  {printable(line)}")
    if not yes and can_ask():
        yes = asked("Let them run? A change of a program asks again.")
    if not yes:
        _say("nothing was trusted; `orchestrate trust` asks on a terminal, --yes says it at once")
        return False
    trust.remember(items)
    _say(f"{len(items)} trusted; remembered in {trust.grants.file}")
    return True


def _listed(changes: Sequence[str]) -> list[str]:
    """The files that have changed since the last yes, a line each."""
    rest = len(changes) - MOST_LISTED
    more = [f"and {rest} more"] if rest > 0 else []
    return [*(f"changed: {name}" for name in changes[:MOST_LISTED]), *more]


def _say(line: str) -> None:
    console.notes.print(line, highlight=False, markup=False, soft_wrap=True)
