"""Converts a command file of an older dialect to a v2 definition, and reports every difference (SPEC 13).

Pure. A file without older spelling is left unchanged: the validator reports misspellings in a v2 file.

A field unknown to v2 stays in the file as an `x-` field without effect, with a warning. A field that would change the
work, such as a loop, is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from engine.model.command import Argument, CommandDefinition, GlobalContext
from engine.text.cut import shorten
from engine.validation.fields import fields_of
from registry.dialects.agents import join_agents
from registry.dialects.flow import complete_order
from registry.dialects.metadata import carry_metadata
from registry.dialects.nodes import carry_resources
from registry.dialects.notes import Fields, Notes
from registry.dialects.phases import Carried, carry_phases
from registry.wording import slug

if TYPE_CHECKING:
    from engine.validation import Problem

_MAX_DESCRIPTION_LENGTH = 200
_OLDER_VERSION = re.compile(r"v?(?:[01](?:\.\d{1,9}){0,2}|2(?:\.0){0,2})")
"""A version below 2, or 2.0.0 in another spelling."""


class Migration(msgspec.Struct, frozen=True):
    """An older file as v2."""

    definition: dict[str, Any]
    problems: tuple[Problem, ...]
    """Every difference, with a pointer into the older file; parts that cannot be converted are errors."""
    changed: bool
    """Whether the file is of an older dialect at all."""


def migrate(raw: dict[str, Any]) -> Migration:
    """*raw* in v2 spelling; the same object, without problems, if it is not an older file."""
    notes = Notes()
    definition = _command(raw, notes)
    if not notes.older:
        return Migration(raw, (), changed=False)
    return Migration(definition, notes.finish(), changed=True)


def _command(raw: dict[str, Any], notes: Notes) -> dict[str, Any]:
    fields = Fields(raw, "", notes)
    join_agents(fields)
    _find_phases(fields)
    _identity(fields)
    _root_times(fields)
    if "resources" in fields.left:
        fields.left["resources"] = carry_resources(fields.left["resources"], pointer="/resources", notes=notes)
    _arguments(fields)
    carry_metadata(fields)
    spread = _spread(fields)
    phases = fields.left.get("phases")
    values: dict[str, Any] = {}
    if isinstance(phases, list):
        fields.left["phases"] = carry_phases(phases, Carried(spread, values, notes))
    _context(fields, values)
    definition = fields.keep(fields_of(CommandDefinition))
    complete_order(definition, notes)
    return definition


def _find_phases(fields: Fields) -> None:
    """Phases may be one level deeper, or be missing around the nodes."""
    left, notes = fields.left, fields.notes
    if "phases" in left:
        if isinstance(left["phases"], dict):
            notes.value("/phases", "phases are a list in v2", "Write a list of phases with id.")
            left["phases"] = [
                {"id": key, **phase} if isinstance(phase, dict) else phase for key, phase in left["phases"].items()
            ]
        return
    for name in ("workflow", "orchestration", "execution", "dag"):
        inner = left.get(name)
        if isinstance(inner, dict) and isinstance(inner.get("phases"), list):
            notes.spelled(f"/{name}/phases", f"{name}.phases", "phases")
            rest = {key: value for key, value in inner.items() if key != "phases"}
            left["phases"] = inner["phases"]
            del left[name]
            left.update({key: value for key, value in rest.items() if key not in left})
            return
    fields.rename("phases", habits=("stages",))
    nodes = None if "phases" in left else fields.take("agents", "nodes", "steps", "tasks")
    if nodes is not None:
        notes.value(
            fields.at(nodes[0]), f'{nodes[0]} are part of a phase in v2; phase "main" was added', "Write phases."
        )
        left["phases"] = [{"id": "main", "name": "Main", "agents": nodes[1]}]


def _identity(fields: Fields) -> None:
    left, notes = fields.left, fields.notes
    version = left.get("version")
    if version is None or (_OLDER_VERSION.fullmatch(str(version)) and version != "2.0.0"):
        notes.value("/version", f'version is "2.0.0" in v2, not {version!r}', 'Write "2.0.0".')
        left["version"] = "2.0.0"
    name = left.get("name")
    if isinstance(name, str) and not re.fullmatch(r"/[a-z0-9-]+", name) and slug(name):
        left["name"] = f"/{slug(name, words=20)}"
        notes.value("/name", f'name starts with a slash in v2 and is lower case: "{name}"', f'Write "{left["name"]}".')
    description = left.get("description")
    if description is None and isinstance(left.get("name"), str):
        left["description"] = str(left["name"])
        notes.inferred("/description", "The command has no description; its name was used", "Write one.", older=False)
    elif isinstance(description, str) and len(description) > _MAX_DESCRIPTION_LENGTH:
        left["x-description"] = description
        left["description"] = shorten(description, _MAX_DESCRIPTION_LENGTH)
        notes.value(
            "/description", "description has at most 200 characters; x-description has the full text", "Shorten it."
        )


def _root_times(fields: Fields) -> None:
    """A time of the whole command: an estimate is a note, a limit goes to the phases."""
    for name in ("estimatedTime", "estimatedDuration", "totalEstimatedTime"):
        found = fields.take(name)
        if found is not None:
            fields.left[f"x-{name}"] = found[1]
            fields.notes.kept(f"/{name}", name, f"x-{name}")


def _arguments(fields: Fields) -> None:
    fields.rename("arguments", habits=("args", "parameters", "params", "inputs"))
    value = fields.left.get("arguments")
    if isinstance(value, dict):
        fields.notes.value("/arguments", "arguments are a list in v2", "Write a list of objects with name.")
        value = [
            {"name": key, **item} if isinstance(item, dict) else {"name": key, "default": item}
            for key, item in value.items()
        ]
    if isinstance(value, list):
        items = [{"name": item} if isinstance(item, str) else item for item in value]
        fields.left["arguments"] = [
            Fields(item, f"/arguments/{at}", fields.notes).keep(fields_of(Argument)) if isinstance(item, dict) else item
            for at, item in enumerate(items)
        ]


def _spread(fields: Fields) -> dict[str, Any]:
    """Settings of the command for all phases or nodes, to be copied to each."""
    spread: dict[str, Any] = {}
    for name in (
        "timeout",
        "retry",
        "retryPolicy",
        "parallelism",
        "maxParallelism",
        "maxConcurrency",
        "continueOnError",
    ):
        found = fields.take(name)
        if found is not None:
            key = "retryPolicy" if name == "retry" else "maxParallelism" if name == "maxConcurrency" else name
            spread[key] = found[1]
            where = "every node" if key == "retryPolicy" else "every phase"
            message = f'"{name}" is not a field of a command in v2; it was copied to {where} without one of its own'
            fields.notes.say("DIALECT_SPREAD", f"/{name}", message, f"Write {key} where it applies.")
    return spread


def _context(fields: Fields, values: dict[str, Any]) -> None:
    fields.rename("globalContext", habits=("initialContext", "sharedContext", "context"))
    value = fields.left.get("globalContext")
    if value is None:
        if values:
            fields.left["globalContext"] = {"initial": values}
        return
    if not isinstance(value, dict):
        return
    context = Fields(value, "/globalContext", fields.notes)
    context.rename("initial", habits=("initialValues", "values", "variables", "data"))
    known = fields_of(GlobalContext)
    if value and not set(context.left) & {*known, "cacheTtl"}:
        fields.notes.value("/globalContext", "initial values are in globalContext.initial in v2", "Move them there.")
        context.left = {"initial": context.left}
    carried = context.keep(known)
    if values and isinstance(carried.get("initial", {}), dict):
        carried["initial"] = {**carried.get("initial", {}), **values}
    fields.left["globalContext"] = carried
