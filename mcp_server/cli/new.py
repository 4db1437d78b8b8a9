"""The command `new`: a command from a template, with its agents and programs.

Effects: writes these files, all or none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_server.cli import console, lazy
from mcp_server.cli.placing import Force, command_name, place, show_placed
from mcp_server.cli.shared import Json, errors, project_root
from registry.templates import PATTERNS, PROGRAMS, find, templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from engine.model.command import CommandDefinition


def new(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Name of the command, with or without /.")] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="fan-out, pipeline (default), saga, for-each, repeat or review."),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TEMPLATE", help="Any template, such as one of gallery/.")
    ] = None,
    force: Force = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Use agents and programs that are there, though they differ.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    as_json: Json = False,
) -> None:
    """Write a new command, and the agents that it needs, ready to run."""
    if pattern is not None and from_ is not None:
        raise typer.BadParameter("name a template by --pattern or by --from, not both")
    if (name is None) != list_ or (list_ and (pattern or from_ or force or keep)):
        raise typer.BadParameter("name the new command, or pass --list alone")
    if force and keep:
        raise typer.BadParameter("what is there is either kept by --keep or replaced by --force")
    with errors():
        if name is None:
            _list_templates(as_json=as_json)
        else:
            template = f"{PATTERNS}/{pattern or 'pipeline'}" if from_ is None else from_
            _new(name, template, force=force, keep=keep, as_json=as_json)


def _list_templates(*, as_json: bool) -> None:
    """Print all templates with their sentences."""
    found = [{"name": one.name, "description": one.description} for one in templates()]
    if as_json:
        console.print_json({"templates": found})
        return
    width = max((len(one["name"]) for one in found), default=0)
    for one in found:
        console.results.print(f"{one['name']:<{width}}  {one['description']}", soft_wrap=True)


def _new(given: str, template: str, *, force: bool, keep: bool, as_json: bool) -> None:
    """Write the command *given* from *template*. Raises as `place` does, and `NotFound` (TEMPLATE_NOT_FOUND)."""
    name = command_name(given)
    chosen = find(template)
    root = project_root()
    catalog = lazy.open_catalog(root, lazy.load_settings(root))
    placed = place(root, catalog, name, chosen.files(name), home=Path.home(), force=force, keep=keep)
    show_placed(name, placed, {"template": chosen.name}, as_json=as_json)
    loaded = lazy.open_catalog(root, lazy.load_settings(root)).load(name)
    console.print_problems(loaded.problems, console.notes)
    if not as_json:
        call = " ".join((name, *_needed(loaded.definition)))
        trust = "`orchestrate trust` shows its programs; then " if any(map(_is_program, chosen.files(name))) else ""
        text = f"`orchestrate run {call} --executor simulate` tries it; {trust}`orchestrate run {call}` runs it"
        console.notes.print(text, soft_wrap=True)


def _needed(definition: CommandDefinition | None) -> Iterator[str]:
    """Options for the arguments without which the command of *definition* does not start."""
    for argument in definition.arguments if definition is not None else ():
        if argument.required:
            yield f"--arg {argument.name}=…"


def _is_program(path: PurePosixPath) -> bool:
    return path.is_relative_to(PROGRAMS)
