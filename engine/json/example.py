"""Makes up the smallest value that fits a JSON Schema, for simulated runs.

Pure and deterministic. It knows the common keywords; for `not`, and for patterns whose parts depend on each other,
it returns its best guess.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from engine.json.patterns import found_in, pattern_problem

_DEEPEST = 32
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example_of(schema: Mapping[str, Any] | bool | None, *, placeholder: str) -> Any:  # noqa: ANN401, FBT001 -- any JSON
    """A value for *schema*; *placeholder* if it allows text.

    Booleans are true: a made-up false would read as a failed check (SPEC 3).
    """
    return _example(schema, schema if isinstance(schema, Mapping) else {}, placeholder, 0)


def _example(schema: object, root: Mapping[str, Any], placeholder: str, depth: int) -> Any:  # noqa: ANN401
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return placeholder
    if "const" in schema:
        return schema["const"]
    if "default" in schema:
        return schema["default"]
    for key in ("examples", "enum"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices:
            return choices[0]
    combined = _combined(schema, root)
    if combined is not schema:
        return _example(combined, root, placeholder, depth + 1)
    return _of_type(schema, root, placeholder, depth)


def _combined(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """*schema* merged with its reference, or with the first of its alternatives; unchanged without either."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _merged(_without(schema, "$ref"), _target(reference, root))
    for key in ("allOf", "anyOf", "oneOf"):
        parts = schema.get(key)
        if isinstance(parts, list):
            chosen = parts if key == "allOf" else parts[:1]
            merged = _without(schema, key)
            for part in chosen:
                merged = _merged(merged, part if isinstance(part, Mapping) else {})
            return merged
    return schema


def _without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    for key in ("properties", "$defs", "definitions"):
        if isinstance(one.get(key), Mapping) and isinstance(other.get(key), Mapping):
            merged[key] = {**one[key], **other[key]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        merged["required"] = [*one["required"], *other["required"]]
    return merged


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: object = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any], placeholder: str, depth: int) -> Any:  # noqa: ANN401
    match _type_of(schema):
        case "object":
            return _object(schema, root, placeholder, depth)
        case "array":
            return _array(schema, root, placeholder, depth)
        case "integer":
            return math.ceil(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema, placeholder)


def _type_of(schema: Mapping[str, Any]) -> str:
    given = schema.get("type")
    if isinstance(given, list):
        given = next((name for name in given if name != "null"), "null")
    if isinstance(given, str):
        return given
    for keys, name in (
        (("properties", "required", "additionalProperties"), "object"),
        (("items", "prefixItems", "minItems"), "array"),
        (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    ):
        if any(key in schema for key in keys):
            return name
    return "string"


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], placeholder: str, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    return {name: _example(known.get(name), root, placeholder, depth + 1) for name in names}


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], placeholder: str, depth: int) -> list[Any]:
    prefix = schema.get("prefixItems")
    first = list(prefix) if isinstance(prefix, list) else []
    shortest = schema.get("minItems")
    count = min(shortest, 1000) if isinstance(shortest, int) else 0
    parts = (first + [schema.get("items")] * count)[:count]
    unique = schema.get("uniqueItems") is True
    return [
        _example(part, root, f"{placeholder} {index}" if unique and index else placeholder, depth + 1)
        for index, part in enumerate(parts)
    ]


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    """The number nearest to zero that the limits allow."""
    value: float = 0
    lowest, above = _limit(schema, "minimum"), _limit(schema, "exclusiveMinimum")
    highest, below = _limit(schema, "maximum"), _limit(schema, "exclusiveMaximum")
    if lowest is not None and value < lowest:
        value = lowest
    if above is not None and value <= above:
        value = math.floor(above) + 1 if whole or below is None else (above + below) / 2
    if highest is not None and value > highest:
        value = math.floor(highest) if whole else highest
    if below is not None and value >= below:
        value = math.ceil(below) - 1 if whole or above is None else (above + below) / 2
    multiple = _limit(schema, "multipleOf")
    if multiple:
        value = math.ceil(value / multiple) * multiple
    return value


def _limit(schema: Mapping[str, Any], key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(schema: Mapping[str, Any], placeholder: str) -> str:
    text = _FORMATS.get(str(schema.get("format")), placeholder)
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and pattern_problem(pattern) is None and not found_in(pattern, text):
        text = _like(pattern) or text
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    if isinstance(longest, int):
        text = text[: max(longest, 0)]
    if isinstance(shortest, int):
        text = text.ljust(min(shortest, 100_000), ".")
    return text


_LETTERS = "aA0" + string.punctuation + " " + string.printable
_MAX_REPEATED = 1000
_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "DIGIT": str.isdigit,
    "WORD": lambda letter: letter.isalnum() or letter == "_",
    "SPACE": str.isspace,
}


def _like(pattern: str) -> str:
    """A short text that *pattern* matches; empty if none is found."""
    try:
        text = "".join(_written(parser.parse(pattern)))
        return text if found_in(pattern, text) else ""
    except (re.error, RecursionError, OverflowError, ValueError):  # Python reads it differently from RE2
        return ""


def _written(parts: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """The shortest match of each of *parts* of a parsed pattern."""
    for kind, value in parts:
        match str(kind):
            case "LITERAL":
                yield chr(value)
            case "NOT_LITERAL" | "ANY":
                yield "b" if value == ord("a") else "a"
            case "IN":
                yield _member(value)
            case "BRANCH":
                yield from _written(value[1][0])
            case "SUBPATTERN":
                yield from _written(value[3])
            case "MAX_REPEAT" | "MIN_REPEAT":
                yield "".join(_written(value[2])) * min(value[0], _MAX_REPEATED)
            case _:  # an anchor or the like, which matches no character
                pass


def _member(parts: list[tuple[Any, Any]]) -> str:
    """A letter of a character class."""
    negated = str(parts[0][0]) == "NEGATE"
    own = "".join(chr(value if str(kind) == "LITERAL" else value[0]) for kind, value in parts if _begins(kind))
    letters = _LETTERS if negated else own + _LETTERS
    return next((letter for letter in letters if negated != any(_is_in(letter, part) for part in parts)), "a")


def _begins(kind: object) -> bool:
    return str(kind) in {"LITERAL", "RANGE"}


def _is_in(letter: str, part: tuple[Any, Any]) -> bool:
    kind, value = part
    match str(kind):
        case "LITERAL":
            return bool(ord(letter) == value)
        case "RANGE":
            return bool(value[0] <= ord(letter) <= value[1])
        case "CATEGORY":
            name = str(value).removeprefix("CATEGORY_")
            return _CATEGORIES[name.removeprefix("NOT_")](letter) != name.startswith("NOT_")
        case _:
            return False
