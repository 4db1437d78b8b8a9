"""JSON Schemas of outputs: which of them are safe to use, and whether a value conforms to one.

Pure. The jsonschema library validates what is not plain (`plain_schemas.py`); this module bounds its work, because both
the schema and the value may be hostile, and never lets it reach the network. `format` is only an annotation, the
default of the standard.

Refused at plan time: a `$ref` that leaves the schema or refers back to itself, an expansion of more than 5,000
subschemas, unevaluated and dynamic keywords, and patterns that are not matched in linear time (`patterns.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from engine.json.patterns import pattern_problem
from engine.json.plain_schemas import is_plain, surely_conforms
from engine.json.values import json_problem, pointer
from engine.text.cut import cut

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Schema = Mapping[str, Any] | bool

MAX_DEPTH: Final = 32
"""Nesting of objects and lists."""
MAX_EXPANSION: Final = 5_000
"""Subschemas once every `$ref` is replaced by its target."""
MAX_LEVELS: Final = 48
"""Nesting of subschemas, counted the same way: the library recurses for each."""

MAX_SHOWN: Final = 200
"""Characters of a schema that a message shows."""

_ONE = frozenset(
    {"additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
_LISTED = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED = frozenset({"dependencies", "dependentSchemas", "patternProperties", "properties"})
_DEFINITIONS = frozenset({"$defs", "definitions"})
_LOCAL = re.compile(r"#(?:/[^%#]*)?")
"""A reference within the schema; one with percent signs would be ambiguous."""
_DRAFTS = re.compile(r"https?://(?P<path>json-schema\.org/(?P<draft>draft-0[67]|draft/20(?:19-09|20-12))/schema)#?")
_REFUSED: Final = {
    "$anchor": "Name the place by a JSON Pointer, as in #/$defs/item.",
    "$dynamicAnchor": "Name the place by a JSON Pointer, as in #/$defs/item.",
    "$dynamicRef": "Use $ref.",
    "$recursiveAnchor": "Use $ref.",
    "$recursiveRef": "Use $ref.",
    "unevaluatedItems": "Use items or additionalItems.",
    "unevaluatedProperties": "Use additionalProperties.",
}


class _Unusable(Exception):
    """Why a schema cannot be used."""


def check_schema(schema: Schema) -> str | None:
    """Why *schema* cannot be used, with the place and a way out; None if it can.

    Cached for each schema object, which must not be changed afterwards.
    """
    return None if isinstance(schema, bool) else _checked(_Same(schema))


def violation(schema: Schema, value: Any) -> str | None:  # noqa: ANN401 - JSON
    """Where and how *value* violates *schema*, which `check_schema` has accepted; None if it does not."""
    if isinstance(schema, bool):
        return None if schema else "no value is allowed"
    key = _Same(schema)
    if _plain(key) and surely_conforms(schema, value):
        return None
    try:
        error = next(_validator(key).iter_errors(value), None)
    except OverflowError as too_long:
        return f"cannot be checked: {too_long}"
    return None if error is None else _describe(error)


class _Same:
    """A schema as a cache key: by identity, and kept alive so that no other object gets the same id."""

    __slots__ = ("schema",)

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


# --- is it safe ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _checked(key: _Same) -> str | None:
    schema = key.schema
    problem = json_problem(schema)
    if problem is not None:
        return problem
    if _depth(schema) > MAX_DEPTH:
        return f"more than {MAX_DEPTH} levels"
    draft = schema.get("$schema")
    if draft is not None and not (isinstance(draft, str) and _DRAFTS.fullmatch(draft)):
        return "`$schema` must name draft-06, draft-07, 2019-09 or 2020-12 of json-schema.org"
    try:
        _refuse_unsafe(schema, ())
        _Expansion(schema).measure("#", schema, 1)
        if not _plain(key):
            _refuse_invalid(schema)
    except _Unusable as error:
        return str(error)
    return None


@lru_cache(maxsize=512)
def _plain(key: _Same) -> bool:
    return is_plain(key.schema)


def _depth(value: object) -> int:
    """Levels of lists and objects in *value*."""
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def _subschemas(schema: Mapping[str, Any], *, definitions: bool) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The direct subschemas of *schema*, each with its path."""
    for keyword, value in schema.items():
        if isinstance(value, Mapping):
            if keyword in _NAMED or (definitions and keyword in _DEFINITIONS):
                yield from (((keyword, name), item) for name, item in value.items())
            elif keyword in _ONE:
                yield (keyword,), value
        elif isinstance(value, list) and keyword in _LISTED:
            yield from (((keyword, place), item) for place, item in enumerate(value))


def _refuse_unsafe(schema: object, path: tuple[str | int, ...]) -> None:
    """Raise at a keyword or a pattern of *schema* that could take too long or load something."""
    if not isinstance(schema, Mapping):
        return
    where = pointer(path) or "/"
    for keyword, way_out in _REFUSED.items():
        if keyword in schema:
            message = f"`{keyword}` at {where} is not supported. {way_out}"
            raise _Unusable(message)
    if path and "$id" in schema:
        message = f"`$id` at {where}: only the whole schema may have one"
        raise _Unusable(message)
    named = schema.get("patternProperties")
    for pattern in [schema.get("pattern"), *(named if isinstance(named, Mapping) else ())]:
        problem = pattern_problem(pattern) if isinstance(pattern, str) else None
        if problem is not None:
            message = f"the pattern `{pattern[:80]}` at {where} {problem}"
            raise _Unusable(message)
    for step, subschema in _subschemas(schema, definitions=True):
        _refuse_unsafe(subschema, (*path, *step))


