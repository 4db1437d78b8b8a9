"""Converts the data that a node of an older file reads and writes to v2 inputs and outputs.

Pure. `registry/dialects/flow.py` finds the provider of each value once all nodes are known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.model.command import Input, NodeContext, Output
from engine.validation.fields import fields_of
from registry.dialects.notes import Fields
from registry.wording import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.dialects.notes import Notes

READS = ("consumes", "reads", "requires", "required", "needs")
WRITES = ("produces", "provides", "writes", "outputKeys")
JSON_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
LOOSE = "x-plain"
"""Marks an input without an explicit `required`, until all providers are known."""


def node_context(fields: Fields, *, extra: Sequence[dict[str, Any]]) -> Any:  # noqa: ANN401 - what it cannot read stays
    """The context of the node in *fields*, with the *extra* inputs; None if it has none."""
    left, notes = fields.left, fields.notes
    value = left.get("context")
    if isinstance(value, list):
        notes.spelled(fields.at("context"), "a list as context", "context.inputs")
        value = {"inputs": value}
    outer = {
        name: left[name]
        for name in ("inputs", "outputs", "passthrough")
        if name in left and not (isinstance(value, dict) and name in value)
    }
    if outer:
        for name in outer:
            notes.value(fields.at(name), f'{name} are part of "context" in v2', f"Move {name} into context.")
            del left[name]
        value = {**(value if isinstance(value, dict) else {}), **outer}
    if value is not None and not isinstance(value, dict):
        return value
    if value is None and not extra:
        return None
    context = Fields(value or {}, fields.at("context"), notes)
    context.rename("inputs", habits=READS)
    context.rename("outputs", habits=WRITES)
    if "inputs" in context.left:
        context.left["inputs"] = _items(context.left["inputs"], _input, context.at("inputs"), notes)
    if "outputs" in context.left:
        context.left["outputs"] = _items(context.left["outputs"], _output, context.at("outputs"), notes)
    if extra:
        inputs = context.left.get("inputs")
        given = inputs if isinstance(inputs, list) else []
        context.left["inputs"] = [*given, *(one for one in extra if one not in map(_plain, given))]
    return context.keep(fields_of(NodeContext))


def _plain(item: object) -> object:
    """The key and transform of an input."""
    return {name: item[name] for name in ("key", "transform") if name in item} if isinstance(item, dict) else item


def _items(value: object, carry: Any, pointer: str, notes: Notes) -> object:  # noqa: ANN401 - one of two functions
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        notes.value(pointer, "inputs and outputs are lists in v2", "Write a list of objects with key.")
        value = [
            {"key": key, **item} if isinstance(item, dict) else {"key": key, "x-value": item}
            for key, item in value.items()
        ]
    if not isinstance(value, list):
        return value
    return [carry(item, f"{pointer}/{at}", notes) for at, item in enumerate(value)]


def _input(item: object, pointer: str, notes: Notes) -> object:
    if isinstance(item, str):
        key = item.rstrip("?") or item
        notes.spelled(pointer, item, f'{{"key": "{key}"}}')
        return {"key": key, "required": False} if item.endswith("?") else {"key": key, LOOSE: True}
    if not isinstance(item, dict):
        return item
    fields = _keyed(item, pointer, notes)
    optional = fields.left.get("optional")
    if isinstance(optional, bool) and "required" not in fields.left:
        notes.value(
            fields.at("optional"), '"optional" is "required" in v2', f'Write "required": {str(not optional).lower()}.'
        )
        fields.left["required"] = not fields.left.pop("optional")
    fields.rename("default", habits=("defaultValue", "fallback"))
    return fields.keep(fields_of(Input))


def _output(item: object, pointer: str, notes: Notes) -> object:
    if isinstance(item, str):
        notes.spelled(pointer, item, f'{{"key": "{item}"}}', sure=False)
        return {"key": item}
    if not isinstance(item, dict):
        return item
    fields = _keyed(item, pointer, notes)
    fields.rename("persist", habits=("persistent", "save"))
    kind = fields.left.get("type")
    if isinstance(kind, str) and kind in JSON_TYPES and "schema" not in fields.left:
        notes.value(
            fields.at("type"),
            '"type" of an output is part of its schema in v2',
            f'Write "schema": {{"type": "{kind}"}}.',
        )
        fields.left["schema"] = {"type": fields.left.pop("type")}
    if isinstance(fields.left.get("schema"), str):
        fields.left["x-schema"] = fields.left.pop("schema")
        notes.kept(fields.at("schema"), "schema", "x-schema")
    _description(fields)
    _ttl(fields)
    return fields.keep(fields_of(Output))


def _description(fields: Fields) -> None:
    """The description of an output is part of its schema in v2, where the agent reads it."""
    text, schema = fields.left.get("description"), fields.left.get("schema", {})
    if isinstance(text, str) and isinstance(schema, dict) and "description" not in schema:
        fields.notes.value(
            fields.at("description"), '"description" of an output is part of its schema in v2', "Move it there."
        )
        fields.left["schema"] = {**schema, "description": fields.left.pop("description")}


def _keyed(item: dict[str, Any], pointer: str, notes: Notes) -> Fields:
    fields = Fields(item, pointer, notes)
    fields.rename("key", habits=("name", "id", "variable"))
    return fields


def _ttl(fields: Fields) -> None:
    """Seconds; zero or less, which means "do not keep", becomes no TTL in v2."""
    value = fields.left.get("ttl")
    seconds = duration(value) if isinstance(value, str) else None
    if seconds is not None:
        fields.left["ttl"] = max(1, seconds // 1000)
        fields.notes.value(
            fields.at("ttl"), f'ttl is in seconds: "{value}" is {seconds // 1000}', f"Write {seconds // 1000}."
        )
    elif isinstance(value, float) and value.is_integer() and value > 0:
        fields.left["ttl"] = int(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
        fields.left["x-ttl"] = fields.left.pop("ttl")
        fields.notes.kept(fields.at("ttl"), "ttl", "x-ttl")
