"""Puts new commands and their agents into a project: nothing that is there is replaced or hidden without a yes.

Effects: looks at the places where a name can be taken, and writes files, all or none.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from engine.errors import InputError
from engine.statefolder.regular_files import read_regular
from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.skills import MAX_NAME_LENGTH, is_ours
from mcp_server.cli.written import write_all
from registry.agents.plugins import configuration
from registry.files.places import AGENTS, BASE, COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry.catalog import Catalog

Force = Annotated[bool, typer.Option("--force", help="Replace files, and hide commands and agents of that name.")]
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
MAX_FILE_BYTES = 1_000_000
SHARED = (
    f"{BASE} or a folder in it is behind a link: a file there would belong to every project that shares it. Write "
    "it there yourself if that is what you want."
)


class Placed(NamedTuple):
    """The files of a project after they were placed, as shown to people."""

    written: list[str]
    kept: list[str]
    """They were there, with the same content unless they were to be kept in any case."""


class Taken(NamedTuple):
    """One reason why something cannot be placed."""

    message: str
    code: str
    final: bool = False
    """Not even with force."""
    instead: tuple[Path, Path] | None = None
    """The file that was to be written, and the one that can be used in its place."""


def command_name(given: str) -> str:
    """The name with its slash that a user means by *given*. Raises `InputError` (INVALID_NAME)."""
    bare = given.removeprefix("/")
    if NAME.fullmatch(bare) and len(bare) <= MAX_NAME_LENGTH:
        return f"/{bare}"
    plain = unicodedata.normalize("NFKD", given.casefold()).encode("ascii", "ignore").decode()
    near = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_NAME_LENGTH].strip("-")
    hint = f'For example "{near}". ' if near else ""
    raise InputError(
        f'"{given[:100]}" cannot be the name of a command',
        code="INVALID_NAME",
        hint=f"{hint}Use lower-case letters, digits and -, at most {MAX_NAME_LENGTH} characters.",
    )


def place(
    root: Path,
    catalog: Catalog,
    name: str,
    files: Mapping[PurePosixPath, str],
    *,
    home: Path,
    force: bool,
    keep: bool = False,
) -> Placed:
    """Write *files* of the command *name* into the project at *root*; the first one is the command.

    Without *force* nothing is replaced or hidden; with *keep* agents and programs that are there are used.
    Raises `InputError` (NAME_TAKEN, FILE_EXISTS, PATH_OUTSIDE_PROJECT) with all reasons, and `EnvironmentFault`
    (FILE_UNWRITABLE); then nothing was written.
    """
    wanted = {}
    for path, text in files.items():
        lazy.inside(root, str(path), advice=SHARED)
        wanted[root / path] = text
    found = {path: _text(path) for path in wanted}
    kept = {path: path for path, text in wanted.items() if found[path] == text}
    first = next(iter(wanted))
    reasons = [
        *_taken_names(root, catalog, name, first, home),
        *_taken_agents(root, catalog, wanted),
        *(
            Taken(
                f"{lazy.shown(root, path)} exists already",
                "FILE_EXISTS",
                instead=None if path == first else (path, path),
            )
            for path in wanted
            if path not in kept and (found[path] is not None or path.is_symlink())
        ),
    ]
    if keep:
        kept |= dict(reason.instead for reason in reasons if reason.instead is not None)
        reasons = [reason for reason in reasons if reason.instead is None]
    reasons = [reason for reason in reasons if reason.final or not force]
    if reasons:
        raise InputError("; ".join(reason.message for reason in reasons), code=reasons[0].code, hint=_way_out(reasons))
    new = {path: text for path, text in wanted.items() if path not in kept}
    write_all(new, replaces=force)
    return Placed([lazy.shown(root, path) for path in new], [lazy.shown(root, path) for path in kept.values()])


def _way_out(reasons: list[Taken]) -> str:
    final = any(reason.final for reason in reasons)
    if all(reason.instead is not None for reason in reasons):
        return (
            f"Use what is there as it is with --keep, or {'remove it first' if final else 'replace it with --force'}."
        )
    if final:
        return "Remove the other file first, or choose another name."
    return "Choose another name, or write it all the same with --force."


def show_placed(name: str, placed: Placed, more: dict[str, str], *, as_json: bool) -> None:
    """Print the files that were placed."""
    if as_json:
        console.print_json({"command": name, **more, "written": placed.written, "kept": placed.kept})
        return
    for word, paths in (("written", placed.written), ("unchanged", placed.kept)):
        for path in paths:
            console.results.print(clean(f"{word} {path}"), soft_wrap=True)


def _taken_names(root: Path, catalog: Catalog, name: str, file: Path, home: Path) -> Iterator[Taken]:
    """Other things that answer to *name*, here and in Claude Code."""
    for other in catalog.commands():
        if other.name != name or other.path == file:
            continue
        shown = lazy.shown(root, other.path)
        ours = other.source is lazy.CommandSource.PROJECT
        whose = "of this project" if ours else f"{other.source.value} command, which a new one would hide"
        yield Taken(f"{name} is a command already: {shown} ({whose})", "NAME_TAKEN", final=ours)
    bare = name.removeprefix("/")
    user = configuration(home)
    for path, kind in (
        (root / COMMANDS / f"{bare}.md", "prompt"),
        (user / "commands" / f"{bare}.md", "prompt"),
        (root / BASE / "skills" / bare / "SKILL.md", "skill"),
        (user / "skills" / bare / "SKILL.md", "skill"),
    ):
        text = _text(path)
        if text is not None and not is_ours(text):
            yield Taken(f"{name} is a {kind} of Claude Code already: {lazy.shown(root, path)}", "NAME_TAKEN")


def _taken_agents(root: Path, catalog: Catalog, wanted: Mapping[Path, str]) -> Iterator[Taken]:
    """Agents with the id of one in *wanted* in other files: one of both would be hidden."""
    found = catalog.agents()
    for path in wanted:
        if not path.is_relative_to(root / AGENTS):
            continue
        agent, broken = found.get(path.stem), found.unusable.get(path.stem)
        other = broken.path if broken is not None else agent.path if agent is not None else None
        if other is None or root / other == path:
            continue
        ours = Path(root, other).is_relative_to(root)
        whose = "of this project" if ours else "which a new one would hide"
        message = f'"{path.stem}" is an agent already: {other} ({whose})'
        yield Taken(message, "NAME_TAKEN", final=ours, instead=(path, root / other))


def _text(path: Path) -> str | None:
    """The text at *path*; None if nothing is there. Anything that cannot be read is someone else's: empty text."""
    try:
        return read_regular(path, MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return ""
