"""Placeholders in texts: `${file.path}` stands for a value, `$ARGUMENTS` for the argument text.

Pure. A text is filled in one pass: nothing that was put in is looked into again. Only the names that are passed are
placeholders; any other `${HOME}` stays as it is. `$${file}` is the text `${file}`.
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
_TOKEN = re.compile(r"(\$?)\$\{([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*|\[\d{1,6}\])*)\}|\$ARGUMENTS")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def names_in(text: str) -> Iterator[str]:
    """The names at the beginning of all placeholders of *text*, whatever they stand for."""
    return (found[2] for found in _TOKEN.finditer(text) if found[2] and not found[1])


def has_any(text: str, names: Collection[str]) -> bool:
    """Whether *text* has a placeholder for one of *names*."""
    return bool(names) and any(name in names for name in names_in(text))


def fill(text: str, names: Collection[str], value_of: Callable[[str], Any], arguments: str) -> str:
    """*text* with the values of *names*, and with *arguments*.

    A text goes in with its control characters and line breaks as spaces, anything else as compact JSON. Raises
    `InputError`: PLACEHOLDER_MISSING for a member that is not there, PLACEHOLDER_TOO_LONG.
    """

    def put(found: re.Match[str]) -> str:
        if found[2] is None:
            return arguments
        if found[2] not in names:
            return found[0]
        if found[1]:
            return found[0][1:]
        value = _follow(value_of(found[2]), found[3], found[0])
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

    def put(found: re.Match[str]) -> str:
        if found[2] is None:
            return arguments
        if found[2] not in names:
            return found[0]
        return found[0][1:] if found[1] else _CONTROL.sub(" ", known(found[2], found[3]))

    return _TOKEN.sub(put, text)


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
