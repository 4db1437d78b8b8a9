"""Writes the generated parts of the documentation: tables between markers, and the JSON Schema of the command format.

It also writes the skills of our plugin. Effects: writes files in this folder, in `plugin/skills` and in
`registry/packaged/skills`; `--check` only
lists those that are stale. Run it as `python -m docs.generate` after a change of the model, the tools, the command
line, the settings or the codes.
"""
# ruff: noqa: INP001 - a folder of pages, not a package of the product

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from docs.authoring import reference_files
from docs.gallery_page import gallery
from engine.conditions import MAX_LENGTH as MAX_CONDITION_LENGTH
from engine.conditions import MAX_STEPS as CONDITION_STEPS
from engine.conditions.parser import MAX_DEPTH as CONDITION_DEPTH
from engine.executors.subprocesses.program import STDOUT_LIMIT
from engine.graph.expand import MAX_DEPTH as COMMAND_DEPTH
from engine.json.patterns import MAX_LENGTH as MAX_PATTERN_LENGTH
from engine.json.schemas import MAX_DEPTH as SCHEMA_DEPTH
from engine.json.schemas import MAX_EXPANSION
from engine.model.command import FEATURES, MAX_MILLISECONDS
from engine.model.plan import MAX_NODES
from engine.model.schema import command_schema
from engine.run import events
from engine.telemetry.measures import INSTRUMENTS
from engine.transforms import MAX_LENGTH as MAX_TRANSFORM_LENGTH
from engine.transforms import MAX_STEPS as TRANSFORM_STEPS
from engine.validation import CODES, Severity
from mcp_server.answers import status
from mcp_server.cli.app import app
from mcp_server.cli.commands import COMMANDS
from mcp_server.cli.skills import skill_text
from mcp_server.project.settings import Settings
from mcp_server.project.user_settings import UserSettings
from mcp_server.protocol.app import OrchestrationServer
from registry.catalog import Catalog
from registry.files.json_file import MAX_DEPTH, MAX_FILE_BYTES, MAX_OBJECT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import BaseModel

DOCS = Path(__file__).parent
PLUGIN = DOCS.parent / "plugin"
SCHEMA_FILE = DOCS / "schemas" / "command-v2.json"
SCHEMA_FILES = (SCHEMA_FILE, DOCS.parent / "registry" / "packaged" / "schemas" / "command-v2.json")
"""The second is in the package."""
OPTIONS_FILE = DOCS.parent / "mcp_server" / "cli" / "options.json"
MARKED = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PARTS = (
    "Phase", "Node", "ForEach", "Repeat", "Input", "Output", "NodeContext", "RetryPolicy", "SkipCondition",
    "Compensation", "Resources", "Lock", "Approval", "Argument", "GlobalContext", "Metadata", "Example", "Requirements",
)  # fmt: skip
"""The objects of the format in the order of their tables, after the command itself."""


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def code(value: object) -> str:
    """A JSON value as code."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


# --- the command format ----------------------------------------------------------------------------------------------


def format_tables() -> str:
    """One table for each object of the command format."""
    schema = command_schema()
    parts = [("Command", schema), *((name, schema["$defs"][name]) for name in PARTS)]
    return "\n".join(_part_table(name, part) for name, part in parts)


def _part_table(name: str, part: dict[str, Any]) -> str:
    required = part.get("required", ())
    rows = []
    for field, shape in part["properties"].items():
        default = "**required**" if field in required else code(shape["default"]) if "default" in shape else ""
        rows.append((f"`{field}`", kind(shape), default, shape.get("description", "")))
    return f"### {name}\n\n{part['description']}\n\n{table(('field', 'type', 'default', 'meaning'), rows)}"


def kind(shape: dict[str, Any]) -> str:
    """The type that a JSON Schema describes, in words."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in PARTS else name
    if "const" in shape:
        return code(shape["const"])
    if "enum" in shape:
        return ", ".join(code(value) for value in shape["enum"])
    if "anyOf" in shape:
        return " or ".join(kind(one) for one in shape["anyOf"] if one != {"type": "null"})
    if shape.get("type") == "array":
        return f"list of {kind(shape['items'])}"
    if isinstance(inner := shape.get("additionalProperties"), dict):
        return f"object, values: {kind(inner)}"
    word = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean", "object": "object"}
    return word.get(shape.get("type", ""), "any JSON") + _bounds(shape)


def _bounds(shape: dict[str, Any]) -> str:
    low = shape.get("minimum", shape.get("exclusiveMinimum"))
    high = shape.get("maximum")
    if high == MAX_MILLISECONDS:  # listed once, among the limits
        high = None
    found = []
    if "pattern" in shape:
        found.append(f"`{shape['pattern']}`")
    if "minimum" in shape and high is not None:
        found.append(f"{low} to {high}")
    elif high is not None and low is not None:
        found.append(f"above {low}, at most {high}")
    elif low:
        found.append(f"{'from' if 'minimum' in shape else 'above'} {low}")
    if "maxLength" in shape:
        found.append(f"at most {shape['maxLength']} characters")
    return f" ({', '.join(found)})" if found else ""


