"""Finds the known name that an unknown one most likely stands for.

Pure. It only proposes; no name is silently corrected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME_LENGTH = 128
"""Characters of a name that are compared: the distance costs the product of both lengths."""

_SEPARATORS = re.compile(r"[\s_.\-/]+")


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to *name*, or None if none is near.

    Case and separators are ignored (`Senior_Reviewer` is `senior-reviewer`). Near means an edit distance of at most
    a third of the name; failing that, a shared word of four letters or more (`code-reviewer-pro`, `senior-reviewer`).
    Among equals the first in alphabetical order wins, so the answer does not depend on the order of *candidates*.
    """
    known = sorted(set(candidates))
    wanted = _fold(name)
    if not wanted or not known:
        return None
    distance, candidate = min((edit_distance(wanted, _fold(candidate)), candidate) for candidate in known)
    if distance <= max(1, len(wanted) // 3):
        return candidate
    words = _words(name)
    shared, candidate = min((-len(words & _words(candidate)), candidate) for candidate in known)
    return candidate if shared else None


def is_spelling_of(name: str, known: str) -> bool:
    """Whether *name* is *known* with a different case or separator, or with one wrong letter."""
    wanted, other = _fold(name), _fold(known)
    return edit_distance(wanted, other) <= (1 if len(other) > 3 else 0)  # noqa: PLR2004 - `id` is not `is`


def edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours that turn *left* into *right*."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        above, row = row, [i]
        for j, b in enumerate(right, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and b == left[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]


def _fold(name: str) -> str:
    return _SEPARATORS.sub("", name[:MAX_NAME_LENGTH]).casefold()


def _words(name: str) -> set[str]:
    return {word for word in _SEPARATORS.split(name[:MAX_NAME_LENGTH].casefold()) if len(word) >= 4}  # noqa: PLR2004
