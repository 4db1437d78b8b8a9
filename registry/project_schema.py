"""The command format as a JSON Schema of one project, with the names that its commands can use.

Pure. An editor completes these names and marks others. Agents, commands and breakers are closed lists, as a command
that names another one is refused; locks are an open one, since a lock exists as soon as a command names it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.model.schema import command_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IDENTITY = "urn:orchestration-mcp:schemas:project"
SUB_COMMAND = "command"


def project_schema(
    *, agents: Mapping[str, str], commands: Mapping[str, str], locks: Iterable[str], breakers: Iterable[str]
) -> dict[str, Any]:
    """The schema of a project; *agents* and *commands* are names with their descriptions."""
    schema = command_schema()
    parts = schema["$defs"]
    node, undo = parts["Node"]["properties"], parts["Compensation"]["properties"]
    known = {SUB_COMMAND: "Runs another command, which the task names: `/name and its arguments`.", **agents}
    node["agentId"] = {**_described(node["agentId"]), **_closed(known)}
    undo["agentId"] = {**_described(undo["agentId"]), **_closed(agents)}
    node["circuitBreaker"] = {**_described(node["circuitBreaker"]), **_closed(dict.fromkeys(breakers, ""))}
    replaced = parts["Metadata"]["properties"]
    replaced["replacedBy"] = {**_described(replaced["replacedBy"]), "anyOf": [_closed(commands), {"type": "string"}]}
    lock = parts["Lock"]["properties"]
    lock["resource"] = {
        "description": lock["resource"]["description"],
        "anyOf": [_closed(dict.fromkeys(locks, "")), {**lock["resource"]}],
    }
    calls = "|".join(map(re.escape, sorted(commands)))
    parts["Node"]["allOf"] = [
        {
            "if": {"properties": {"agentId": {"const": SUB_COMMAND}}, "required": ["agentId"]},
            "then": {"properties": {"task": _call(commands, f"^({calls})(\\s|$)")}},
        }
    ]
    return schema | {"$id": IDENTITY, "title": "Command of this project"}


def _closed(names: Mapping[str, str]) -> dict[str, Any]:
    """One of *names*; editors show the descriptions beside them."""
    found = dict(sorted(names.items()))
    return {"type": "string", "enum": [*found], "enumDescriptions": [*found.values()]}


def _call(commands: Mapping[str, str], pattern: str) -> dict[str, Any]:
    """The task of a sub-command: the name of one, and its arguments; an editor proposes the names."""
    return {
        "anyOf": [_closed(commands), {"type": "string"}],
        "pattern": pattern,
        "patternErrorMessage": "The task of a sub-command begins with the name of a command of this project.",
    }


def _described(field: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key in {"description", "default"}}
