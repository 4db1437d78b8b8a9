"""Names the slip behind a JSON syntax error the way a person would: a comment, a trailing comma, single quotes.

Pure. It does not parse: it only looks at the text around the place where the parser stopped.
"""

from __future__ import annotations

import re

import msgspec

_WORDS = {
    "True": "true",
    "False": "false",
    "None": "null",
    "nil": "null",
    "undefined": "null",
    "yes": "true",
    "no": "false",
}
_CURLY_QUOTES = "\u201c\u201d\u2018\u2019\u00ab\u00bb"
_NUMBER_HINT = "Write it as 5, -5 or 0.5, without + and leading zeros."
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$-]{0,60}")
_BAD_NUMBER = re.compile(r"[+.]\d|-?0[0-9xXbo]|-\.|\d+\.(?!\d)")


Finding = tuple[str, str | None, bool]
"""Message, hint, and whether the fault is after the white space."""


class Slip(msgspec.Struct, frozen=True):
    """The fault, its place, and the hint."""

    line: int
    column: int
    message: str
    hint: str | None = None


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Line and column of *position*, both from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def explain(text: str, position: int, complaint: str) -> Slip:
    """The slip at *position*, where the parser stopped with *complaint*."""
    if not text.strip():
        return Slip(1, 1, "the file is empty", 'Start a command with { "version": "2.0.0", "name": "/…".')
    place = _skip_space(text, position)
    before = _before(text, place)
    found = _in_string(complaint) or _at_end(text, place, before) or _glued(text, place) or _foreign(text, place)
    if found is not None:
        return _slip(text, place if found[2] else position, found[0], found[1])
    comma = _trailing_comma(text, place, before)
    if comma is not None:
        return _slip(text, comma, "trailing comma", "Remove the comma before the closing bracket.")
    message, hint, place = _punctuation(text, place, before, complaint)
    return _slip(text, place, message, hint)


def _slip(text: str, position: int, message: str, hint: str | None) -> Slip:
    line, column = line_and_column(text, position)
    return Slip(line, column, message, hint)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _before(text: str, position: int) -> int:
    """Position of the last character before *position* that is not white space, or -1."""
    position -= 1
    while position >= 0 and text[position] in " \t\r\n":
        position -= 1
    return position


def _in_string(complaint: str) -> Finding | None:
    """Slips inside a string, where the surrounding characters have no meaning."""
    if complaint.startswith("Unterminated string"):
        return "a string is not closed", 'Add the closing ".', False
    if complaint.startswith("Invalid control character"):
        return "a line break or tab inside a string", "Write \\n or \\t.", False
    if "escape" in complaint:
        return "a backslash that does not start a JSON escape", "Write two backslashes: \\\\.", False
    return None


def _at_end(text: str, place: int, before: int) -> Finding | None:
    """The text stops too early."""
    if place < len(text):
        return None
    if before >= 0 and text[before] == ",":
        return "the file ends after a comma", "Is the rest of the file missing?", True
    return "the file ends before its brackets are closed", "Add the missing } or ].", True


def _glued(text: str, place: int) -> Finding | None:
    """A character right after a complete value: the value was not meant to end there."""
    behind = text[place - 1] if place else " "
    if behind == '"' and (text[place].isalnum() or text[place] in "_-./\\"):
        return "a double quote inside a string", 'Write \\" for a quote inside a string.', True
    if behind.isdigit() and (text[place].isalnum() or text[place] in "._"):
        return "a number that is not JSON", _NUMBER_HINT, True
    return None


def _foreign(text: str, place: int) -> Finding | None:
    """Syntax of other languages that JSON does not allow."""
    rest = text[place : place + 80]
    if rest.startswith(("//", "/*", "#")):
        return "a comment", 'JSON has no comments: move it to "$comment".', True
    if rest[0] == "'":
        return "single quotes", 'JSON strings need double quotes: "…".', True
    if rest[0] in _CURLY_QUOTES:
        return "typographic quotes", 'Use plain double quotes: "…".', True
    if rest[0] == "`":
        return "backquotes", 'JSON strings need double quotes: "…".', True
    if _BAD_NUMBER.match(rest):
        return "a number that is not JSON", _NUMBER_HINT, True
    return _word(rest)


def _word(rest: str) -> Finding | None:
    """A bare word: a constant of another language, or a string without quotes."""
    word = _IDENTIFIER.match(rest)
    if word is None:
        return None
    name = word.group()
    if name in _WORDS:
        return f"{name} is not JSON", f"Write {_WORDS[name]}.", True
    return f"{name} without quotes", f'Write "{name}".', True


def _trailing_comma(text: str, place: int, before: int) -> int | None:
    """Position of the trailing comma; newer Pythons stop at it, older ones after it."""
    if text[place] in "]}" and before >= 0 and text[before] == ",":
        return before
    if text[place] == ",":
        after = _skip_space(text, place + 1)
        if after < len(text) and text[after] in "]}":
            return place
    return None


def _punctuation(text: str, place: int, before: int, complaint: str) -> tuple[str, str | None, int]:
    """Commas, colons and brackets."""
    here = text[place]
    if complaint.startswith("Extra data"):
        return "more text after the end of the JSON value", "Write one object per file.", place
    if here in "]}" and "delimiter" in complaint:
        other = "}" if here == "]" else "]"
        return (
            f"{here} where {other} or a comma was expected",
            "Close brackets in reverse order of opening.",
            place,
        )
    if complaint.startswith("Expecting ',' delimiter"):
        return "a comma is missing", "Add a comma after the previous value.", before + 1
    if complaint.startswith("Expecting ':' delimiter"):
        return "a colon is missing after the key", 'Write "key": value.', place
    if here == ",":
        return "a comma without a value before it", "Remove the comma.", place
    if here == "=":
        return "= is not JSON", 'Write "key": value.', place
    if complaint.startswith("Expecting property name"):
        return "a key in double quotes was expected", 'Write "key": value.', place
    return f"{here!r} where a value was expected", None, place