def features() -> str:
    """The features that a command can require."""
    return table(("feature", "meaning"), ((f"`{name}`", meaning) for name, meaning in FEATURES.items()))


def limits() -> str:
    """Every limit of a command, from the code."""
    megabyte = 1024 * 1024
    return table(
        ("item", "limit"),
        (
            ("command file", f"{MAX_FILE_BYTES // megabyte} MB, UTF-8"),
            ("definition passed as an object", f"{MAX_OBJECT_BYTES // megabyte} MB"),
            ("levels of nesting in a file", f"{MAX_DEPTH}"),
            ("nodes of a run, with its sub-commands", f"{MAX_NODES:,}"),
            ("nesting of sub-commands", f"{COMMAND_DEPTH}"),
            ("any time", f"{MAX_MILLISECONDS // 86_400_000} days"),
            ("context expression", f"{MAX_CONDITION_LENGTH:,} characters, {CONDITION_DEPTH} levels"),
            ("evaluation of a context expression", f"{CONDITION_STEPS:,} steps"),
            ("transform", f"{MAX_TRANSFORM_LENGTH:,} characters, {TRANSFORM_STEPS:,} values visited"),
            ("output schema", f"{SCHEMA_DEPTH} levels, {MAX_EXPANSION:,} subschemas after replacing every `$ref`"),
            ("`pattern` in an output schema", f"{MAX_PATTERN_LENGTH} characters, matched in linear time"),
            ("answer of a process or python agent", f"{STDOUT_LIMIT // megabyte} MB"),
            ("one output in an answer of a tool", f"{status.MAX_VALUE_BYTES // 1024} KB; a larger one is a `$ref`"),
        ),
    )


def validation_codes() -> str:
    """The codes of validation with cause and fix, errors first."""
    shown = []
    for severity, title in ((Severity.ERROR, "Errors"), (Severity.WARNING, "Warnings")):
        rows = [
            (f"`{name}`", entry.description, entry.cause, entry.fix)
            for name, entry in CODES.items()
            if entry.severity is severity
        ]
        shown.append(f"### {title}\n\n{table(('code', 'meaning', 'cause', 'fix'), rows)}")
    return "\n".join(shown)


# --- tools, command line, settings, journal --------------------------------------------------------------------------


def tools() -> str:
    """The MCP tools with their parameters."""
    shown = []
    for tool in asyncio.run(OrchestrationServer().list_tools()):
        required = tool.input_schema.get("required", ())
        rows = [
            (f"`{name}`", _parameter(shape), _default(name, shape, required), shape.get("description", ""))
            for name, shape in tool.input_schema.get("properties", {}).items()
        ]
        text = (tool.description or "").strip()
        shown.append(f"## {tool.name}\n\n{text}\n\n{table(('parameter', 'type', 'default', 'meaning'), rows)}")
    return "\n".join(shown)


def _parameter(shape: dict[str, Any]) -> str:
    fields = shape.get("items", {}).get("properties")
    return kind(shape) if fields is None else f"list of {{{', '.join(fields)}}}"


def _default(name: str, shape: dict[str, Any], required: Iterable[str]) -> str:
    if name in required:
        return "**required**"
    value = shape.get("default")
    return "" if value is None else code(value)


def command_line() -> str:
    """The commands of `orchestrate` with their options."""
    group: Any = typer.main.get_command(app)
    shown = []
    for name, command in group.commands.items():
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option"]
        usage = " ".join([name, *(_argument(param) for param in arguments), *(["[OPTIONS]"] if options else [])])
        text = f"## {name}\n\n{command.help}\n\n```text\norchestrate {usage}\n```\n"
        rows = [(_option(param), _preset(param), param.help or "") for param in options]
        shown.append(text + (f"\n{table(('option', 'default', 'meaning'), rows)}" if rows else ""))
    return "\n".join(shown)


def _argument(param: Any) -> str:  # noqa: ANN401 - click's own class, without types in typer
    name = (param.metavar or param.name or "").upper()
    return name if param.required else f"[{name}]"


def _option(param: Any) -> str:  # noqa: ANN401
    value = "" if param.is_flag else f" {param.metavar or param.name.removesuffix('_').upper()}"
    names = " / ".join(f"`{name}{value}`" for name in (*param.opts, *param.secondary_opts))
    return f"{names} (repeatable)" if param.multiple else names


