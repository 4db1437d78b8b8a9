"""Reads an untrusted command file, and describes its fault in one sentence.

Effects: reads one file. Sizes, encoding, depth, duplicate keys and numbers are checked here, so that no file causes a
traceback, a hang or a value that cannot be written back. The content is not interpreted here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import InputError, NotFound
from registry.files.json_slips import explain, line_and_column

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_FILE_BYTES = 1024 * 1024
"""A command file is at most 1 MB (SPEC 1)."""
MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""A definition passed as an object may be larger: programs write longer commands than people do."""
MAX_DEPTH = 100
"""Levels of nesting; a real command has about ten."""
MAX_INTEGER = 2**63 - 1
"""A larger number cannot be stored in the journal."""

_SHOWN = 24
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _DuplicateKeyError(ValueError):
    """Some object has a duplicate key; a second, slower pass finds the place."""


class _UnusableNumberError(ValueError):
    """A number that cannot be stored."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def read_text(path: Path, *, limit: int = MAX_FILE_BYTES) -> str:
    """The text of *path*; InputError if it is not a regular file, too large, unreadable or not UTF-8."""
    return decode(read_bytes(path, limit=limit), name=path.name)


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of *path*, which must be a regular file (a pipe would block forever) of at most *limit* bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        message = f'File "{path.name}" does not exist'
        raise NotFound(message, code="FILE_NOT_FOUND") from None
    except (OSError, ValueError) as error:
        message = f'File "{path.name}" cannot be read: {_reason(error)}'
        raise InputError(
            message, code="FILE_UNREADABLE", hint="Check that it is a file and that you may read it."
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f'"{path.name}" is not a regular file'
        raise InputError(message, code="FILE_UNREADABLE", hint="Name a .json, .yaml or .md file.")
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(limit + 1)
        except OSError as error:
            message = f'File "{path.name}" cannot be read: {_reason(error)}'
            raise InputError(message, code="FILE_UNREADABLE") from None
    if len(data) > limit:
        message = f'File "{path.name}" is larger than {limit // (1024 * 1024)} MB'
        hint = "Split it into sub-commands, and pass large data by path."
        raise InputError(message, code="FILE_TOO_LARGE", hint=hint)
    return data


def _reason(error: OSError | ValueError) -> str:
    """The operating system's message, without the path that it repeats."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def decode(data: bytes, *, name: str = "file") -> str:
    """*data* as text: UTF-8, with or without a byte order mark, and without NUL."""
    if data.startswith(_BYTE_ORDER_MARKS):
        message = f'"{name}" is UTF-16, not UTF-8'
        raise InputError(message, code="INVALID_ENCODING", hint="Save the file as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f'"{name}" is not valid UTF-8: line {line}, byte {error.start}'
        raise InputError(message, code="INVALID_ENCODING", hint="Save the file as UTF-8.") from None
    if "\0" in text:
        line, column = line_and_column(text, text.index("\0"))
        message = f'"{name}" has a NUL character at line {line}, column {column}'
        raise InputError(message, code="INVALID_ENCODING", hint="It is not a text file, or it is damaged.")
    return text


def parse(text: str, *, name: str = "file") -> object:
    """The JSON value of *text*: strict JSON, no duplicate keys, numbers that can be stored, at most 100 levels."""
    _refuse_depth(text, name)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except _UnusableNumberError as error:
        raise _number(text, error.text, name) from None
    except _DuplicateKeyError:
        raise _duplicate(text, name) from None
    except json.JSONDecodeError as error:
        slip = explain(text, error.pos, error.msg)
        message = f'"{name}" is not valid JSON: line {slip.line}, column {slip.column}: {slip.message}'
        raise InputError(message, code="INVALID_JSON", hint=slip.hint) from None
    check_strings(value, name)
    return value


def as_object(value: object, *, name: str = "file") -> dict[str, Any]:
    """*value* if it is an object, as every command is; otherwise InputError."""
    if isinstance(value, dict):
        return value
    kind = "an array" if isinstance(value, list) else "null" if value is None else f"a {type(value).__name__}"
    message = f'"{name}" holds {kind}, not a JSON object'
    raise InputError(message, code="INVALID_JSON", hint='Start a command with { "version": "2.0.0", "name": "/…".')


def adopt(value: Mapping[str, Any]) -> dict[str, Any]:
    """A definition passed as an object, copied to plain JSON data; InputError if it is not JSON."""
    _refuse_deep_object(value)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"The definition is not JSON: {error}"
        raise InputError(
            message, code="INVALID_JSON", hint="Use JSON values only: no NaN, dates or other objects."
        ) from None
    if len(text) > MAX_OBJECT_BYTES:
        message = f"The definition is larger than {MAX_OBJECT_BYTES // (1024 * 1024)} MB"
        raise InputError(
            message, code="FILE_TOO_LARGE", hint="Split it into sub-commands, and pass large data by path."
        )
    return as_object(parse(text, name="definition"), name="definition")


def canonical(value: object) -> bytes:
    """*value* as canonical JSON: keys sorted, no white space, UTF-8."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of *value*, hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def check_strings(value: object, name: str) -> None:
    """Refuse escaped halves of characters and NUL: they cannot be stored, or passed to a program."""
    try:
        data = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        message = f'"{name}" has half a character: an unpaired \\ud800-\\udfff escape'
        raise InputError(message, code="INVALID_ENCODING", hint="Write the character itself.") from None
    if b"\\u0000" in data and _has_nul(value):
        message = f'"{name}" has the NUL character \\u0000 in a string'
        raise InputError(message, code="INVALID_ENCODING", hint="Remove it: no program accepts it.") from None


def _has_nul(value: object) -> bool:
    """Whether some string or key of *value* holds NUL."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _refuse_depth(text: str, name: str) -> None:
    """Count brackets outside strings before the recursive parser reads them."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                line, column = line_and_column(text, token.start())
                message = f'"{name}" is nested deeper than {MAX_DEPTH} levels at line {line}, column {column}'
                raise InputError(message, code="TOO_DEEP", hint="Flatten it: a command needs about ten levels.")
        elif mark in "]}":
            depth -= 1


def _refuse_deep_object(value: object) -> None:
    """The same for an object, walked without recursion; an object that contains itself is too deep as well."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        # One entry per identity keeps repeated objects from growing the walk endlessly.
        below = {id(item): item for part in level for item in _children(part)}
        if not below:
            return
        level = list(below.values())
    message = f"The definition is nested deeper than {MAX_DEPTH} levels"
    raise InputError(message, code="TOO_DEEP", hint="Flatten it: a command needs about ten levels.")


def _children(value: object) -> list[object]:
    """The lists and objects directly inside *value*."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [item for item in items if isinstance(item, dict | list | tuple)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _integer(text: str) -> int:
    # The length is checked first: Python takes quadratic time to read a long run of digits.
    if len(text) <= len(str(MAX_INTEGER)) + 1 and abs(number := int(text)) <= MAX_INTEGER:
        return number
    raise _UnusableNumberError(text)


def _float(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise _UnusableNumberError(text)


def _constant(text: str) -> NoReturn:
    raise _UnusableNumberError(text)


def _number(text: str, number: str, name: str) -> InputError:
    """The error for NaN and infinities, which are not JSON, and for numbers too large to store."""
    tokens = re.finditer(r'"(?:[^"\\]++|\\.)*+"|[\w.+-]++', text, re.DOTALL)
    line, column = line_and_column(text, next(token.start() for token in tokens if token.group() == number))
    shown = number if len(number) <= _SHOWN else f"{number[:_SHOWN]}… ({len(number)} characters)"
    place = f"line {line}, column {column}"
    if number.lstrip("-").isalpha():
        message = f'"{name}" is not valid JSON: {place}: {shown} is not JSON'
        return InputError(message, code="INVALID_JSON", hint='Use null, a number, or a string such as "NaN".')
    message = f'"{name}" has a number that is too large, {shown}: {place}'
    return InputError(message, code="NUMBER_TOO_LARGE", hint="Numbers go up to 9223372036854775807; use a string.")


def _duplicate(text: str, name: str) -> InputError:
    """The error for the first duplicate key, with its place."""
    path: list[str | int] = []
    seen: list[set[str] | None] = []
    previous = ""
    for token in re.finditer(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}:,]', text, re.DOTALL):
        mark = token.group()
        if mark in ("{", "["):
            seen.append(set() if mark == "{" else None)
            path.append("" if mark == "{" else 0)
        elif mark in ("}", "]"):
            seen.pop()
            path.pop()
        elif mark == ",":
            place = path[-1]
            path[-1] = place + 1 if isinstance(place, int) else ""
        elif mark[0] == '"' and (keys := seen[-1] if seen else None) is not None and previous in ("{", ","):
            key = json.loads(mark)
            path[-1] = key
            if key in keys:
                return _duplicate_error(text, name, path, token.start())
            keys.add(key)
        previous = mark
    message = f'"{name}" has a key twice in one object'  # pragma: no cover - the parser has seen one
    return InputError(message, code="DUPLICATE_KEY")  # pragma: no cover


def _duplicate_error(text: str, name: str, path: list[str | int], position: int) -> InputError:
    line, column = line_and_column(text, position)
    place = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    message = f'"{name}" has the key "{path[-1]}" twice in one object: line {line}, column {column}'
    hint = "Keep one of the two; JSON readers disagree about which one counts."
    return InputError(message, code="DUPLICATE_KEY", hint=hint, pointer=place)
