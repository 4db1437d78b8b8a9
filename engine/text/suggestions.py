"""The known name that a misspelled one resembles.

Pure. It only proposes names and corrects nothing.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAMES_COMPARED = 1000
MAX_COMPARED_LENGTH = 100
CUTOFF = 0.6
SHORTEST_WORD = 4
SHORTEST_PART = 3
NEAR = 0.8
"""Similarity, from 0 to 1, from which one word may be a misspelling of another."""

_PART = re.compile(r"[A-Z]*[^\WA-Z_]*[^\WA-Z_]|[A-Z]+")
_SEPARATORS = re.compile(r"[\s_.\-/]+")


class Names:
    """A set of known names to search for the nearest one."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(dict.fromkeys(names))
        self._folded: dict[str, str] | None = None

    def closest(self, name: str) -> str | None:
        """The name nearest to *name*: the same except for case and separators, similar, or with a word in common."""
        if self._folded is None:
            self._folded = {fold(known): known for known in reversed(self.names)}
        wanted = fold(name)
        if same := self._folded.get(wanted):
            return same
        near = difflib.get_close_matches(wanted, list(self._folded)[-MAX_NAMES_COMPARED:], n=1, cutoff=CUTOFF)
        if near:
            return self._folded[near[0]]
        words = _words(name)
        sharing = [known for known in self.names[:MAX_NAMES_COMPARED] if words & _words(known)]
        return max(sharing, key=lambda known: len(words & _words(known)), default=None)

    def question(self, name: str) -> str | None:
        """The nearest name as a question."""
        near = self.closest(name)
        return f'Did you mean "{near}"?' if near else None


def fold(name: str) -> str:
    """*name* without case and separators."""
    return _SEPARATORS.sub("", name[:MAX_COMPARED_LENGTH]).casefold()


def same_words(name: str, known: str) -> bool:
    """Whether every word of *name* is like one of *known*: `requiredAgents` is not a misspelling of `requirements`.

    Words of one or two letters do not count: `timeoutMs` is `timeout`.
    """
    others = _parts(known)
    return all(len(word) < SHORTEST_PART or any(_alike(word, other) for other in others) for word in _parts(name))


def _alike(word: str, other: str) -> bool:
    return (
        word.startswith(other) or other.startswith(word) or difflib.SequenceMatcher(None, other, word).ratio() >= NEAR
    )


def _parts(name: str) -> list[str]:
    """The words of a field's name, in lower case."""
    return [word.casefold() for word in _PART.findall(name[:MAX_COMPARED_LENGTH])]


def _words(name: str) -> set[str]:
    words = _SEPARATORS.split(name[:MAX_COMPARED_LENGTH].casefold())
    return {word for word in words if len(word) >= SHORTEST_WORD}
