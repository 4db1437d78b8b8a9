"""The command about the user's yes: trust.

Effects: shows what of a project waits, keeps and takes back the user's word; prints lists to stdout, all else
to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.person import asked, can_ask, check_person
from mcp_server.cli.shared import FAILED, OK, errors, project_root
from mcp_server.cli.state import trust_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.model.trust import TrustItem
    from mcp_server.project.trusted import Trust

MAX_LISTED = 20
"""Changed files that are named of one item."""
MAX_SUMMARY_LENGTH = 200
MAX_LINE_LENGTH = 2_000
"""Characters of one fact that are shown; how many are left out is said."""


def trust(
    items: Annotated[
        list[str] | None, typer.Argument(metavar="[ITEM]...", help="With --revoke: these and no others.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Say yes to all that is listed, without a question.")] = False,
    state: Annotated[
        bool, typer.Option("--state", help="Take over runs that came with the project, or are of an older version.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Show what needs a yes and what has one; asks nothing.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Take answers back: all, or those to the items named.")
    ] = False,
) -> None:
    """Say which programs of this project may run; asked once, and again after a change."""
    if sum((yes, list_, revoke)) > 1 or (state and (list_ or revoke)):
        raise typer.BadParameter("--list and --revoke stand alone")
    if items and not revoke:
        raise typer.BadParameter("items are named with --revoke only")
    with errors():
        root = project_root()
        if list_ or revoke:
            trusted = _list(_open(root)) if list_ else _revoke(_open(root), items or [])
        else:
            trusted = trust_state(root, yes=yes) if state else _trust(root, yes=yes)
    raise typer.Exit(OK if trusted else FAILED)


def _open(root: Path) -> Trust:
    settings = lazy.load_settings(root)
    return lazy.open_trust(lazy.open_catalog(root, settings), settings)


def _list(trust: Trust) -> bool:
    """Print a line for each item of the project and for each other project with answers; whether all is accepted."""
    items = trust.items()
    waiting = {item.id for item in trust.unaccepted(items)}
    given = trust.grants.all()
    own = given.pop(str(trust.project), {})
    for item in items:
        state = "accepted" if item.id not in waiting else "changed" if item.id in own else "new"
        since = f"  since {own[item.id]['at']}" if item.id in own and state == "accepted" else ""
        _tell(f"{state:<8}  {item.id}  {clean(item.summary, limit=MAX_SUMMARY_LENGTH)}{since}")
    for name in sorted(own.keys() - {item.id for item in items}):
        _tell(f"{'gone':<8}  {name}  since {own[name]['at']}")
    for project, answers in sorted(given.items()):
        _tell(f"{'other':<8}  {project}  {len(answers)} answers")
    return not waiting


def _revoke(trust: Trust, names: Sequence[str]) -> bool:
    """Take answers back, and say which; whether all that were named had one."""
    gone = trust.revoke(names)
    for name in gone:
        _tell(f"revoked   {name}")
    missing = sorted({*names} - {*gone})
    for name in missing:
        _say(clean(f"{name} had no yes"))
    if not gone:
        _say("nothing of this project had a yes")
    return not missing


def _trust(root: Path, *, yes: bool) -> bool:
    """Show what of the project wants to run and is not trusted, and keep the answer; whether all is trusted now.

    Raises `StateError` as `ask_trust` does.
    """
    trust = _open(root)
    seen: set[str] = set()
    while missing := [item for item in trust.unaccepted(trust.items()) if item.id not in seen]:
        if not ask_trust(trust, missing, yes=yes):
            return False
        seen |= {item.id for item in missing}  # agents behind a link are seen once it may be followed
    if not seen:
        console.notes.print("every program of this project is trusted as it is now")
    return True


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
        _say(clean(item.id))
        for line in item.lines if changes is None else _listed(changes):
            _say(f"  {clean(line, limit=MAX_LINE_LENGTH)}")
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
    rest = len(changes) - MAX_LISTED
    more = [f"and {rest} more"] if rest > 0 else []
    return [*(f"changed: {name}" for name in changes[:MAX_LISTED]), *more]


def _tell(line: str) -> None:
    console.results.print(clean(line), soft_wrap=True)


def _say(line: str) -> None:
    console.notes.print(line, soft_wrap=True)
