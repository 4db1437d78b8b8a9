"""The words that a text must hold for a rule to find something in it, taken from the rule itself.

Pure. A scanner parses every file that it is given, and most files hold nothing that a rule could find. The question
here is cheap and never too strict: a text without the words has no hit, one with them may have some.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from registry.packaged.review_repo.request_data import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.packaged.review_repo.rules.form import Matcher, Rule

# The standard library's own reader of regular expressions has no public name.
_read_regex: Any = import_module("re._parser").parse
_SHORTEST = 2
_PATTERN_WORD = re.compile(r"(?<![$\w])[A-Za-z_]\w+")
_NAMED_PART = re.compile(r"(?<!\$)\$([A-Z_][A-Z0-9_]*)")
_AROUND = frozenset({"func"})
"""Words of code that is only written around a pattern."""


class Text:
    """A text in which words are looked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = text.casefold()

    @functools.cached_property
    def serves(self) -> bool:
        """Whether it reads a request somewhere."""
        return SERVED.search(self._text) is not None

    def has_word(self, word: str) -> bool:
        """Whether *word* stands there in this case, and not as part of a longer one."""
        text, size = self._text, len(word)
        at = text.find(word)
        while at >= 0:
            before, after = text[at - 1 : at], text[at + size : at + size + 1]
            if not (before == "_" or before.isalpha() or after == "_" or after.isalnum()):
                return True
            at = text.find(word, at + 1)
        return False

    def has_piece(self, piece: str) -> bool:
        """Whether *piece*, in lower case, stands there in any case."""
        return piece in self._folded


class Word(msgspec.Struct, frozen=True):
    """A whole word, in its case."""

    text: str


class Piece(msgspec.Struct, frozen=True):
    """Letters that stand together, in either case."""

    text: str


class All(msgspec.Struct, frozen=True):
    """All of these."""

    parts: tuple[Need, ...]


class OneOf(msgspec.Struct, frozen=True):
    """At least one of these."""

    parts: tuple[Need, ...]


Need = Word | Piece | All | OneOf
NOTHING = All(())


def is_met(need: Need, text: Text) -> bool:
    """Whether *text* has what is needed."""
    match need:
        case Word(word):
            return text.has_word(word)
        case Piece(piece):
            return text.has_piece(piece)
        case All(parts):
            return all(is_met(part, text) for part in parts)
        case OneOf(parts):
            return any(is_met(part, text) for part in parts)


def need_of(rule: Rule) -> Need:
    """Return the words that a text needs for *rule* to find something in it."""
    return _of_matcher(rule.matcher, rule.constraints)


def _of_matcher(matcher: Matcher, constraints: Mapping[str, Matcher]) -> Need:
    parts: list[Need] = []
    for key, value in matcher.items():
        match key:
            case "pattern":
                parts.append(_of_pattern(value["context"] if isinstance(value, Mapping) else value, constraints))
            case "regex":
                parts.append(_of_regex(value))
            case "all":
                parts += [_of_matcher(each, constraints) for each in value]
            case "any":
                parts.append(_one_of(_of_matcher(each, constraints) for each in value))
            case "has" | "inside":
                parts.append(_of_matcher(value, constraints))
            case _:  # the kind of a node, its place, and `not` need no word
                pass
    return _all(parts)


def _of_pattern(text: str, constraints: Mapping[str, Matcher]) -> Need:
    words = [Word(word) for word in _PATTERN_WORD.findall(text) if word not in _AROUND]
    named = [constraints[name] for name in _NAMED_PART.findall(text) if name in constraints]
    return _all([*words, *(_of_matcher(matcher, {}) for matcher in named)])


@functools.cache
def _of_regex(regex: str) -> Need:
    return _of_items(_read_regex(regex))


def _of_items(items: Iterable[tuple[object, Any]]) -> Need:
    """Return the need of a sequence of parsed items: letters that follow each other, and those of its groups."""
    parts: list[Need] = []
    run = ""
    for kind, value in [*items, ("END", None)]:
        if str(kind) == "LITERAL":
            run += chr(value)
            continue
        if len(run) >= _SHORTEST:
            parts.append(Piece(run.casefold()))
        run = ""
        match str(kind), value:
            case "SUBPATTERN", (_, _, _, inner):
                parts.append(_of_items(inner))
            case "BRANCH", (_, branches):
                parts.append(_one_of(map(_of_items, branches)))
            case "MAX_REPEAT" | "MIN_REPEAT", (least, _, inner) if least:
                parts.append(_of_items(inner))
            case _:  # one of several signs, a place, or a part that may be absent
                pass
    return _all(parts)


def _all(parts: Iterable[Need]) -> Need:
    """All of *parts*, without those that need nothing; those that are looked up fastest come first."""
    needed = sorted(dict.fromkeys(part for part in parts if part != NOTHING), key=_cost)
    return needed[0] if len(needed) == 1 else All(tuple(needed))


def _one_of(parts: Iterable[Need]) -> Need:
    """One of *parts*; nothing is needed if one of them needs nothing."""
    each = sorted(dict.fromkeys(parts), key=_cost)
    if NOTHING in each:
        return NOTHING
    return each[0] if len(each) == 1 else OneOf(tuple(each))


def _cost(need: Need) -> tuple[int, int]:
    """A long word is likely not to be there, which answers first."""
    return (Word, Piece, All, OneOf).index(type(need)), -len(need.text) if isinstance(need, Word | Piece) else 0
