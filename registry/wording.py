"""Interprets text that people write: durations, names that become ids, and the gist of a task.

Pure. Shared by the two ways into the v2 format: markdown and older JSON.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
UNIT = r"(?P<unit>ms|msecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b"
NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
_DURATION = re.compile(rf"\s*(?P<number>{NUMBER})\s*-?\s*{UNIT}\.?\s*", re.IGNORECASE)
_MAX_SLUG_LENGTH = 60


def milliseconds_of(number: str, unit: str) -> int:
    """*number* of *unit* (any spelling that `UNIT` knows) in whole milliseconds, at least 1."""
    unit = unit.casefold()
    letter = "ms" if unit.startswith(("ms", "mil")) else unit[0]
    return max(1, round(float(number) * _UNITS[letter]))


def duration(text: str) -> int | None:
    """Milliseconds of a text such as `5 min`, `1.5h`, `1h 30m`; None for anything else."""
    total, place = 0, 0
    while place < len(text):
        part = _DURATION.match(text, place)
        if part is None:
            return None
        total += milliseconds_of(part["number"], part["unit"])
        place = part.end()
    return total or None


def slug(text: str, *, words: int = 8) -> str:
    """*text* as an id: lower-case ASCII words with hyphens, at most *words* of them; empty if nothing is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).replace("'", "")
    found = re.findall(r"[a-z0-9]+", spaced.casefold())[:words]
    while len(found) > 1 and len("-".join(found)) > _MAX_SLUG_LENGTH:
        found.pop()
    return "-".join(found)[:_MAX_SLUG_LENGTH]


def node_slug(text: str, *, words: int = 8) -> str:
    """The same, never empty: a text without ASCII letters is named by its hash, independent of others."""
    return slug(text, words=words) or f"step-{sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def phase_slug(text: str) -> str:
    """The same for a phase, whose id starts with a letter."""
    found = node_slug(text)
    return found if found[0].isalpha() else f"phase-{found}"


class Names:
    """Names in use, and the next free variant of a wanted name."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._taken

    def add(self, name: str) -> None:
        """Mark *name* as used, free or not."""
        self._taken.add(name)

    def claim(self, wanted: str) -> str:
        """*wanted*, or its first free numbered variant; it is marked as used."""
        found = wanted
        while found in self._taken:
            self._last[wanted] = self._last.get(wanted, 1) + 1
            found = f"{wanted}-{self._last[wanted]}"
        self._taken.add(found)
        return found
