"""The arguments of a run as a terminal passes them: a text, or names with texts or values in JSON.

Pure.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from engine.errors import InputError


def arguments_of(pairs: list[str] | None, text: str | None) -> str | dict[str, Any] | None:
    """The arguments that *pairs*, NAME=VALUE or NAME:=JSON, and the argument text make. Raises `InputError`."""
    if not pairs:
        return text
    given: dict[str, Any] = {} if text is None else {"arguments": text}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name.rstrip(":") or not equals:
            raise InputError(f'"{pair}" is not NAME=VALUE', code="INVALID_ARGUMENT", hint="Write --arg NAME=VALUE.")
        plain = name.removesuffix(":")
        if plain in given:
            hint = f'Give it once; a list is --arg \'{plain}:=["one", "two"]\'.'
            raise InputError(f'the argument "{plain}" is given twice', code="INVALID_ARGUMENT", hint=hint)
        given[plain] = value if plain == name else _json(plain, value)
    return given


def _json(name: str, text: str) -> Any:  # noqa: ANN401 - JSON
    """The value of the argument *name* that is given as JSON: a list, a number, an object."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        message = f'the argument "{name}" is not JSON: {error}'
        raise InputError(message, code="INVALID_ARGUMENT", hint="Write --arg NAME=VALUE for a text.") from None


def _no_number(text: str) -> NoReturn:
    message = f"JSON has no number {text}"
    raise ValueError(message)
