"""Keywords of JSON Schema that we check differently from the jsonschema library.

Pure. `uniqueItems` without quadratic time, `multipleOf` of decimal numbers as written, and the three keywords that
match patterns, by `engine.json.patterns`. Only the existence and place of an error count: `schemas.py` writes the
message. Importing this imports the library, which takes some 90 ms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from jsonschema import ValidationError

from engine.json.patterns import found_in
from engine.json.values import is_number

_Errors = Iterator[ValidationError]
_Schema = Mapping[str, Any] | bool
_Validator = Any
"""The library's validators; its Protocol lacks `descend`, which keywords are supposed to call."""


def _unique_items(_validator: _Validator, wanted: object, value: object, _schema: object) -> _Errors:
    if wanted and isinstance(value, list) and len({_canonical(item) for item in value}) < len(value):
        yield ValidationError("")


def _multiple_of(_validator: _Validator, step: float, value: object, _schema: object) -> _Errors:
    if is_number(value) and (_exact(value) / _exact(step)).denominator != 1:
        yield ValidationError("")


def _pattern(_validator: _Validator, wanted: str, value: object, _schema: object) -> _Errors:
    if isinstance(value, str) and not found_in(wanted, value):
        yield ValidationError("")


def _pattern_properties(validator: _Validator, wanted: Mapping[str, Any], value: object, _schema: object) -> _Errors:
    for key, item in value.items() if isinstance(value, Mapping) else ():
        for pattern, subschema in wanted.items():
            if found_in(pattern, key):
                yield from validator.descend(item, subschema, path=key, schema_path=pattern)


def _additional_properties(validator: _Validator, wanted: _Schema, value: object, schema: Mapping[str, Any]) -> _Errors:
    named, patterns = schema.get("properties", ()), schema.get("patternProperties", ())
    for key, item in value.items() if isinstance(value, Mapping) else ():
        if key in named or any(found_in(pattern, key) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError("")
        else:
            yield from validator.descend(item, wanted, path=key)


KEYWORDS: Final = {
    "additionalProperties": _additional_properties,
    "multipleOf": _multiple_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}


def _exact(number: Any) -> Fraction:  # noqa: ANN401 - a JSON number
    """*number* as written: 0.1 is a tenth, not the nearest binary fraction."""
    return Fraction(number if isinstance(number, int) else repr(number))


def _canonical(value: object) -> str:
    """The same text for equal JSON values: keys sorted, 1.0 as 1."""
    return json.dumps(_integral(value), sort_keys=True)


def _integral(value: object) -> object:
    """*value* with whole floats as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_integral(item) for item in value]
    if isinstance(value, dict):
        return {key: _integral(item) for key, item in value.items()}
    return value
