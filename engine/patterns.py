"""Whether a regular expression of a schema can be matched in linear time by a backtracking engine.

Pure. It matches nothing itself.

Theory of operation. Python's `re` tries alternatives one after the other, so `(a+)+b` or `a*a*a*b` on a long run of `a`
takes exponential or cubic time, and no call can be interrupted. Such a pattern needs two ways to read the same text.
The pattern is taken apart into its positions (each character class that stands in it) with the positions that can
follow each (Glushkov's construction). If at every step the next character decides which position comes next, there is
one way to read any text, and a failed match costs one pass. Two exceptions are cheap and common enough to allow:
choices that are met once, as between `feat` and `fix`, while they multiply to little; and one repetition whose end is
a guess, as in `^.*foo$`, when no other repetition depends on the guess. A pattern without `^` is tried at each place
of the text, so that no repetition may stand before its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LENGTH: Final = 200
"""Characters of a pattern."""
MAX_POSITIONS: Final = 150
"""Character classes in a pattern, fixed repetitions written out."""
MAX_WAYS: Final = 256
"""Ways in which choices that are met once may combine."""

_ASCII_SIZE = 128
_OTHER = 1 << _ASCII_SIZE
"""The bit of all characters beyond ASCII; below it each ASCII character has its own."""
_END = _OTHER << 1
"""The bit of the end of the text."""
_ASCII = _OTHER - 1
_CLASSES = frozenset({"ANY", "IN", "LITERAL", "NOT_LITERAL"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_UNBOUNDED = "repeats what can be read in two ways; such a pattern can take exponential time"
_SLOW = (
    "can take more than linear time; let what stands behind a repetition differ from what is repeated, "
    r"as `\)` does in ^[^)]+\)"
)
_UNANCHORED = "repeats something before its end but does not begin with ^; it would be tried at every place of the text"
_FEATURE = "uses a lookaround, a back reference, a flag or another feature that is not supported"


class _Refused(Exception):
    """Why a pattern is not accepted."""


@lru_cache(maxsize=512)
def pattern_problem(pattern: str) -> str | None:
    """Why *pattern* is not accepted, as the end of a sentence that begins with it; None where it is."""
    if len(pattern) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    try:
        tree = _tree(pattern)
        graph = _Graph()
        whole = graph.sequence(tree)
        _check(graph, whole, anchored=_is_anchored(tree))
    except _Refused as refusal:
        return str(refusal)
    return None


def _tree(pattern: str) -> Any:  # noqa: ANN401 - the standard library does not publish the type
    """The syntax tree that `re` makes of *pattern*."""
    try:
        re.compile(pattern)
        tree = _parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"is no regular expression: {error}"
        raise _Refused(message) from None
    if tree.state.flags & ~re.UNICODE.value:
        raise _Refused(_FEATURE)
    return tree


_parse: Callable[[str], Any] = re._parser.parse  # type: ignore[attr-defined] # noqa: SLF001 - there is no public parser


def _is_anchored(tree: Iterable[tuple[Any, Any]]) -> bool:
    """Whether every way through *tree* begins with `^`."""
    first: tuple[Any, Any] | None = next(iter(tree), None)
    if first is None:
        return False
    name, value = str(first[0]), first[1]
    if name == "SUBPATTERN":
        return _is_anchored(value[3])
    if name == "BRANCH":
        return all(_is_anchored(way) for way in value[1])
    return name == "AT" and str(value) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}


def _size(tree: Iterable[tuple[Any, Any]]) -> int:
    """How many character classes *tree* has, fixed repetitions written out."""
    total = 0
    for kind, value in tree:
        name = str(kind)
        if name in _REPEATS:
            least, most, body = value
            total += _size(body) * (least if least == most else 1)
        elif name == "SUBPATTERN":
            total += _size(value[3])
        elif name == "BRANCH":
            total += sum(map(_size, value[1]))
        else:
            total += 1
    return total


# --- positions and what follows them ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern; sets of positions are bits of integers."""

    empty: bool
    """Whether it can match nothing."""
    first: int = 0
    """Positions that it can begin with."""
    last: int = 0
    """Positions that it can end with."""


_NOTHING = _Part(empty=True)