def _preset(param: Any) -> str:  # noqa: ANN401
    if param.default in (None, "", False):
        return ""
    return f"`{param.opts[0]}`" if param.is_flag else f"`{param.default}`"


def settings() -> str:
    """The settings, tables of the file as `todos.…` and `breakers.NAME.…`."""
    return table(("setting", "type", "default", "meaning"), _settings(Settings, ""))


def user_settings() -> str:
    """The settings of the user's own file."""
    return table(("setting", "type", "default", "meaning"), _settings(UserSettings, ""))


def _settings(model: type[BaseModel], place: str) -> list[tuple[str, str, str, str]]:
    schema = model.model_json_schema()
    rows = []
    for name, field in model.model_fields.items():
        shape = schema["properties"][name]
        inner = shape.get("$ref") or shape.get("additionalProperties", {}).get("$ref")
        if inner is None:
            value = field.get_default(call_default_factory=True)
            default = "" if value is None or value == [] else code(value)
            rows.append((f"`{place}{name}`", kind(shape), default, shape.get("description", "")))
            continue
        annotation: Any = field.annotation
        part = annotation if hasattr(annotation, "model_fields") else annotation.__args__[1]
        rows += _settings(part, f"{place}{name}." if part is annotation else f"{place}{name}.NAME.")
    return rows


def journal() -> str:
    """The kinds of events of a run."""
    kinds = [found for found in vars(events).values() if _is_event(found)]
    rows = [(f"`{found.__name__}`", " ".join((found.__doc__ or "").split()), _fields(found)) for found in kinds]
    return table(("event", "meaning", "fields"), rows)


def _is_event(found: object) -> bool:
    return isinstance(found, type) and "at" in getattr(found, "__struct_fields__", ())


def _fields(found: type) -> str:
    names = [name for name in getattr(found, "__struct_fields__", ()) if name != "at"]
    return ", ".join(f"`{name}`" for name in names)


def metrics() -> str:
    """The instruments of OpenTelemetry."""
    rows = [
        (f"`{one.name}`", "histogram" if one.buckets else "counter", f"`{one.unit}`", f"{one.description} By {one.by}.")
        for one in INSTRUMENTS
    ]
    return table(("metric", "kind", "unit", "meaning"), rows)


# --- files -----------------------------------------------------------------------------------------------------------

BLOCKS: dict[str, Callable[[], str]] = {
    "format": format_tables,
    "features": features,
    "limits": limits,
    "validation-codes": validation_codes,
    "tools": tools,
    "command-line": command_line,
    "settings": settings,
    "user-settings": user_settings,
    "journal": journal,
    "metrics": metrics,
    "gallery": gallery,
}


def filled(text: str) -> str:
    """*text* with the parts between markers regenerated; KeyError for an unknown marker."""
    return MARKED.sub(lambda found: f"{found[1]}\n{BLOCKS[found['name']]()}\n{found[3]}", text)


def wanted() -> dict[Path, str]:
    """The expected text of every generated file and of every page with a generated part."""
    pages = {page: filled(page.read_text(encoding="utf-8")) for page in sorted(DOCS.rglob("*.md"))}
    return (
        pages
        | plugin_skills()
        | reference_files()
        | {
            **dict.fromkeys(SCHEMA_FILES, json.dumps(command_schema(), indent=2, ensure_ascii=False) + "\n"),
            OPTIONS_FILE: json.dumps(options(), ensure_ascii=False, indent=1) + "\n",
        }
    )


def options() -> dict[str, Any]:
    """The commands of `orchestrate` with their arguments and options, for the completion in shells."""
    group: Any = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        arguments = [param for param in command.params if param.param_type_name == "argument"]
        taken = [param for param in command.params if param.param_type_name == "option"]
        found[name] = {
            "summary": COMMANDS[name].summary,
            "arguments": [param.name for param in arguments],
            "many": any(param.nargs == -1 for param in arguments),
            "options": {
                word: {"value": not param.is_flag, "help": param.help or ""}
                for param in taken
                for word in (*param.opts, *param.secondary_opts)
            },
        }
    return found


def plugin_skills() -> dict[Path, str]:
    """The skills of our plugin: one for each command that it brings to every project."""
    with tempfile.TemporaryDirectory() as empty:
        commands = Catalog(Path(empty), home=None, library=PLUGIN).commands()
    return {
        PLUGIN / "skills" / command.name.removeprefix("/") / "SKILL.md": skill_text(
            command, command.path.resolve().relative_to(PLUGIN.parent).as_posix()
        )
        for command in commands
    }


def stale() -> dict[Path, str]:
    """The files that differ from the expected text, with that text."""
    return {
        path: text for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Bring all files up to date, or with `--check` list those that are not."""
    found = stale()
    for path, text in found.items():
        sys.stdout.write(f"{path.relative_to(DOCS.parent)}\n")
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
