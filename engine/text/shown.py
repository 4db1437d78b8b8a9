"""Makes text of a project, a user or an agent safe to show to a person: nothing hidden, nothing disguised.

Pure. Characters that control a terminal, change the direction of text, pad or hide are removed, for a terminal and for
a pipe alike. One item stays one line (`clean`); a text keeps its lines (`printable`), and among our own lines its
later lines are indented (`within`), so that none can pass for ours.
"""

from __future__ import annotations

import re
import unicodedata

HIDDEN = "\N{REPLACEMENT CHARACTER}"
"""Replaces each run of invisible characters, so that names that differ only in these look different."""
MAX_COMBINING_MARKS = 4
"""Combining marks on one letter: enough for every script, too few to cover other lines."""
MAX_GAP_LENGTH = 12
"""Blanks in a row that a text keeps: more could push the rest out of sight."""

_ODD = re.compile(r"[^\x00-\x7f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]+")
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BLANK = frozenset("\u115f\u1160\u180e\u2800\u3164\uffa0")
"""Letters and symbols that look like a space."""
_JOINERS = frozenset("\u200c\u200d")
_STYLES = frozenset("\ufe0e\ufe0f")
_GAP = re.compile(rf"[ \t]{{{MAX_GAP_LENGTH + 1},}}")
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")
_SELECTING = re.compile("[\u034f\ufe00-\ufe0d\U000e0100-\U000e01ef]")
"""Invisible marks that choose a form of the letter before them."""
_NO_LETTERS = frozenset("\ufffe\uffff")
_MARKS = frozenset({"Mn", "Me"})
_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})


def clean(text: str, *, limit: int | None = None) -> str:
    """*text* on one line, for a name, a path or a command; beyond *limit* it says how much is left out."""
    if text.isascii() and text.isprintable() and "  " not in text:
        line = text.strip()
    else:
        line = " ".join(_tamed(_CONTROL.sub(" ", text), " ").split())
    if limit is None or len(line) <= limit:
        return line
    return f"{line[:limit]}… ({len(line) - limit} more characters)"


def printable(text: str) -> str:
    """*text*, safe for a terminal: line breaks and tabs stay, control and deceptive characters are removed."""
    return _tamed(_CONTROL_IN_TEXT.sub("", text), "")


def within(text: str, indent: str = "  ") -> str:
    """*text* for use among our own lines: lines after the first start with *indent*, and long gaps are shortened."""
    short = _EMPTY_LINES.sub("\n\n", _GAP.sub(" " * MAX_GAP_LENGTH, printable(text).strip()))
    return f"\n{indent}".join(line.rstrip() for line in short.split("\n"))


def escaped(text: str) -> str:
    """JSON *text* with the same meaning, but control and deceptive characters as escapes."""
    text = text.replace("\x7f", "\\u007f")
    return text if text.isascii() else _ODD.sub(lambda run: _escaped_run(text, run.start(), run.end()), text)


def _escaped_run(text: str, start: int, end: int) -> str:
    return "".join(
        letter if _shown(text, at, unicodedata.category(letter), "") == letter else _escape(letter)
        for at, letter in enumerate(text[start:end], start)
    )


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _tamed(text: str, instead: str) -> str:
    """*text* with its non-ASCII characters made safe; *instead* replaces control characters."""
    return text if text.isascii() else _ODD.sub(lambda run: _tamed_run(text, run.start(), run.end(), instead), text)


def _tamed_run(text: str, start: int, end: int, instead: str) -> str:
    """The characters of *text* from *start* to *end*, none of them ASCII."""
    run = text[start:end]
    if run.isalnum() and _BLANK.isdisjoint(run):
        return run
    found: list[str] = []
    marks = 0
    last = text[start - 1 : start]
    for at, letter in enumerate(run, start):
        kind = unicodedata.category(letter)
        shown = _shown(text, at, kind, instead)
        marks = marks + 1 if kind in _MARKS and shown == letter else 0
        if marks > MAX_COMBINING_MARKS or (marks == 1 and not last.strip()):
            shown = HIDDEN
        if shown != HIDDEN or last != HIDDEN:
            found.append(shown)
        last = shown or last
    return "".join(found)


def _shown(text: str, at: int, kind: str, instead: str) -> str:
    """The replacement of the character at *at* in *text*, whose category is *kind*."""
    letter = text[at]
    if kind in _STEERING or letter in _TURNING or letter in _NO_LETTERS:
        return instead
    if kind == "Zs" or letter in _BLANK:
        return " "
    if letter in _JOINERS or letter in _STYLES:
        return letter if _joins(text, at) else HIDDEN
    return HIDDEN if kind == "Cf" or _SELECTING.match(letter) else letter


def _joins(text: str, at: int) -> bool:
    """Whether scripts or emoji need the joiner or style mark at *at*, which could otherwise disguise a name."""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if text[at] in _STYLES:
        return _is_symbol(before)
    scripts = all("\u0600" <= letter <= "\u0dff" for letter in (before, after))
    return scripts or ((_is_symbol(before) or before in _STYLES) and _is_symbol(after))


def _is_symbol(letter: str) -> bool:
    return bool(letter) and (letter in "0123456789#*" or unicodedata.category(letter) in {"So", "Sk", "Sm"})
