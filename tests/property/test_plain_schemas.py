"""The law of plain schemas: what is said of one without the library is what the library says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError

from engine.json.plain_schemas import is_plain, surely_conforms

TYPES = ["object", "array", "string", "boolean", "integer", "number", "null"]
NAMES = ["a", "b", "c"]
scalars = st.sampled_from([None, True, False, 0, 1, 2, -1, 0.5, "", "a", "bb"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
sizes = st.integers(0, 3)


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True),
            "enum": st.lists(st.sampled_from([None, True, "a", ""]), max_size=3),
            "const": st.sampled_from([None, False, "bb"]),
            "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "title": st.just("words"),
            "description": st.just("words"),
            "minimum": st.sampled_from([-1, 0, 1.5]),
            "maximum": st.sampled_from([0, 1, 2]),
        }
        | dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"), sizes),
    )


schemas = st.recursive(st.booleans(), keywords, max_leaves=6)


@given(schemas, values)
def test_a_plain_schema_says_of_a_value_what_the_library_says(schema: Any, value: Any) -> None:  # noqa: ANN401 - JSON
    assert is_plain(schema)
    assert surely_conforms(schema, value) == Draft202012Validator(schema).is_valid(value)


WORDS = ["type", "enum", "const", "required", "properties", "additionalProperties", "items", "title"]
WORDS += ["minimum", "maxItems", "minLength", "maxProperties", "pattern", "$ref", "anyOf"]
anything = st.recursive(
    scalars | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(WORDS), anything, max_size=3))
def test_what_the_library_refuses_is_not_plain(schema: Any) -> None:  # noqa: ANN401 - JSON
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        assert not is_plain(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": []},
        {"type": ["null", 1]},
        {"type": ["null", "null"]},
        {"type": {}},
        {"enum": "a"},
        {"enum": [1]},
        {"enum": [["a"]]},
        {"const": {}},
        {"required": "a"},
        {"required": ["a", 1]},
        {"required": ["a", "a"]},
        {"properties": []},
        {"properties": {"a": 1}},
        {"properties": {"a": {"pattern": "a"}}},
        {"items": [True]},
        {"items": {"$ref": "#"}},
        {"maxItems": 1.0},
        {"maxItems": True},
        {"maxItems": -1},
        {"minimum": True},
        {"title": 1},
        {"format": "email"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
    ],
)
def test_what_is_invalid_or_takes_more_to_check_is_not_plain(schema: Any) -> None:  # noqa: ANN401 - JSON
    assert not is_plain(schema)


@pytest.mark.parametrize("value", [1.0, (1,), {1}])
def test_a_value_of_a_doubtful_type_is_left_to_the_library(value: object) -> None:
    assert not surely_conforms({"type": ["integer", "array"]}, value)