class _Graph:
    """The positions of a pattern, and which can follow which."""

    def __init__(self) -> None:
        self.characters: list[int] = []
        """What each position matches."""
        self.follow: list[int] = []
        """The positions that can follow each."""

    def sequence(self, tree: Iterable[tuple[Any, Any]]) -> _Part:
        """Parts one after the other."""
        result = _NOTHING
        for name, value in tree:
            result = self.joined(result, self.part(str(name), value))
        return result

    def joined(self, one: _Part, two: _Part) -> _Part:
        self.link(one.last, two.first)
        return _Part(
            empty=one.empty and two.empty,
            first=one.first | (two.first if one.empty else 0),
            last=two.last | (one.last if two.empty else 0),
        )

    def part(self, name: str, value: Any) -> _Part:  # noqa: ANN401 - see _tree
        if name in _CLASSES:
            return self.position(_characters(name, value))
        if name in _REPEATS:
            return self.repeated(*value)
        if name == "SUBPATTERN" and not (value[1] or value[2]):
            return self.sequence(value[3])
        if name == "BRANCH":
            return self.either([self.sequence(way) for way in value[1]])
        if name == "AT":
            at_end = str(value) in {"AT_END", "AT_END_STRING"}
            return self.position(_END | 1 << ord("\n")) if at_end else _NOTHING
        raise _Refused(_FEATURE)

    @staticmethod
    def either(ways: list[_Part]) -> _Part:
        """A choice; two ways of choosing nothing would multiply without showing as positions."""
        if sum(way.empty for way in ways) > 1:
            raise _Refused(_UNBOUNDED)
        return _Part(
            empty=any(way.empty for way in ways),
            first=_union(way.first for way in ways),
            last=_union(way.last for way in ways),
        )

    def position(self, characters: int) -> _Part:
        if len(self.characters) >= MAX_POSITIONS:
            message = f"has more than {MAX_POSITIONS} character classes, repetitions written out"
            raise _Refused(message)
        bit = 1 << len(self.characters)
        self.characters.append(characters)
        self.follow.append(0)
        return _Part(empty=False, first=bit, last=bit)

    def repeated(self, least: int, most: int, tree: Iterable[tuple[Any, Any]]) -> _Part:
        """A repetition; a range such as {2,5} counts as any number of times, which is no less ambiguous."""
        size = _size(tree)
        if least == most and size and least * size <= MAX_POSITIONS:
            result = _NOTHING
            for _ in range(least):
                result = self.joined(result, self.sequence(tree))
            return result
        body = self.sequence(tree)
        if body.empty or (most > 1 and any(self.follow[place] & body.first for place in _places(body.last))):
            raise _Refused(_UNBOUNDED)
        if most > 1:
            self.link(body.last, body.first)
        return _Part(empty=least == 0, first=body.first, last=body.last)

    def link(self, before: int, after: int) -> None:
        for place in _places(before):
            self.follow[place] |= after

    def clashing(self, positions: int) -> list[int]:
        """Those of *positions* that one character could choose together with another of them."""
        places = list(_places(positions))
        return [
            one for one in places if any(one != two and self.characters[one] & self.characters[two] for two in places)
        ]

    def reached(self) -> list[int]:
        """The positions that can come anywhere behind each."""
        reach = list(self.follow)
        for middle, _ in enumerate(reach):
            for place, _ in enumerate(reach):
                if reach[place] >> middle & 1:
                    reach[place] |= reach[middle]
        return reach


def _check(graph: _Graph, whole: _Part, *, anchored: bool) -> None:
    """Refuse what can be read in too many ways."""
    reach = graph.reached()
    cyclic = _union(1 << place for place, behind in enumerate(reach) if behind >> place & 1)
    if not anchored and cyclic & ~whole.last:
        raise _Refused(_UNANCHORED)
    ways = max(1, len(graph.clashing(whole.first)))
    guesses = 0
    for place, following in enumerate(graph.follow):
        clashing = graph.clashing(following)
        if not clashing:
            continue
        if cyclic >> place & 1:
            guesses += 1
            _check_guess(clashing, reach, cyclic)
        else:
            ways *= len(clashing)
    if guesses > 1 or ways > MAX_WAYS:
        raise _Refused(_SLOW)


def _check_guess(clashing: list[int], reach: list[int], cyclic: int) -> None:
    """Refuse a guess that is made inside what it leads to, or that leads to more than one repetition."""
    behind = _union(reach[place] | 1 << place for place in clashing) & cyclic
    if any(reach[place] & behind != behind for place in _places(behind)):
        raise _Refused(_SLOW)
    inside = [place for place in clashing if behind >> place & 1]
    if len(inside) > 1:
        raise _Refused(_UNBOUNDED)


# --- sets ------------------------------------------------------------------------------------------------------------


def _characters(name: str, value: Any) -> int:  # noqa: ANN401 - see _tree
    """The set of characters that one class matches; at least those, beyond ASCII."""
    if name == "LITERAL":
        return 1 << value if value < _ASCII_SIZE else _OTHER
    if name == "NOT_LITERAL":
        return (_ASCII & ~_characters("LITERAL", value)) | _OTHER
    if name == "ANY":
        return (_ASCII & ~(1 << ord("\n"))) | _OTHER
    if name == "RANGE":
        low, high = value
        inside = _union(1 << code for code in range(low, min(high + 1, _ASCII_SIZE)))
        return inside | (_OTHER if high >= _ASCII_SIZE else 0)
    if name == "CATEGORY":
        return _union(1 << code for code in range(_ASCII_SIZE) if _in_category(str(value), chr(code))) | _OTHER
    negated = any(str(kind) == "NEGATE" for kind, _ in value)
    members = _union(_characters(str(kind), item) for kind, item in value if str(kind) != "NEGATE")
    return (_ASCII & ~members) | _OTHER if negated else members


def _in_category(name: str, character: str) -> bool:
    """Whether *character* is one of a category such as CATEGORY_NOT_DIGIT."""
    escape = {"DIGIT": r"\d", "WORD": r"\w", "SPACE": r"\s"}[name.rpartition("_")[2]]
    return (re.match(escape, character) is not None) != ("_NOT_" in name)


def _union(sets: Iterable[int]) -> int:
    result = 0
    for one in sets:
        result |= one
    return result


def _places(positions: int) -> Iterator[int]:
    """The numbers of the bits that are set."""
    while positions:
        lowest = positions & -positions
        yield lowest.bit_length() - 1
        positions ^= lowest
