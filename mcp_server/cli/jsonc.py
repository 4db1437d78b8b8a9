"""Changes single values of JSON with comments, as editors keep their settings: all else stays as it is, to the byte.

Pure. A text that is not such JSON is refused; so is one with doubled keys, since editors differ in which one counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_DEPTH = 100
_SPACE = re.compile(r"(?:\s|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_INDENT = "    "


class NotJsonc(ValueError):
    """The text is not JSON with comments; its text says where."""


@dataclass(slots=True)
class Part:
    """One value and its place in the text."""

    start: int
    end: int = 0
    value: Any = None
    members: dict[str, Part] = field(default_factory=dict)
    """Of an object, in order; of a list by their places, `0` and so on."""
    comma: bool = False
    """There is a comma after the last of them."""


def parse(text: str) -> Part:
    """The value that is *text*. Raises `NotJsonc`."""
    start = 1 if text.startswith("\ufeff") else 0
    part = _value(text, _skip(text, start), 0)
    if (rest := _skip(text, part.end)) != len(text):
        _refuse(text, rest)
    return part


def with_value(text: str, way: tuple[str, ...], value: object) -> str:
    """*text* with *value* at the keys of *way*; missing objects are added.

    The place behind the last item of a list adds one to it. Raises `NotJsonc`.
    """
    if not text.strip("\ufeff \t\r\n"):
        text += "{}\n"
    part = parse(text)
    for depth, key in enumerate(way):
        if not isinstance(part.value, dict | list):
            _refuse(text, part.start)
        inner = part.members.get(key)
        if inner is None:
            for missing in reversed(way[depth + 1 :]):
                value = {missing: value}
            return _added(text, part, key, value, depth)
        part = inner
    if part.value == value:
        return text
    return text[: part.start] + _written(text, value, len(way)) + text[part.end :]


def _added(text: str, parent: Part, key: str, value: object, depth: int) -> str:
    """*text* with another member at the end of *parent*."""
    line = _line_end(text)
    indent = _unit(text) * (depth + 1)
    name = "" if isinstance(parent.value, list) else f"{json.dumps(key, ensure_ascii=False)}: "
    member = f"{name}{_written(text, value, depth + 1)}"
    close = parent.end - 1
    if not parent.members:
        inside = text[parent.start + 1 : close]
        lead = inside.rstrip() if inside.strip() else ""
        return f"{text[: parent.start + 1]}{lead}{line}{indent}{member}{line}{_unit(text) * depth}{text[close:]}"
    last = [*parent.members.values()][-1]
    comma = "" if parent.comma else ","
    between = text[last.end : close]  # comments behind the last member stay behind it
    tail = f"{line}{_unit(text) * depth}"
    return f"{text[: last.end]}{comma}{between.rstrip()}{line}{indent}{member}{tail}{text[close:]}"


def _written(text: str, value: object, depth: int) -> str:
    """*value* as JSON, indented as in *text* at *depth*."""
    unit = _unit(text)
    lines = json.dumps(value, ensure_ascii=False, indent=unit).split("\n")
    return _line_end(text).join([lines[0], *(unit * depth + line for line in lines[1:])])


def _unit(text: str) -> str:
    found = re.search(r"\n([ \t]+)[\"/}]", text)
    return found[1] if found else _INDENT


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _refuse(text: str, at: int) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    raise NotJsonc(f"it cannot be read at line {line}, column {at - text.rfind(chr(10), 0, at)}")


def _value(text: str, at: int, depth: int) -> Part:
    if depth > MAX_DEPTH:
        _refuse(text, at)
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at, depth)
    if first == "[":
        return _array(text, at, depth)
    found = (_STRING if first == '"' else _SCALAR).match(text, at)
    if found is None:
        _refuse(text, at)
    try:
        return Part(at, found.end(), json.loads(found[0]))
    except ValueError:
        _refuse(text, at)


def _object(text: str, start: int, depth: int) -> Part:
    part = Part(start, value={})
    at = _skip(text, start + 1)
    while text[at : at + 1] != "}":
        found = _STRING.match(text, at)
        if found is None:
            _refuse(text, at)
        key = _value(text, at, depth).value
        colon = _skip(text, found.end())
        if text[colon : colon + 1] != ":" or key in part.members:
            _refuse(text, at)
        member = _value(text, _skip(text, colon + 1), depth + 1)
        part.members[key] = member
        part.value[key] = member.value
        at = _skip(text, member.end)
        part.comma = text[at : at + 1] == ","
        if part.comma:
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            _refuse(text, at)
    part.end = at + 1
    return part


def _array(text: str, start: int, depth: int) -> Part:
    part = Part(start, value=[])
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]":
        item = _value(text, at, depth + 1)
        part.members[str(len(part.value))] = item
        part.value.append(item.value)
        at = _skip(text, item.end)
        part.comma = text[at : at + 1] == ","
        if part.comma:
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            _refuse(text, at)
    part.end = at + 1
    return part
