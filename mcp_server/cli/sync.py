"""The command `sync`: skill files, so that typing `/name some text` in Claude Code runs the project's command.

Effects: writes and removes `.claude/skills/NAME/SKILL.md`; a file without our mark is never changed. Other channels
to Claude Code are in `channels.py`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.statefolder.regular_files import read_regular
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import errors, project_root
from mcp_server.cli.skills import MAX_NAME_LENGTH, is_ours, skill_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.catalog import Catalog
    from registry.commands import CommandSummary

SKILLS = Path(".claude/skills")
FILE = "SKILL.md"
MAX_FILE_BYTES = 1_000_000
SHARED = (
    f"{SKILLS} is behind a link: a skill there would belong to every project that shares it. "
    "The command runs without a skill: `orchestrate run`."
)


def sync(
    status_line: Annotated[
        bool, typer.Option("--status-line", help="Show the run under way in Claude Code's status line.")
    ] = False,
    monitor: Annotated[
        bool, typer.Option("--monitor", help="Wake Claude when a run asks, fails or ends, in all your projects.")
    ] = False,
    permissions: Annotated[
        bool, typer.Option("--permissions", help="Allow Claude the tools that change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Make these changes without asking.")] = False,
) -> None:
    """Write a skill for each command, for /name in Claude Code.

    With it, /name and any text run the command. Options add more.
    """
    if yes and not (status_line or monitor or permissions):
        raise typer.BadParameter("--yes answers for --status-line, --monitor and --permissions")
    with errors():
        root = project_root()
        for line in synchronise(root, lazy.open_catalog(root, lazy.load_settings(root))):
            console.results.print(line, soft_wrap=True)
        if not (status_line or monitor or permissions):
            return
        from mcp_server.cli.channels import set_up  # noqa: PLC0415 - only these options need it
        from registry.agents.plugins import configuration  # noqa: PLC0415

        user = configuration(Path.home())
        for line in set_up(root, user, line=status_line, monitor=monitor, permissions=permissions, yes=yes):
            console.results.print(line, soft_wrap=True)


def synchronise(root: Path, catalog: Catalog) -> Iterator[str]:
    """Bring the skills of the project at *root* up to date; yields a line for each that was changed or left alone.

    Raises `EnvironmentFault` (FILE_UNWRITABLE).
    """
    from mcp_server.cli.written import write_text  # noqa: PLC0415 - as with `lazy`

    wanted = {}
    for command in filter(_is_wanted, catalog.commands()):
        name = command.name.removeprefix("/")
        if lazy.NAME.fullmatch(command.name) and len(name) <= MAX_NAME_LENGTH:
            wanted[name] = command
        else:
            why = f"{command.name} cannot be a skill: only lower-case letters, digits and -, up to {MAX_NAME_LENGTH}"
            yield f"left out {lazy.shown(root, command.path)}: {why}"
    for name, command in wanted.items():
        lazy.inside(root, SKILLS / name, advice=SHARED)
        path = root / SKILLS / name / FILE
        text = skill_text(command, lazy.shown(root, command.path))
        found = _read(path)
        if found == text:
            yield f"unchanged {lazy.shown(root, path)}"
        elif found is None or is_ours(found):
            write_text(path, text)
            yield f"written {lazy.shown(root, path)}"
        else:
            yield f"left alone {lazy.shown(root, path)}: not written by sync"
    for path in sorted((root / SKILLS).glob(f"*/{FILE}")):
        if path.parent.name not in wanted and not path.parent.is_symlink() and is_ours(_read(path) or ""):
            path.unlink()
            with contextlib.suppress(OSError):  # someone keeps other files there
                path.parent.rmdir()
            yield f"removed {lazy.shown(root, path)}"


def _is_wanted(command: CommandSummary) -> bool:
    """Whether *command* is a readable one of the project itself; v1 markdown files are already slash commands."""
    own = command.source is lazy.CommandSource.PROJECT and command.shadowed_by is None and command.problem is None
    return own and command.format != "markdown"


def _read(path: Path) -> str | None:
    """The text at *path*; None if there is no file. A file that cannot be read is someone else's: empty text."""
    try:
        if path.is_symlink():
            return ""
        text = read_regular(path, MAX_FILE_BYTES + 1)
        return "" if len(text) > MAX_FILE_BYTES else text.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        return ""
