"""The command `trust`: the user's yes to what a project runs.

Effects: shows what waits for a yes, stores and revokes answers; prints lists to stdout, all else to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.person import asked, can_ask, check_person
from mcp_server.cli.shared import FAILED, OK, counted, errors, project_root
from mcp_server.cli.state import trust_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.model.trust import TrustItem
    from mcp_server.project.trusted import Trust

MAX_LISTED = 20
"""Number of changed files that are named per item."""
MAX_SUMMARY_LENGTH = 200
MAX_LINE_LENGTH = 2_000
"""Characters of a line that are shown; the number left out is shown too."""


def trust(
    items: Annotated[list[str] | None, typer.Argument(metavar="[ITEM]...", help="With --revoke: only these.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Say yes to all that is listed, without asking.")] = False,
    state: Annotated[
        bool,
        typer.Option("--state", help="Take over runs that came with the project or were made by an older version."),
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show what needs a yes and what has one; do not ask.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke answers: all, or those to the given items.")] = False,
) -> None:
    """Decide which programs may run. You are asked once, and again after a change."""
    if sum((yes, list_, revoke)) > 1 or (state and (list_ or revoke)):
        raise typer.BadParameter("--list and --revoke cannot be combined with other options")
    if items and not revoke:
        raise typer.BadParameter("items can be given with --revoke only")
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
    """Print a line for each item of the project and for each other project with answers; whether all are accepted."""
    items = trust.items()
    waiting = {item.id for item in trust.unaccepted(items)}
    given = trust.grants.all()
    own = given.pop(str(trust.project), {})
    for item in items:
        state = "accepted" if item.id not in waiting else "changed" if item.id in own else "new"
        since = f"  since {own[item.id]['at']}" if item.id in own and state == "accepted" else ""
        _print(f"{state:<8}  {item.id}  {clean(item.summary, limit=MAX_SUMMARY_LENGTH)}{since}")
    for name in sorted(own.keys() - {item.id for item in items}):
        _print(f"{'gone':<8}  {name}  since {own[name]['at']}")
    for project, answers in sorted(given.items()):
        _print(f"{'other':<8}  {project}  {counted(len(answers), 'answer')}")
    return not waiting


def _revoke(trust: Trust, names: Sequence[str]) -> bool:
    """Revoke answers, and print which; whether all given items had one."""
    gone = trust.revoke(names)
    for name in gone:
        _print(f"revoked   {name}")
    missing = sorted({*names} - {*gone})
    for name in missing:
        _say(clean(f"{name} had no yes"))
    if not gone:
        _say("nothing of this project had a yes")
    return not missing


def _trust(root: Path, *, yes: bool) -> bool:
    """Show what the project wants to run and is not trusted, and store the answer; whether all is trusted now.

    Raises `StateError` as `ask_trust` does.
    """
    trust = _open(root)
    seen: set[str] = set()
    while missing := [item for item in trust.unaccepted(trust.items()) if item.id not in seen]:
        if not ask_trust(trust, missing, yes=yes):
            return False
        seen |= {item.id for item in missing}  # agents behind a link are found once it may be followed
    if not seen:
        console.notes.print("all programs of this project are trusted as they are now")
    return True


def ask_trust(trust: Trust, items: Sequence[TrustItem], *, yes: bool = False) -> bool:
    """Show *items* and store a yes, passed already or typed now; whether there was one. No answer is a no.

    Raises `StateError` as `check_person` does.
    """
    check_person("say which programs may run", f"orchestrate --project {trust.project} trust", yes=yes)
    if trust.grants.outdated:
        _say("answers of an earlier version are no longer valid: a yes covers more now")
    _say("this project wants to run or connect to, with your rights:")
    for item in items:
        changes = trust.changes(item)
        _say(clean(item.id))
        for line in item.lines if changes is None else _listed(changes):
            _say(f"  {clean(line, limit=MAX_LINE_LENGTH)}")
    if not yes and can_ask():
        yes = asked("Let them run? You are asked again after a change.")
    if not yes:
        _say("nothing was trusted; `orchestrate trust` asks on a terminal, --yes answers yes")
        return False
    trust.remember(items)
    _say(f"{len(items)} trusted; stored in {trust.grants.file}")
    return True


def _listed(changes: Sequence[str]) -> list[str]:
    """Lines that name the files changed since the last yes."""
    rest = len(changes) - MAX_LISTED
    more = [f"and {rest} more"] if rest > 0 else []
    return [*(f"changed: {name}" for name in changes[:MAX_LISTED]), *more]


def _print(line: str) -> None:
    console.results.print(clean(line), soft_wrap=True)


def _say(line: str) -> None:
    console.notes.print(line, soft_wrap=True)
