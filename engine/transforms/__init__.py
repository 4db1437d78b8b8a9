"""Transforms of inputs: JSONPath as RFC 9535 defines it, within a bounded number of steps.

Pure. It only takes values apart; `engine/values/context.py` decides which inputs to transform.

Plain paths (names, indexes, wildcards) are parsed here. Everything else is parsed and type-checked by python-jsonpath,
which takes 130 ms to import and is imported with the first such path only. Its tree is turned into our own closures,
because its evaluation cannot be bounded: `$..*..*..*` on a large value, or a filter that compares every item with
every other, would run for hours. `match()` and `search()` are refused: a pattern can take exponential time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from engine.json.values import Budget, BudgetExceeded
from engine.transforms.faults import TransformError, TransformSyntaxError
from engine.transforms.queries import (
    MISSING,
    Missing,
    Query,
    by_index,
    by_name,
    chain,
    every,
    holds_more,
    segment,
    weigh,
)
from engine.transforms.rfc9535 import Compiler, check_complexity, read

__all__ = ["MISSING", "Missing", "Transform", "TransformError", "TransformSyntaxError", "parse_transform"]

MAX_LENGTH: Final = 1000
"""Characters of a transform."""
MAX_STEPS: Final = 250_000
"""Values visited in one application."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A parsed transform; equal, hashed and pickled by its text."""

    text: str
    """The path as it was written."""
    singular: bool = field(compare=False)
    """Whether it names a single place: then it returns the value there, otherwise the list of all matches."""
    _query: Query = field(compare=False, repr=False)
    _holder: Query | None = field(default=None, compare=False, repr=False)
    """For a plain path, the part before its first wildcard."""

    def apply(self, value: object) -> Any:  # noqa: ANN401 - JSON
        """The selected value, or the list of matches; `MISSING` if a singular path finds nothing.

        The result is part of *value*, not a copy. Raises `TransformError`.
        """
        try:
            found = self._query(value, value, Budget(MAX_STEPS))
            if self.singular:
                return found[0] if found else MISSING
            weigh(found)
        except BudgetExceeded:
            message = f"The transform `{self.text}` selects too much of this value"
            raise TransformError(message, hint="Name the members along the path instead of `..` and `*`.") from None
        return found

    def misses(self, value: object) -> bool:
        """Whether a plain path has its first wildcard on a value that is neither a list nor an object."""
        if self._holder is None:
            return False
        return not any(holds_more(one) for one in self._holder(value, value, Budget(MAX_STEPS)))

    def __reduce__(self) -> tuple[Callable[[str], Transform], tuple[str]]:
        """Pickle as text: queries are closures."""
        return parse_transform, (self.text,)


def parse_transform(text: str) -> Transform:
    """Parse a transform; raises `TransformSyntaxError`."""
    if len(text) > MAX_LENGTH:
        message = f"The transform has {len(text):,} characters, more than {MAX_LENGTH:,}"
        raise TransformSyntaxError(message)
    if _PLAIN.fullmatch(text):
        return _plain(text)
    check_complexity(text)
    path = read(text)
    return Transform(text, path.singular_query(), Compiler().query(path))


_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(0|-?[1-9][0-9]{0,14})\]|\['([A-Za-z0-9_ -]*)'\]|\[\*\]|\.\*")
_PLAIN = re.compile(rf"\$(?:{_STEP.pattern})*")


def _plain(text: str) -> Transform:
    """The transform of a path with only names, indexes and wildcards."""
    segments: list[Query] = []
    first: int | None = None
    for step in _STEP.finditer(text):
        name, index, quoted = step.groups()
        if index is not None:
            segments.append(segment([by_index(int(index))]))
        elif name is None and quoted is None:
            first = len(segments) if first is None else first
            segments.append(segment([every]))
        else:
            segments.append(segment([by_name(name if quoted is None else quoted)]))
    return Transform(text, first is None, chain(segments), None if first is None else chain(segments[:first]))
