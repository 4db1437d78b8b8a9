"""The published JSON Schema and the program take the same files."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from docs.generate import SCHEMA_FILE
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.model.schema import DRAFT, command_schema
from engine.validation import validate_definition
from registry.catalog import PACKAGED_COMMANDS
from tests.docs.pages import ROOT
from tests.unit.engine.validation.examples import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

VALIDATOR = Draft202012Validator(command_schema())
FILES = sorted([*(ROOT / ".claude" / "commands" / "v2").rglob("*.json"), *PACKAGED_COMMANDS.glob("*.json")])
SHAPE = {"SCHEMA", "UNKNOWN_FIELD"}
"""Codes of what is wrong with one file's shape, whatever else is in the project."""
WHOLE: dict[str, Any] = json.loads((ROOT / ".claude/commands/v2/database-migration.json").read_text(encoding="utf-8"))
NUMBERS = [0, 1, -1, 2.5, 0.0, 1.0, 3.0, 5e3, -2.0, 1e300, 10**12]
VALUES = [None, True, False, *NUMBERS, "", "/x", "x", "A b", "2.0.0", [], ["x"], [1], {}, {"x-note": 1}]
"""What a field may hold by mistake."""
NUMERIC_FIELDS = {
    *("backoffMultiplier", "cacheTTL", "estimatedTime", "initialDelay"),
    *("maxAttempts", "maxParallelism", "priority", "timeout"),
}


def has_shape(raw: object) -> bool:
    """Whether the program finds nothing wrong with the shape of *raw*."""
    return not any(problem.code in SHAPE for problem in validate_definition(raw, agents=()).problems)


def test_the_schema_is_a_json_schema_of_its_draft() -> None:
    schema = command_schema()
    assert schema["$schema"] == DRAFT
    Draft202012Validator.check_schema(schema)


def test_the_file_is_what_the_model_says() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == command_schema()


def test_every_field_has_a_description() -> None:
    schema = command_schema()
    parts = {"Command": schema, **schema["$defs"]}
    bare = [
        (name, field)
        for name, part in parts.items()
        for field, shape in part["properties"].items()
        if not shape.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_command_of_the_repository_passes(path: Path) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert [error.message for error in VALIDATOR.iter_errors(raw)] == []


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_schema_and_program_agree_on_the_example_of_a_code(code: str) -> None:
    example = EXAMPLES[code]
    for raw in (example.bad, example.good):
        assert VALIDATOR.is_valid(raw) == has_shape(raw)


@pytest.mark.parametrize("note", ["$schema", "$comment", "x-owner"])
def test_notes_are_fine_in_every_object(note: str) -> None:
    raw = copy.deepcopy(WHOLE)
    for place in places(raw):
        found = at(raw, place)
        if isinstance(found, dict):
            found[note] = "mine"
    assert VALIDATOR.is_valid(raw)
    assert has_shape(raw)


def places(value: object, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in *value*."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for step, item in items for place in places(item, (*way, step)))]


def at(value: Any, way: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any JSON
    for step in way:
        value = value[step]
    return value


@settings(max_examples=300)
@given(st.data())
def test_schema_and_program_agree_on_a_file_with_one_slip(data: st.DataObject) -> None:
    raw = copy.deepcopy(WHOLE)
    way = data.draw(st.sampled_from(places(raw)[1:]), label="place")
    holder, step = at(raw, way[:-1]), way[-1]
    slip = data.draw(st.sampled_from(["remove", "replace", "rename"]), label="slip")
    if slip == "remove" or (slip == "rename" and isinstance(step, int)):
        del holder[step]
    elif slip == "rename":
        holder[data.draw(st.sampled_from([f"{step}s", "note", "x-note", "$comment"]), label="name")] = holder.pop(step)
    else:
        holder[step] = data.draw(st.sampled_from(VALUES), label="value")
    assert VALIDATOR.is_valid(raw) == has_shape(raw)


def numeric_places(raw: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The way to every number of *raw*."""
    return [way for way in places(raw) if type(at(raw, way)) in {int, float}]


@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_schema_and_program_take_the_same_numbers(number: float) -> None:
    full = copy.deepcopy(WHOLE)
    full["globalContext"] = {"cacheTTL": 60}
    full["phases"][0]["agents"][0].setdefault("retryPolicy", {"maxAttempts": 2})["backoffMultiplier"] = 2
    ways = numeric_places(full)
    assert {way[-1] for way in ways} >= NUMERIC_FIELDS
    for way in ways:
        raw = copy.deepcopy(full)
        at(raw, way[:-1])[way[-1]] = number
        assert (way, VALIDATOR.is_valid(raw)) == (way, has_shape(raw))
