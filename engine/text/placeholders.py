"""Placeholders in texts: `${file.path}` stands for a value, `$ARGUMENTS` for the argument text.

Pure. A text is filled in one pass: nothing that was put in is looked into again. Only the names that are passed are
placeholders; any other `${HOME}` stays as it is. `$${file}` is the text `${file}`, and `$${file:-none}` is
`${file:-none}`: what begins like a placeholder of a name, and is none, can be written in the same way.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

ARGUMENTS = "$ARGUMENTS"
MAX_LENGTH = 20_000
"""Characters of a filled text."""
_TOKEN = re.compile(
    r"(?P<twice>\$?)\$\{(?P<name>[A-Za-z_]\w*)(?P<path>(?:\.[A-Za-z_]\w*|\[\d{1,6}\])*)\}"
    r"|\$ARGUMENTS"
    r"|(?P<again>\$?)\$\{\s*(?P<like>[A-Za-z_]\w*)"
)
"""A placeholder, or what begins like one: `${file.a-b}` has no path that could be followed."""
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def names_in(text: str) -> Iterator[str]:
    """The names at the beginning of all placeholders of *text*, whatever they stand for."""
    return (found["name"] for found in _TOKEN.finditer(text) if found["name"] and not found["twice"])


def malformed(text: str) -> Iterator[tuple[str, str]]:
    """The name in each part of *text* that begins like a placeholder and is none, and the part itself."""
    for found in _TOKEN.finditer(text):
        if found["like"] and not found["again"]:
            yield found["like"], text[found.start() : text.find("}", found.end()) + 1 or found.end()]


def has_any(text: str, names: Collection[str]) -> bool:
    """Whether `fill` with *names* can change *text*."""
    return bool(names) and any((found["name"] or found["like"]) in names for found in _TOKEN.finditer(text))


def fill(text: str, names: Collection[str], value_of: Callable[[str], Any], arguments: str) -> str:
    """*text* with the values of *names*, and with *arguments*.

    A text goes in with its control characters and line breaks as spaces, anything else as compact JSON. Raises
    `InputError`: PLACEHOLDER_MISSING for a member that is not there, PLACEHOLDER_TOO_LONG.
    """
    if "$" not in text:
        return text

    def put(found: re.Match[str]) -> str:
        fixed = _fixed(found, names, arguments)
        if fixed is not None:
            return fixed
        value = _follow(value_of(found["name"]), found["path"], found[0])
        return (
            _CONTROL.sub(" ", value)
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        )

    filled = _TOKEN.sub(put, text)
    if len(filled) > MAX_LENGTH and len(text) <= MAX_LENGTH:
        message = f"With its placeholders filled in, the text has {len(filled)} characters, more than {MAX_LENGTH}"
        raise InputError(message, code="PLACEHOLDER_TOO_LONG", hint="Name a part of the item, such as ${item.path}.")
    return filled


def describe(text: str, names: Collection[str], known: Callable[[str, str], str], arguments: str) -> str:
    """*text* as `fill` would make it, with what *known* returns for each name and its path, such as `.path`."""
    if "$" not in text:
        return text

    def put(found: re.Match[str]) -> str:
        fixed = _fixed(found, names, arguments)
        return _CONTROL.sub(" ", known(found["name"], found["path"])) if fixed is None else fixed

    return _TOKEN.sub(put, text)


def _fixed(found: re.Match[str], names: Collection[str], arguments: str) -> str | None:
    """The text of *found* that needs no value; None for a placeholder of one of *names*."""
    if found[0] == ARGUMENTS:
        return arguments
    if (found["name"] or found["like"]) not in names:
        return found[0]
    if found["twice"] or found["again"]:
        return found[0][1:]
    return None if found["name"] else found[0]


def _follow(value: Any, path: str, shown: str) -> Any:  # noqa: ANN401 - JSON
    """The member of *value* at *path*."""
    for step in _STEP.finditer(path):
        name, index = step.groups()
        if name is not None and isinstance(value, dict) and name in value:
            value = value[name]
        elif index is not None and isinstance(value, list | tuple) and int(index) < len(value):
            value = value[int(index)]
        else:
            raise InputError(
                f"There is no value for {shown}",
                code="PLACEHOLDER_MISSING",
                hint="Correct the path, or have the list contain it.",
            )
    return value
