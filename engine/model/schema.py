"""The command format as JSON Schema, made from the model, for completion and checks in editors (SPEC 1).

Pure. It describes one file by itself; `engine/validation` has the rules that need several parts of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.model.command import CommandDefinition

DRAFT = "https://json-schema.org/draft/2020-12/schema"
IDENTITY = "urn:orchestration-mcp:schemas:command-v2"
"""The name of the schema wherever it is: in the package, in the documentation, as an MCP resource."""
NOTES = r"^(\$schema|\$comment|x-.*)$"
"""Fields that are allowed anywhere and mean nothing: notes of the file's author."""


def command_schema() -> dict[str, Any]:
    """The published schema, draft 2020-12.

    Stricter than the validator in one respect: an unknown field is rejected, where the validator
    only warns unless it resembles a known one. Editors show both alike.
    """
    schema = CommandDefinition.model_json_schema(by_alias=True, mode="validation")
    parts = {name: _part(part) for name, part in sorted(schema.pop("$defs").items())}
    node = parts["Node"]
    for absent in ("agentId", "phases"):
        del node["properties"][absent]["default"]
    # Either an agent or phases; the nodes of a sub-command have their own retry policies. The validator reports both.
    shapes = ("forEach", "repeat")
    sub_command = {"properties": {"agentId": {"const": "command"}}, "required": ["agentId"]}
    node |= {
        "oneOf": [{"required": ["agentId"]}, {"required": ["phases"]}],
        "not": {"properties": {name: {"type": "object"} for name in shapes}, "required": list(shapes)},
        "if": {"anyOf": [sub_command, {"required": ["phases"]}]},
        "then": {"properties": {"retryPolicy": {"type": "null"}}},
    }
    root = _part(schema)
    root["properties"] = {"$schema": {"description": "This schema, for editors."}, **root["properties"]}
    return {"$schema": DRAFT, "$id": IDENTITY, "title": "Command, format 2.0.0", **root, "$defs": parts}


def in_order(definition: Mapping[str, Any]) -> dict[str, Any]:
    """*definition* with the fields of each part in the order of the format, others behind them."""
    schema = command_schema()
    found: dict[str, Any] = _in_order(definition, schema, schema["$defs"])
    return found


def _in_order(value: Any, shape: dict[str, Any], parts: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """*value*, of the given *shape*, with its fields in order."""
    for way in (shape, *shape.get("anyOf", ())):
        if "$ref" in way:
            shape = parts[way["$ref"].rpartition("/")[2]]
    if isinstance(value, list) and "items" in shape:
        return [_in_order(item, shape["items"], parts) for item in value]
    fields = shape.get("properties")
    if not isinstance(value, Mapping) or fields is None:
        return value
    names = [*(name for name in fields if name in value), *(name for name in value if name not in fields)]
    return {name: _in_order(value[name], fields.get(name, {}), parts) for name in names}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """One object of the format: known fields, notes, and nothing else."""
    shown: dict[str, Any] = {"description": part["description"], "type": "object"}
    if "required" in part:
        shown["required"] = part["required"]
    shown["properties"] = {name: _field(field) for name, field in part["properties"].items()}
    return shown | {"patternProperties": {NOTES: {}}, "additionalProperties": False}


def _field(field: dict[str, Any]) -> dict[str, Any]:
    """One field without what pydantic adds for itself: titles, and defaults that only stand for an absent value."""
    shown = {key: value for key, value in field.items() if key != "title"}
    if shown.get("default", ...) is None or isinstance(shown.get("default"), dict):
        del shown["default"]
    words = shown.pop("description", None)
    return shown if words is None else {"description": words, **shown}


__all__ = ["DRAFT", "IDENTITY", "NOTES", "command_schema", "in_order"]
