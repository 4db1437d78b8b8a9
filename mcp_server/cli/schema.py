"""The command `schema`: the command format as a JSON Schema of the project, for completion and checks in editors.

Effects: reads commands and agents; `--write` writes the schema, and adds it to the settings of VS Code.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import InputError
from engine.graph.expand import lock_specs, nodes_of
from engine.statefolder.regular_files import read_regular
from engine.text.shown import clean
from mcp_server.cli import console, lazy
from mcp_server.cli.jsonc import NotJsonc, parse, with_value
from mcp_server.cli.shared import OK, USAGE, errors, project_root
from mcp_server.cli.written import write_text
from registry.project_schema import IDENTITY, project_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.command import CommandDefinition
    from registry.catalog import Catalog

FOLDER = PurePosixPath(".vscode")
SETTINGS = FOLDER / "settings.json"
SCHEMA = FOLDER / "orchestration.schema.json"
URL = f"./{SCHEMA}"
FILES = ".claude/commands/v2/**/*"
JSON_SCHEMAS, YAML_SCHEMAS = "json.schemas", "yaml.schemas"
MAX_FILE_BYTES = 1_000_000
SHARED = f"{FOLDER} or a file in it is behind a link: settings there would belong to every project that shares it."


def schema(
    write: Annotated[
        bool, typer.Option("--write", help="Write it into .vscode, and add it to the settings of VS Code there.")
    ] = False,
) -> None:
    """Print the JSON Schema of this project's commands. It knows the agents, commands, locks and breakers."""
    with errors():
        root = project_root()
        settings = lazy.load_settings(root)
        found = _schema_of(lazy.open_catalog(root, settings), settings.breakers)
        if not write:
            console.print_json(found)
            raise typer.Exit(OK)
        done = _write(root, found)
    raise typer.Exit(OK if done else USAGE)


def _schema_of(catalog: Catalog, breakers: dict[str, Any]) -> dict[str, Any]:
    commands = [one for one in catalog.commands() if one.problem is None and one.shadowed_by is None]
    named = [one for one in commands if lazy.NAME.fullmatch(one.name)]
    with catalog.listed_once():
        definitions = [found for one in named if (found := catalog.load(one.name).definition) is not None]
    return project_schema(
        agents={name: agent.description for name, agent in catalog.agents().agents.items()},
        commands={one.name: one.description for one in named},
        locks={lock for one in definitions for lock in _locks(one)},
        breakers=breakers,
    )


def _locks(command: CommandDefinition) -> Iterator[str]:
    for resources in (command.resources, *(node.resources for node in nodes_of(command.phases))):
        yield from (lock.resource for lock in lock_specs(resources))


def _write(root: Path, found: dict[str, Any]) -> bool:
    """Write the schema and the settings; False if the settings were left alone."""
    for name in (SCHEMA, SETTINGS):
        lazy.inside(root, str(name), advice=SHARED)
    before = _text(root / SCHEMA)
    if (root / SCHEMA).is_symlink() or (before.strip() and f'"{IDENTITY}"' not in before):
        raise InputError(f"{SCHEMA} is another file", code="FILE_EXISTS", hint="Move it to another place.")
    text = console.json_text(found).rstrip("\n") + "\n"
    settings = _text(root / SETTINGS)
    try:
        merged = _merged(root / SETTINGS, settings)
    except NotJsonc as error:
        console.notes.print(clean(f"left alone {SETTINGS}: {error}. To add it yourself:"), soft_wrap=True)
        console.notes.print(json.dumps(_addition(), indent=4), soft_wrap=True)
        merged = None
    for name, old, new in ((SCHEMA, before, text), (SETTINGS, settings, merged)):
        if new is not None:
            if new != old:
                write_text(root / name, new)
            console.results.print(f"{'unchanged' if new == old else 'written'} {name}", soft_wrap=True)
    return merged is not None


def _addition() -> dict[str, Any]:
    """The settings, as one would paste them."""
    return {
        JSON_SCHEMAS: [{"fileMatch": [f"/{FILES}.json"], "url": URL}],
        YAML_SCHEMAS: {URL: [f"{FILES}.yaml", f"{FILES}.yml"]},
    }


def _merged(file: Path, text: str) -> str:
    """The settings *text* of *file* with ours. Raises `NotJsonc` for a link, and if VS Code cannot read them."""
    if file.is_symlink():
        raise NotJsonc("it is a link")
    wanted = _addition()
    present = parse(text).value if text.strip("\ufeff \t\r\n") else {}
    listed = present.get(JSON_SCHEMAS, []) if isinstance(present, dict) else None
    if not isinstance(listed, list) or not isinstance(present.get(YAML_SCHEMAS, {}), dict):
        raise NotJsonc(f"{JSON_SCHEMAS} or {YAML_SCHEMAS} has another form there")
    ours = [place for place, one in enumerate(listed) if isinstance(one, dict) and one.get("url") == URL]
    if JSON_SCHEMAS in present:
        text = with_value(text, (JSON_SCHEMAS, str(ours[0] if ours else len(listed))), wanted[JSON_SCHEMAS][0])
    else:
        text = with_value(text, (JSON_SCHEMAS,), wanted[JSON_SCHEMAS])
    return with_value(text, (YAML_SCHEMAS, URL), wanted[YAML_SCHEMAS][URL])


def _text(path: Path) -> str:
    """The text at *path*, empty if nothing is there. Raises `InputError` (FILE_UNREADABLE)."""
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise InputError(f"{path.name} is too large", code="FILE_UNREADABLE", hint="Settings are smaller.")
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path.name} cannot be read: {why}", code="FILE_UNREADABLE", hint="Correct it.") from None
