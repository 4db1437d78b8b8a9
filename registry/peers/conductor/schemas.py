"""Converts Conductor's declared outputs and inputs to JSON Schemas.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.peers.report import Fields

_TYPES = ("string", "number", "boolean", "array", "object")
_COPIED = ("description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength")
ZERO: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "array": [], "object": {}}
"""The value of an input without one and without a default."""
TEXT_RESULT = {"type": "object", "required": ["result"], "properties": {"result": {"type": "string"}}}
"""The output of an agent that declares none."""


def output(fields: Fields | None) -> dict[str, Any]:
    """The schema of a declared `output`."""
    return {"type": "object", **_members(fields)}


def _members(fields: Fields | None) -> dict[str, Any]:
    """The members of an object, and those that are required."""
    names = fields.names() if fields is not None else []
    found = {name: _field(one) for name in names if fields is not None and (one := fields.mapping(name)) is not None}
    return {
        "required": [name for name, (_, needed) in found.items() if needed],
        "properties": {name: inner for name, (inner, _) in found.items()},
    }


def _field(fields: Fields) -> tuple[dict[str, Any], bool]:
    """The schema of one member, and whether it is required."""
    kind = fields.text("type")
    if kind not in _TYPES:
        fields.report.refuse(fields.at("type"), f'"{kind}" is not a type', f"Write one of {', '.join(_TYPES)}.")
    schema: dict[str, Any] = {"type": kind}
    for name in _COPIED:
        value = fields.take(name)
        if value is not None:
            schema[name] = value
    items = fields.mapping("items")
    if items is not None:
        schema["items"], _ = _field(items)
    properties = fields.mapping("properties")
    if properties is not None:
        schema |= _members(properties)
    if fields.flag("nullable"):
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
    required = fields.flag("required") is not False
    fields.finish()
    return schema, required


def argument(name: str, key: str, fields: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """An input of the workflow as an argument of the command, and its schema."""
    kind = fields.text("type") or "string"
    if kind not in _TYPES:
        fields.report.refuse(fields.at("type"), f'"{kind}" is not a type', f"Write one of {', '.join(_TYPES)}.")
    if kind != "string":
        message = "Conductor reads numbers, true, false and JSON in the words of an input; here a word is a text"
        fields.report.differs_once("words", fields.pointer, message, f"Pass it as JSON: `--arg '{key}:=…'`.")
    found: dict[str, Any] = {"name": key, "description": fields.text("description") or name}
    default = fields.take("default")
    required = fields.flag("required") is not False
    if default is not None or not required:
        found["default"] = ZERO.get(kind) if default is None else default
    else:
        found["required"] = True
    fields.finish()
    return found, {"type": kind}
