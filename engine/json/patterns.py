r"""Regular expressions of a schema, matched in time linear in the text for every pattern.

Pure. RE2 does the matching; this module translates the patterns of JSON Schemas, in the dialect of ECMA-262 with
Unicode, into RE2's own, and bounds the work. Where the two differ and no translation exists, RE2's reading applies:
no lookaround, no back references, no repetition of more than 1,000, and `.` matches everything except a newline.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:

    class _Compiled(Protocol):
        programsize: int

        def search(self, text: str) -> object: ...


MAX_LENGTH: Final = 1_000
"""Characters of a pattern."""
MAX_PROGRAM: Final = 10_000
"""Instructions that a pattern compiles to; a letter of any alphabet, as in `\\p{L}`, takes some 600."""
MAX_WORK: Final = 2_000_000_000
"""Instructions of the pattern times characters of the text: about ten seconds at worst."""
_MAX_MEMORY: Final = 2 * 2**20
"""Bytes that RE2 may use for one pattern, including caches."""

_SPACE = r"\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}-\x{feff}"
_NO_SPACE = (
    r"\x{0}-\x{8}\x{e}-\x{1f}!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}"
)
"""White space of ECMA-262 (RE2's own `\\s` is ASCII), and its complement: a class cannot contain a negation."""
_ANY = r"[\x{0}-\x{10ffff}]"
_NOTHING = r"[^\x{0}-\x{10ffff}]"
"""The meaning of `[^]` and `[]` in ECMA-262; RE2 would take the bracket for a member."""
_CATEGORIES: Final = {
    "Other": "C", "Control": "Cc", "Format": "Cf", "Private_Use": "Co", "Surrogate": "Cs",
    "Letter": "L", "Lowercase_Letter": "Ll", "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Titlecase_Letter": "Lt",
    "Uppercase_Letter": "Lu", "Mark": "M", "Combining_Mark": "M", "Spacing_Mark": "Mc", "Enclosing_Mark": "Me",
    "Nonspacing_Mark": "Mn", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl",
    "Other_Number": "No", "Punctuation": "P", "punct": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd",
    "Close_Punctuation": "Pe", "Final_Punctuation": "Pf", "Initial_Punctuation": "Pi", "Other_Punctuation": "Po",
    "Open_Punctuation": "Ps", "Symbol": "S", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Math_Symbol": "Sm",
    "Other_Symbol": "So", "Separator": "Z", "Line_Separator": "Zl", "Paragraph_Separator": "Zp",
    "Space_Separator": "Zs",
}  # fmt: skip
"""RE2's short names of Unicode's general categories, by the long ones that ECMA-262 also accepts."""
_PIECES = re.compile(
    r"""
      \\u(?P<lead>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<trail>[dD][c-fC-F][0-9a-fA-F]{2})
    | \\u(?:(?P<unit>[0-9a-fA-F]{4})|\{(?P<point>[0-9a-fA-F]{1,6})\})
    | \\c(?P<control>[A-Za-z])
    | \\(?P<sign>[pP])\{(?:(?:General_Category|gc|Script|sc)=)?(?P<property>\w+)\}
    | \\(?P<space>[sS])
    | \\.
    | \[(?P<nothing>\^?)\]
    | (?P<bracket>[\[\]])
    """,
    re.VERBOSE | re.DOTALL,
)


class _Refused(Exception):
    """Why a pattern is not accepted."""


def pattern_problem(pattern: str) -> str | None:
    """Why *pattern* is not accepted, as the end of a sentence that starts with it; None if it is."""
    try:
        _compiled(pattern)
    except _Refused as refusal:
        return str(refusal)
    return None


def found_in(pattern: str, text: str) -> bool:
    """Whether *pattern*, which `pattern_problem` has accepted, matches some part of *text*.

    Raises `OverflowError` if the text is too long for a pattern of this size.
    """
    compiled = _compiled(pattern)
    if len(text) * compiled.programsize > MAX_WORK:
        message = f"a text of {len(text):,} characters is too long for a pattern of this size"
        raise OverflowError(message)
    return compiled.search(_whole(text)) is not None


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> _Compiled:
    import re2  # type: ignore[import-untyped] # noqa: PLC0415 - only commands with patterns pay for it

    if len(pattern) > MAX_LENGTH:
        message = f"is longer than {MAX_LENGTH:,} characters"
        raise _Refused(message)
    options = re2.Options()
    options.log_errors = False  # otherwise it writes to stderr
    options.max_mem = _MAX_MEMORY
    try:
        compiled: _Compiled = re2.compile(_translated(_whole(pattern)), options)
    except re2.error as error:
        message = f"is not supported: {_reason(error)}"
        raise _Refused(message) from None
    if compiled.programsize > MAX_PROGRAM:
        message = "is too large once its repetitions and character classes are written out"
        raise _Refused(message)
    return compiled


def _reason(error: Exception) -> str:
    """RE2's message, which comes as bytes and may cut a character in two."""
    said = error.args[0] if error.args else b""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _whole(text: str) -> str:
    """*text* with halves of surrogate pairs, which UTF-8 cannot express, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _translated(pattern: str) -> str:
    """*pattern* in RE2's syntax."""
    inside = False

    def translated(piece: re.Match[str]) -> str:
        nonlocal inside
        if piece["nothing"] is not None and not inside:
            return _ANY if piece["nothing"] else _NOTHING
        if piece["nothing"] is not None or piece["bracket"]:
            # In a class "[" is an ordinary character, but RE2 needs it escaped where a POSIX class could start.
            text = piece[0].replace("[", r"\[") if inside else piece[0]
            inside = not text.endswith("]")
            return text
        return _escape(piece, inside=inside)

    return _PIECES.sub(translated, pattern)


def _escape(piece: re.Match[str], *, inside: bool) -> str:
    """One escape in RE2's syntax, *inside* a character class or outside."""
    if piece["lead"]:
        high, low = int(piece["lead"], 16), int(piece["trail"], 16)
        return f"\\x{{{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):x}}}"
    if code := piece["unit"] or piece["point"]:
        return f"\\x{{{code}}}"
    if piece["control"]:
        return f"\\x{{{ord(piece['control']) % 32:x}}}"
    if piece["property"]:
        return f"\\{piece['sign']}{{{_CATEGORIES.get(piece['property'], piece['property'])}}}"
    if piece["space"]:
        members = _SPACE if piece["space"] == "s" else _NO_SPACE
        return members if inside else f"[{members}]"
    return piece[0]
