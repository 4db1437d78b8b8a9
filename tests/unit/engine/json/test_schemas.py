"""Output schemas: which can be used, how a broken value is described, and that nothing runs away or reaches out."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from engine.json.schemas import _checked, check_schema, violation


def definitions(count: int, made: Any) -> dict[str, Any]:  # noqa: ANN401 - a function of a number
    return {f"d{number}": made(number) for number in range(count)}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        {"type": "string", "pattern": "^[a-z]+$", "format": "email"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": False},
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "https://example.org/x",
            "prefixItems": [True],
        },
        {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}},
        {"definitions": {"a/b": {"anyOf": [{}]}}, "properties": {"x": {"$ref": "#/definitions/a~1b/anyOf/0"}}},
        {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}},
        {"enum": [{"$ref": "http://example.org"}]},
        {"$defs": definitions(40, lambda n: {"$ref": f"#/$defs/d{n + 1}"} if n < 39 else {}), "$ref": "#/$defs/d0"},
    ],
)
def test_a_sound_schema_can_be_used(schema: Any) -> None:  # noqa: ANN401 - JSON
    assert check_schema(schema) is None


def negated(schema: dict[str, Any], times: int) -> dict[str, Any]:
    for _ in range(times):
        schema = {"not": schema}
    return schema


NESTED: dict[str, Any] = {}
for _ in range(17):
    NESTED = {"properties": {"a": NESTED}}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "strin"}, "not a valid JSON Schema at /type: 'strin'"),
        ({"required": "a"}, "not a valid JSON Schema at /required"),
        ({"properties": 1}, "not a valid JSON Schema at /properties"),
        ({1: 2}, "the key 1 is not a string"),
        ({"const": float("nan")}, "nan is not a JSON number at /const"),
        (NESTED, "more than 32 levels"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "must name draft-06"),
        ({"$schema": 7}, "must name draft-06"),
        ({"$ref": "http://127.0.0.1:1/x"}, "must stay in this schema"),
        ({"$ref": "other.json"}, "must stay in this schema"),
        ({"$ref": "#anchor"}, "must stay in this schema"),
        ({"$ref": "#/a%25"}, "must stay in this schema"),
        ({"$ref": 1}, "must stay in this schema"),
        ({"$ref": "#/nothing"}, "`$ref` at # points to a missing place: #/nothing"),
        ({"allOf": [{"$ref": "#/allOf/7"}]}, "points to a missing place: #/allOf/7"),
        ({"$ref": "#"}, "refers back to itself"),
        ({"properties": {"child": {"$ref": "#"}}}, "`$ref` at #/properties/child refers back to itself"),
        ({"$dynamicRef": "#x"}, "`$dynamicRef` at / is not supported. Use $ref."),
        ({"$defs": {"a": {"$anchor": "x"}}}, "`$anchor` at /$defs/a"),
        ({"unevaluatedProperties": False}, "Use additionalProperties"),
        ({"items": {"$id": "x"}}, "`$id` at /items: only the whole schema"),
        ({"pattern": "(a"}, "the pattern `(a` at / is not supported: missing )"),
        ({"patternProperties": {"(a": {}}}, "the pattern `(a` at / is not supported"),
        ({"not": {"pattern": "(?=a)"}}, "the pattern `(?=a)` at /not is not supported"),
        ({"x-parts": {"p": {"pattern": "(a"}}, "$ref": "#/x-parts/p"}, "the pattern `(a` at /x-parts/p"),
        (
            {"$defs": definitions(2000, lambda n: {"$ref": f"#/$defs/d{n + 1}"}), "$ref": "#/$defs/d0"},
            "more than 48 levels",
        ),
        (
            {
                "$defs": definitions(30, lambda n: {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} if n < 29 else {}),
                "$ref": "#/$defs/d0",
            },
            "more than 48 levels",
        ),
        (
            {
                "$defs": definitions(14, lambda n: {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} if n < 13 else {}),
                "$ref": "#/$defs/d0",
            },
            "more than 5,000 subschemas",
        ),
        (
            {
                "$defs": definitions(30, lambda n: {"$ref": f"#/$defs/d{n + 1}"} if n < 29 else {}),
                "allOf": [{"$ref": "#/$defs/d0"}],
                "if": negated({"$ref": "#/$defs/d0"}, 20),
            },
            "48 levels",
        ),
    ],
)
def test_a_schema_that_is_wrong_or_unsafe_is_refused_with_the_place(schema: Any, problem: str) -> None:  # noqa: ANN401
    assert problem in str(check_schema(schema))


@pytest.mark.parametrize(
    ("schema", "value", "described"),
    [
        (True, 1, None),
        (False, 1, "no value is allowed"),
        ({"type": "string"}, "x", None),
        ({"type": "string"}, 1, 'expected type "string", found integer'),
        ({"type": "integer"}, True, 'expected type "integer", found boolean'),
        ({"type": "object"}, None, 'expected type "object", found null'),
        ({"minimum": 3}, 2.5, "expected minimum 3, found number"),
        ({"required": ["a", "b", "c"]}, {"b": 1}, 'lacks ["a", "c"]'),
        ({"properties": {"a": False}}, {"a": []}, "no value is allowed"),
        (
            {"properties": {"a/b": {"items": {"enum": [1]}}}},
            {"a/b": [1, 2]},
            "at /a~1b/1: expected enum [1], found integer",
        ),
        ({"pattern": "^a"}, "b", 'expected pattern "^a", found string'),
        ({"pattern": r"^\p{Lu}"}, "É", None),
        ({"pattern": r"^\p{Lu}"}, 1, None),
        ({"pattern": "a$"}, "a\n", 'expected pattern "a$", found string'),
        (
            {"pattern": r"^(?:\p{L}\p{N}?){5}$"},
            "a" * 1_000_000,
            "cannot be checked: a text of 1,000,000 characters is too long for a pattern of this size",
        ),
        (
            {"patternProperties": {r"^\p{Lu}": {"type": "string"}}},
            {"A": 1},
            'at /A: expected type "string", found integer',
        ),
        ({"patternProperties": {r"^\p{Lu}": {"type": "string"}}}, {"a": 1}, None),
        ({"patternProperties": {"a": False}}, ["a"], None),
        (
            {"patternProperties": {r"^\p{Lu}": {}}, "additionalProperties": False},
            {"A": 1, "a": 1},
            "expected additionalProperties false, found object",
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": {"type": "string"}},
            {"a": 1, "b": 1},
            'at /b: expected type "string", found integer',
        ),
        ({"additionalProperties": True}, {"a": 1}, None),
        ({"patternProperties": {"^a": {}}, "additionalProperties": {}}, {"a": 1, "b": 1}, None),
        ({"additionalProperties": False}, [1], None),
        ({"multipleOf": 0.01}, 1.13, None),
        ({"multipleOf": 0.01}, 1.135, "expected multipleOf 0.01, found number"),
        ({"multipleOf": 0.1}, 10**400, None),
        ({"multipleOf": 1e-300}, 1e308, None),
        ({"multipleOf": 2}, 3, "expected multipleOf 2, found integer"),
        ({"multipleOf": 2}, True, None),
        ({"uniqueItems": True}, [1, 2], None),
        ({"uniqueItems": False}, [1, 1], None),
        ({"uniqueItems": True}, "aa", None),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], None),
        (
            {"uniqueItems": True},
            [{"a": [1, 2], "b": 2}, {"b": 2, "a": [1.0, 2]}],
            "expected uniqueItems true, found array",
        ),
        (
            {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}},
            [1, {}],
            'at /1: expected type "integer", found object',
        ),
        ({"enum": ["é"]}, 1, 'expected enum ["é"], found integer'),
        ({"format": "email"}, "no email", None),
    ],
)
def test_a_broken_value_is_described_by_place_and_type_never_by_content(
    schema: Any,  # noqa: ANN401 - JSON
    value: Any,  # noqa: ANN401 - JSON
    described: str | None,
) -> None:
    assert check_schema(schema) is None
    assert violation(schema, value) == described


def test_a_long_schema_is_shown_in_part() -> None:
    described = str(violation({"enum": ["x" * 500]}, 1))
    assert len(described) < 250
    assert "xxx…, found integer" in described


def test_unique_items_of_many_objects_take_no_quadratic_time() -> None:
    items = [{"a": number} for number in range(20_000)]
    assert violation({"uniqueItems": True}, items) is None


@pytest.mark.parametrize(
    ("address", "keyword"),
    [
        ("http://json-schema.org/draft-06/schema#", "items"),
        ("http://json-schema.org/draft-07/schema#", "items"),
        ("http://json-schema.org/draft-07/schema", "items"),
        ("https://json-schema.org/draft-07/schema#", "items"),
        ("https://json-schema.org/draft-07/schema", "items"),
        ("https://json-schema.org/draft/2019-09/schema", "items"),
        ("http://json-schema.org/draft/2020-12/schema", "prefixItems"),
        ("https://json-schema.org/draft/2020-12/schema#", "prefixItems"),
    ],
)
def test_the_draft_that_a_schema_names_is_the_one_it_is_read_by(address: str, keyword: str) -> None:
    schema = {"$schema": address, keyword: [{"type": "string"}]}
    assert check_schema(schema) is None
    assert violation(schema, [1]) == 'at /0: expected type "string", found integer'


def test_a_schema_without_a_draft_is_read_by_the_newest() -> None:
    assert "not a valid JSON Schema at /items" in str(check_schema({"items": [{"type": "string"}]}))


def test_a_schema_is_checked_once_and_its_validator_kept() -> None:
    schema = {"type": "integer"}
    before = _checked.cache_info().hits
    assert check_schema(schema) is check_schema(schema) is None
    assert _checked.cache_info().hits == before + 1
    assert violation(schema, "x") == violation(schema, "y")


def test_equal_schemas_are_different_schemas_to_the_cache() -> None:
    one, other = {"type": "string"}, {"type": "string"}
    assert check_schema(one) is check_schema(other) is None
    other["type"] = "integer"
    assert violation(one, 1) is not None
    assert violation(other, 1) is None


def test_a_plain_schema_is_used_without_the_library() -> None:
    code = (
        "import sys; from engine.json.schemas import check_schema, violation;"
        "schema = {'type': 'object', 'required': ['a'], 'properties': {'a': {'type': 'array', 'maxItems': 2}}};"
        "assert check_schema(schema) is None and violation(schema, {'a': [1, 2]}) is None;"
        "assert 'jsonschema' not in sys.modules;"
        "assert 'maxItems 2' in violation(schema, {'a': [1, 2, 3]})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
