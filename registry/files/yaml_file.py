"""Reads a command in YAML as a JSON value: YAML 1.2, core schema, without features that JSON lacks.

Pure. `json_file` checks sizes and encoding. `on` and `yes` are text here, as in YAML 1.2; aliases, tags, merge keys
and multiple documents are refused, so that the value is exactly what is written and a small file stays small.

libyaml parses, through PyYAML, which knows lines and columns; the meaning of scalars is decided here,
since PyYAML follows the rules of YAML 1.1.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import InputError
from registry.files.json_file import MAX_DEPTH, MAX_INTEGER, check_strings

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = frozenset({".yaml", ".yml"})

Place = tuple[int, int]
"""Line and column, both from 1."""
Way = tuple[str | int, ...]
"""Keys and indexes from the top of the file."""

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_NUMBER_LENGTH = 40
"""Maximum length of an integer: Python takes quadratic time for a long run of digits."""


def parse(text: str, *, name: str = "file") -> object:
    """The value of *text*.

    Raises `InputError` (INVALID_YAML, DUPLICATE_KEY, TOO_DEEP, NUMBER_TOO_LARGE) with line and column.
    """
    builder = _Builder(name)
    for event in _events(text, name):
        builder.take(event)
    check_strings(builder.root, name)
    return builder.root


def as_mapping(value: object, *, name: str = "file") -> dict[str, Any]:
    """*value* if it is a mapping, as every command is. Raises `InputError` (INVALID_YAML)."""
    if isinstance(value, dict):
        return value
    what = (
        "is empty" if value is None else f"holds {'a list' if isinstance(value, list) else 'one value'}, not a mapping"
    )
    hint = 'Start a command with version: "2.0.0" and, in the next line, name: /….'
    raise InputError(f'"{name}" {what}', code="INVALID_YAML", hint=hint)


def places(text: str) -> dict[Way, Place]:
    """The place of each part of *text*, which `parse` has accepted: a field at its key, an item at its start."""
    builder = _Builder("file")
    for event in _events(text, "file"):
        builder.take(event)
    return builder.places


def _events(text: str, name: str) -> Iterator[Any]:
    import yaml  # noqa: PLC0415 - costs 10 ms, which only projects with such files pay

    try:
        # An installation without libyaml has no C loader; the events are the same.
        yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line, column = _place(error.problem_mark or error.context_mark)
        message = f'"{name}" is not valid YAML: line {line}, column {column}: {error.problem or error.context}'
        raise InputError(message, code="INVALID_YAML", hint=_hint(error, text, line)) from None
    except yaml.YAMLError as error:
        message = f'"{name}" is not valid YAML: {str(error).splitlines()[0]}'
        raise InputError(message, code="INVALID_YAML", hint="Remove everything that is not text.") from None


def _hint(error: Any, text: str, line: int) -> str:  # noqa: ANN401 - an error of PyYAML, which is not imported yet
    """A hint about an *error* in *line*; both loaders name what they were reading in the same words."""
    row = "".join(text.splitlines()[line - 1 : line])
    reads = error.context or ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return "Indent with spaces; YAML takes no tabs there."
    if reads == "while scanning a quoted scalar":
        return f"Close the quote that opens in line {_place(error.context_mark)[0]}."
    if reads == "while scanning for the next token":
        return "Put quotes around text that begins with @, ` or %."
    if reads.startswith("while parsing a block"):
        return "Indent the line as those that it belongs to, or put quotes around the whole text."
    return "Put quotes around text with : # [ ] or { }."


def _place(mark: Any) -> Place:  # noqa: ANN401 - PyYAML's two loaders have marks of different types
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


class _Builder:
    """Builds the value from the events, one after the other; no recursion, however deep the text is nested."""

    def __init__(self, name: str) -> None:
        self.root: Any = None
        self.places: dict[Way, Place] = {}
        self._name = name
        self._documents = 0
        self._open: list[list[Any] | dict[str, Any]] = []
        self._way: list[str | int] = []
        """For each open container: the index or key of its latest entry."""
        self._wants_key: list[bool] = []
        """For each open container: whether the next scalar is a key."""

    def take(self, event: Any) -> None:  # noqa: ANN401 - see _place
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._refuse(event, "a second document starts", "Write one command per file.")
        elif kind == "AliasEvent":
            self._refuse(event, f"*{event.anchor} repeats a value", "Write the value itself instead of the alias.")
        elif kind == "ScalarEvent":
            self._scalar(event)
        elif kind in {"SequenceStartEvent", "MappingStartEvent"}:
            self._begin(event, [] if kind == "SequenceStartEvent" else {})
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            for column in (self._open, self._way, self._wants_key):
                column.pop()

    def _begin(self, event: Any, container: list[Any] | dict[str, Any]) -> None:  # noqa: ANN401
        self._refuse_extras(event)
        if self._wants_key and self._wants_key[-1]:
            self._refuse(event, "a key is a list or a mapping", "Write keys as text.")
        self._add(event, container)
        if len(self._open) == MAX_DEPTH:
            line, column = _place(event.start_mark)
            message = f'"{self._name}" is nested deeper than {MAX_DEPTH} levels at line {line}, column {column}'
            raise InputError(message, code="TOO_DEEP", hint="Flatten it: a command needs about ten levels.")
        is_list = isinstance(container, list)
        self._open.append(container)
        self._way.append(-1 if is_list else "")
        self._wants_key.append(not is_list)

    def _scalar(self, event: Any) -> None:  # noqa: ANN401
        self._refuse_extras(event)
        if self._wants_key and self._wants_key[-1]:
            self._key(event)
        else:
            self._add(event, self._meaning(event) if event.implicit[0] else event.value)

    def _key(self, event: Any) -> None:  # noqa: ANN401
        key = event.value
        if key == "<<" and event.implicit[0]:
            self._refuse(event, "<< merges other fields in", "Write the fields themselves.")
        if key in self._open[-1]:
            line, column = _place(event.start_mark)
            message = f'"{self._name}" has the key "{key}" twice in one mapping: line {line}, column {column}'
            raise InputError(message, code="DUPLICATE_KEY", hint="Keep one of the two.")
        self._way[-1] = key
        self._wants_key[-1] = False
        self._mark(event)

    def _add(self, event: Any, value: object) -> None:  # noqa: ANN401
        if not self._open:
            self.root = value
            return
        container = self._open[-1]
        if isinstance(container, list):
            self._way[-1] = len(container)
            self._mark(event)
            container.append(value)
        else:
            container[str(self._way[-1])] = value
            self._wants_key[-1] = True

    def _mark(self, event: Any) -> None:  # noqa: ANN401
        self.places[tuple(self._way)] = _place(event.start_mark)

    def _meaning(self, event: Any) -> object:  # noqa: ANN401
        """The value of a plain scalar in the core schema of YAML 1.2."""
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if _NO_JSON.fullmatch(text):
            self._refuse(event, f"{text} is not a JSON number", "Use null, a number, or a text in quotes.")
        if _INTEGER.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            if len(text) <= _MAX_NUMBER_LENGTH and abs(number := int(text, base)) <= MAX_INTEGER:
                return number
        elif not _FLOAT.fullmatch(text):
            return text
        elif math.isfinite(value := float(text)):
            return value
        line, column = _place(event.start_mark)
        message = f'"{self._name}" has a number that is too large: line {line}, column {column}'
        raise InputError(message, code="NUMBER_TOO_LARGE", hint="Numbers go up to 9223372036854775807; use a text.")

    def _refuse_extras(self, event: Any) -> None:  # noqa: ANN401
        if event.tag not in {None, "!"}:
            self._refuse(event, f"the tag {event.tag} is not supported", "Leave it out; put text in quotes.")
        if event.anchor is not None:
            self._refuse(
                event, f"&{event.anchor} names a value for aliases", "Leave it out; aliases are not supported."
            )

    def _refuse(self, event: Any, what: str, hint: str) -> NoReturn:  # noqa: ANN401
        line, column = _place(event.start_mark)
        message = f'"{self._name}" cannot be read: line {line}, column {column}: {what}'
        raise InputError(message, code="INVALID_YAML", hint=hint)
