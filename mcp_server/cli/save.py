"""The command `save`: a command from the definition that a run began with.

Effects: reads a run of the project, and writes one command file.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import InputError, NotFound
from engine.ids import RunId
from engine.model.schema import in_order
from mcp_server.cli import console, lazy
from mcp_server.cli.placing import Force, command_name, place, show_placed
from mcp_server.cli.shared import OK, Json, finish, project_root
from registry.files.places import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.run.state import Run
    from engine.storage.cache import ValueCache
    from registry.catalog import Catalog


def save(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the command, with or without /.")],
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a command of the definition that a run began with."""
    finish(_save(RunId(run_id), as_, force=force, as_json=as_json))


async def _save(run_id: RunId, given: str, *, force: bool, as_json: bool) -> int:
    name = command_name(given)
    root = project_root()
    async with lazy.open_project(root, reads=True) as project:
        engine = await project.reader()
        catalog = project.catalog
        definition = await engine.read(run_id, lambda view: _definition(view.run, engine.values, catalog))
        text = json.dumps(in_order({**definition, "name": name}), ensure_ascii=False, indent=2) + "\n"
        file = PurePosixPath(COMMANDS, "v2", f"{name.removeprefix('/')}.json")
        placed = place(root, catalog, name, {file: text}, home=Path.home(), force=force)
    show_placed(name, placed, {"run": run_id}, as_json=as_json)
    loaded = lazy.open_catalog(root, lazy.load_settings(root)).load(name)
    console.print_problems(loaded.problems, console.notes)
    return OK


def _definition(run: Run, values: ValueCache, catalog: Catalog) -> Mapping[str, Any]:
    """The definition that *run* began with. Raises `NotFound` (DEFINITION_UNKNOWN)."""
    if run.definition is not None:
        stored: Mapping[str, Any] = values.get(run.definition)
        return stored
    try:
        loaded = catalog.load(run.plan.source or run.plan.command)
    except InputError:
        loaded = None
    if loaded is None or loaded.digest != run.plan.digest:
        raise NotFound(
            f"run {run.id} of {run.plan.command} has no definition: an older version recorded it, and the file is "
            "not there anymore or has changed",
            code="DEFINITION_UNKNOWN",
            hint="Run the command again, and save that run.",
        )
    return loaded.raw
