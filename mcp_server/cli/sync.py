"""The command `sync`: skill files, so that typing `/name some text` in Claude Code runs the project's command.

Effects: writes and removes `.claude/skills/NAME/SKILL.md`. A file without our mark is never changed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault
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


def sync() -> None:
    """Write a skill for each command. With it, /name and any text run the command in Claude Code."""
    with errors():
        root = project_root()
        for line in synchronise(root, lazy.open_catalog(root, lazy.load_settings(root))):
            console.results.print(line, soft_wrap=True)


def synchronise(root: Path, catalog: Catalog) -> Iterator[str]:
    """Bring the skills of the project at *root* up to date; yields a line for each that was changed or left alone.

    Raises `EnvironmentFault` (FILE_UNWRITABLE).
    """
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
            _write(path, text)
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


def _write(path: Path, text: str) -> None:
    """Replace *path* in one step: a session may be reading it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", code="FILE_UNWRITABLE") from error
