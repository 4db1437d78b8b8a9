from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.json.example import example_of
from engine.json.patterns import found_in


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, "<it>"),
        ({}, "<it>"),
        ({"const": 5}, 5),
        ({"default": [1]}, [1]),
        ({"examples": ["e"], "enum": ["f"]}, "e"),
        ({"enum": ["f", "g"]}, "f"),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 0),
        ({"type": ["null"]}, None),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 0}, -0.5),
        ({"type": "number", "maximum": -1.5}, -1.5),
        ({"minimum": True}, 0),
        ({"type": "string", "maxLength": 2}, "<i"),
        ({"type": "string", "minLength": 6}, "<it>.."),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "minItems": 3}, [1, 2, "<it>"]),
        ({"items": {}, "minItems": 2, "uniqueItems": True}, ["<it>", "<it> 1"]),
        ({"type": "object", "properties": {"a": {}, "b": {"type": "integer"}}, "required": ["b"]}, {"b": 0}),
        ({"properties": {"a": {}}}, {}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"oneOf": [True, {"type": "integer"}]}, "<it>"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 7}}}, 7),
        ({"$ref": "#/nowhere"}, "<it>"),
        ({"$ref": "#/$defs/x/y", "$defs": {"x": 1}}, "<it>"),
        ({"examples": [], "enum": [], "type": "integer"}, 0),
    ],
)
def test_an_example_is_the_smallest_that_fits(schema: dict[str, Any] | None, expected: object) -> None:
    assert example_of(schema, placeholder="<it>") == expected


def test_parts_of_all_of_are_worked_into_one() -> None:
    schema = {
        "required": ["a"],
        "properties": {"a": {"type": "integer"}},
        "allOf": [{"required": ["b"], "properties": {"b": {"const": 2}}}, {"type": "object"}],
    }
    assert example_of(schema, placeholder="p") == {"a": 0, "b": 2}


def test_a_schema_that_refers_to_itself_without_end_still_gives_something() -> None:
    schema = {"$ref": "#"}
    assert example_of(schema, placeholder="p") == "p"


SIMPLE = st.one_of(
    st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(-50, 50)),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-50, 50)),
    st.builds(
        lambda a, b: {"type": "string", "minLength": min(a, b), "maxLength": max(a, b)}, *[st.integers(0, 9)] * 2
    ),
    st.just({"type": "boolean"}),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers(), min_size=1, unique=True)),
)
SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda item, count: {"type": "array", "items": item, "minItems": count}, inner, st.integers(0, 3)),
        st.builds(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts)},
            st.dictionaries(st.sampled_from("abc"), inner),
        ),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_an_example_fits_its_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(example_of(schema, placeholder="<key by agent>"))


@pytest.mark.parametrize(
    "pattern",
    [
        "^a+$",
        "^[^@]+@[^@]+$",
        r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$",
        r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$",
        r"^(feat|fix)(\([a-z]+\))?: .+$",
        r"^x{3,5}\d$",
        r"^\S+\s\D\W$",
        "^[^a]b|c$",
        "needle",
        r"^[\w-]{8}-[^\d]$",
        "^[é-ü]$",
        "^(ab?){2}.$",
    ],
)
def test_a_text_is_made_up_that_the_pattern_matches(pattern: str) -> None:
    made = example_of({"type": "string", "pattern": pattern}, placeholder="<x by y>")
    assert found_in(pattern, made)


@pytest.mark.parametrize("pattern", ["(", r"\p{Lu}{40}", r"^\p{L}$", "^$b"])
def test_a_pattern_for_which_nothing_is_found_leaves_the_placeholder(pattern: str) -> None:
    assert example_of({"type": "string", "pattern": pattern}, placeholder="<x by y>") == "<x by y>"
