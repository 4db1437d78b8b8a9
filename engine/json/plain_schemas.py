"""JSON Schemas of a dozen simple keywords, checked without the jsonschema library.

Pure. Most schemas of outputs are plain. The library takes longer to import, and to check a large schema against that
of its draft, than all the rest of a short command, so `schemas.py` asks here first. Only a yes counts: otherwise the
library decides, and finds the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, Final

from engine.json.values import is_number

Schema = Mapping[str, Any] | bool

_NAMES: Final[Mapping[type, frozenset[str]]] = {
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
}
"""The names of types in a schema. Whole floats are integers, too, which is left to the library."""
_KNOWN: Final = frozenset().union(*_NAMES.values())
_SCALARS: Final = frozenset({str, bool, type(None)})
"""Types whose values equal only those of the same type."""


def is_plain(schema: Schema) -> bool:
    """Whether *schema* is valid, and has no keyword but those that are known here."""
    if isinstance(schema, bool):
        return True
    return all(keyword in _KEYWORDS and _KEYWORDS[keyword][0](wanted) for keyword, wanted in schema.items())


def surely_conforms(schema: Schema, value: object) -> bool:
    """Whether *value* conforms to the plain *schema*; False may also mean that the library has to say."""
    if isinstance(schema, bool):
        return schema
    known = type(value) in _NAMES
    return known and all(_KEYWORDS[keyword][1](wanted, value, schema) for keyword, wanted in schema.items())


def _names_types(wanted: object) -> bool:
    return _known(wanted) or (isinstance(wanted, list) and wanted != [] and all(map(_known, wanted)) and _once(wanted))


def _known(name: object) -> bool:
    return isinstance(name, str) and name in _KNOWN


def _has_type(wanted: str | list[str], value: object, _schema: object) -> bool:
    return not _NAMES[type(value)].isdisjoint([wanted] if isinstance(wanted, str) else wanted)


def _is_choice(wanted: object) -> bool:
    return isinstance(wanted, list) and all(map(_is_scalar, wanted))


def _is_scalar(wanted: object) -> bool:
    return type(wanted) in _SCALARS


def _is_chosen(wanted: list[object], value: object, _schema: object) -> bool:
    return any(_is_same(one, value, _schema) for one in wanted)


def _is_same(wanted: object, value: object, _schema: object) -> bool:
    return type(value) is type(wanted) and value == wanted


def _names_keys(wanted: object) -> bool:
    return isinstance(wanted, list) and all(isinstance(name, str) for name in wanted) and _once(wanted)


def _once(names: list[str]) -> bool:
    return len(set(names)) == len(names)


def _has_keys(wanted: list[str], value: object, _schema: object) -> bool:
    return not isinstance(value, dict) or all(name in value for name in wanted)


def _is_schema(wanted: object) -> bool:
    return isinstance(wanted, bool | dict) and is_plain(wanted)


def _are_schemas(wanted: object) -> bool:
    return isinstance(wanted, dict) and all(map(_is_schema, wanted.values()))


def _properties(wanted: Mapping[str, Schema], value: object, _schema: object) -> bool:
    return not isinstance(value, dict) or all(
        surely_conforms(wanted[key], item) for key, item in value.items() if key in wanted
    )


def _others(wanted: Schema, value: object, schema: Mapping[str, Any]) -> bool:
    named = schema.get("properties", ())
    return not isinstance(value, dict) or all(
        surely_conforms(wanted, item) for key, item in value.items() if key not in named
    )


def _items(wanted: Schema, value: object, _schema: object) -> bool:
    return not isinstance(value, list) or all(surely_conforms(wanted, item) for item in value)


def _is_count(wanted: object) -> bool:
    return type(wanted) is int and wanted >= 0


def _is_text(wanted: object) -> bool:
    return isinstance(wanted, str)


def _says_nothing(_wanted: object, _value: object, _schema: object) -> bool:
    return True


def _at_least(measured: type[Sized]) -> _Holds:
    return lambda wanted, value, _schema: not isinstance(value, measured) or len(value) >= wanted


def _at_most(measured: type[Sized]) -> _Holds:
    return lambda wanted, value, _schema: not isinstance(value, measured) or len(value) <= wanted


_Holds = Callable[[Any, Any, Mapping[str, Any]], bool]

_KEYWORDS: Final[Mapping[str, tuple[Callable[[object], bool], _Holds]]] = {
    "additionalProperties": (_is_schema, _others),
    "const": (_is_scalar, _is_same),
    "description": (_is_text, _says_nothing),
    "enum": (_is_choice, _is_chosen),
    "items": (_is_schema, _items),
    "maximum": (is_number, lambda wanted, value, _schema: not is_number(value) or value <= wanted),
    "maxItems": (_is_count, _at_most(list)),
    "maxLength": (_is_count, _at_most(str)),
    "maxProperties": (_is_count, _at_most(dict)),
    "minimum": (is_number, lambda wanted, value, _schema: not is_number(value) or value >= wanted),
    "minItems": (_is_count, _at_least(list)),
    "minLength": (_is_count, _at_least(str)),
    "minProperties": (_is_count, _at_least(dict)),
    "properties": (_are_schemas, _properties),
    "required": (_names_keys, _has_keys),
    "title": (_is_text, _says_nothing),
    "type": (_names_types, _has_type),
}
"""For each keyword, whether what a schema wants is valid, and whether a value meets it."""