class _Expansion:
    """Measures the size of a schema with every reference replaced."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.known: dict[str, tuple[int, int] | None] = {}
        """Size and levels of the targets of references; None while being measured, which reveals a cycle."""

    def measure(self, where: str, schema: object, level: int) -> tuple[int, int]:
        """The number of subschemas of *schema*, found at *where*, and their levels."""
        if level > MAX_LEVELS:
            message = f"more than {MAX_LEVELS} levels of subschemas once every $ref is replaced"
            raise _Unusable(message)
        size = levels = 1
        for part, below in self.parts(where, schema, level + 1):
            size += part
            levels = max(levels, 1 + below)
        if size > MAX_EXPANSION or level + levels > MAX_LEVELS + 1:
            message = f"more than {MAX_EXPANSION:,} subschemas, or {MAX_LEVELS} levels, once every $ref is replaced"
            raise _Unusable(message)
        return size, levels

    def parts(self, where: str, schema: object, level: int) -> Iterator[tuple[int, int]]:
        """The measures of the target and of the direct subschemas of *schema*."""
        if not isinstance(schema, Mapping):
            return
        if "$ref" in schema:
            yield self.referred(schema["$ref"], where, level)
        for step, subschema in _subschemas(schema, definitions=False):
            yield self.measure(where + pointer(step), subschema, level)

    def referred(self, reference: object, where: str, level: int) -> tuple[int, int]:
        """The measure of the target of *reference*, found at *where*."""
        if not isinstance(reference, str) or not _LOCAL.fullmatch(reference):
            message = f"`$ref` at {where} must stay in this schema, as in #/$defs/item"
            raise _Unusable(message)
        if reference not in self.known:
            self.known[reference] = None
            target = self.resolve(reference, where)
            _refuse_unsafe(target, tuple(reference.split("/")[1:]))
            self.known[reference] = self.measure(reference, target, level)
        measured = self.known[reference]
        if measured is None:
            message = f"`$ref` at {where} refers back to itself, so checking it may never end"
            raise _Unusable(message)
        return measured

    def resolve(self, reference: str, where: str) -> object:
        """The target of *reference*."""
        place: Any = self.root
        for part in reference[2:].split("/") if reference != "#" else ():
            step = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
                place = place[int(step)]
            elif isinstance(place, Mapping) and step in place:
                place = place[step]
            else:
                message = f"`$ref` at {where} points to a missing place: {reference}"
                raise _Unusable(message)
        return place


def _refuse_invalid(schema: Mapping[str, Any]) -> None:
    """Raise if *schema* is not a valid JSON Schema of its draft."""
    from jsonschema import FormatChecker, SchemaError  # noqa: PLC0415 - 90 ms that few schemas need

    try:
        # Formats are left out: "regex" would mean Python's `re`, which is not used for matching.
        validator: Any = _validator_class(schema.get("$schema"))
        validator.check_schema(dict(schema), format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        place = pointer(error.absolute_path)
        message = f"it is not a valid JSON Schema{' at ' + place if place else ''}: {cut(error.message, MAX_SHOWN)}"
        raise _Unusable(message) from None


# --- checking values -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _validator(key: _Same) -> Validator:
    from referencing import Registry  # noqa: PLC0415 - see _refuse_invalid

    # An empty registry knows no other schema and fetches none; the default one uses the network.
    return _validator_class(key.schema.get("$schema"))(key.schema, registry=Registry())


@lru_cache(maxsize=16)
def _validator_class(draft: object) -> type[Validator]:
    """The library's validator of *draft* (default: 2020-12) with our own keywords."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - see _refuse_invalid

    from engine.json.schema_keywords import KEYWORDS  # noqa: PLC0415 - it imports the library

    named = _DRAFTS.fullmatch(draft) if isinstance(draft, str) else None
    identity = ""
    if named is not None:  # the library knows each draft by only one address
        old = named["draft"].startswith("draft-0")
        identity = f"http://{named['path']}#" if old else f"https://{named['path']}"
    base = validators.validator_for({"$schema": identity} if identity else {}, default=Draft202012Validator)
    extended: type[Validator] = validators.extend(base, KEYWORDS)  # type: ignore[no-untyped-call]
    return extended


def _describe(error: ValidationError) -> str:
    """The place, the expectation and the actual type; never the value, which may be long or a secret."""
    where = pointer(error.absolute_path)
    place = f"at {where}: " if where else ""
    wanted: Any = error.validator_value
    instance: Any = error.instance
    keyword: Any = error.validator  # none for the schema `false`
    if keyword == "required":
        lacking = [key for key in wanted if key not in instance]
        return f"{place}lacks {json.dumps(lacking, ensure_ascii=False)}"
    if keyword is None:
        return f"{place}no value is allowed"
    expected = cut(json.dumps(wanted, ensure_ascii=False), MAX_SHOWN)
    return f"{place}expected {keyword} {expected}, found {_type(instance)}"


def _type(value: object) -> str:
    """The JSON Schema type of *value*."""
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "integer", float: "number"}
    return names.get(type(value), "null")
