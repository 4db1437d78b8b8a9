"""JSON values: checking that something is one, and comparing two without coercion.

Pure. Conditions, transforms and the context share it; `engine/values/context.py` merges and binds values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH = 200
"""Nesting of objects and lists; the standard library reads and writes far deeper JSON safely."""
MAX_NODES = 5_000_000
"""Values inside one value; only Python objects with shared references come near it."""
MAX_INTEGER_BITS = 14_000
"""About 4,200 digits: Python refuses to write longer integers as text."""

_Pairs = list[tuple[object, object]]
_SCALARS = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, float})


class BudgetExceeded(Exception):
    """A bounded computation used up its steps; the caller turns it into an error for the user."""


class Budget:
    """Steps that a computation on hostile input may still take."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        """Allow *steps* steps."""
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Use *steps*, or raise `BudgetExceeded`."""
        self.left -= steps
        if self.left < 0:
            raise BudgetExceeded


def is_number(value: object) -> bool:
    """Whether *value* is a JSON number; a boolean is not."""
    return type(value) in _NUMBERS


def same_json(left: object, right: object, budget: Budget) -> bool:
    """Deep equality of JSON values: 1 equals 1.0, but values of different types are never equal.

    Costs one step for each pair of values inside a list or an object.
    """
    pairs = [(left, right)]
    while pairs:
        one, other = pairs.pop()
        kind = type(one)
        if kind in _SCALARS:
            same = type(other) is kind and one == other
        elif kind in _NUMBERS:
            same = type(other) in _NUMBERS and one == other
        elif isinstance(one, list | tuple):
            same = isinstance(other, list | tuple) and _same_items(one, other, pairs, budget)
        else:
            same = isinstance(one, Mapping) and isinstance(other, Mapping) and _same_keys(one, other, pairs, budget)
        if not same:
            return False
    return True


def _same_items(one: Sequence[object], other: Sequence[object], pairs: _Pairs, budget: Budget) -> bool:
    """Whether two lists have the same length; adds their items to the *pairs* still to be compared."""
    if len(one) != len(other):
        return False
    budget.spend(len(one))
    pairs.extend(zip(one, other, strict=True))
    return True


def _same_keys(one: Mapping[object, object], other: Mapping[object, object], pairs: _Pairs, budget: Budget) -> bool:
    """Whether two objects have the same keys; adds their values to the *pairs* still to be compared."""
    if len(one) != len(other):
        return False
    budget.spend(len(one))
    if any(key not in other for key in one):
        return False
    pairs.extend((item, other[key]) for key, item in one.items())
    return True


def json_problem(value: object) -> str | None:
    """Why *value* cannot be written as JSON and read back unchanged, and where; None if it can.

    Refused: NaN and infinities, keys that are not strings, tuples and any other Python type, text with lone surrogates,
    integers of thousands of digits, and more than 200 levels (which includes values that contain themselves).
    """
    try:
        found = _problem(value, 0, Budget(MAX_NODES))
    except BudgetExceeded:
        return f"more than {MAX_NODES:,} values"
    if found is None:
        return None
    message, path = found
    return f"{message} at {pointer(reversed(path))}" if 0 < len(path) <= MAX_DEPTH else message


def pointer(path: Iterable[object]) -> str:
    """The JSON Pointer (RFC 6901) of the keys and indexes of *path*."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


_Found = tuple[str, list[object]]


def _problem(value: object, depth: int, budget: Budget) -> _Found | None:
    """The first problem in *value*, and its path, innermost key first."""
    kind = type(value)
    if kind is not dict and kind is not list:
        message = _scalar_problem(value)
        return None if message is None else (message, [])
    if depth >= MAX_DEPTH:
        return f"more than {MAX_DEPTH} levels of lists and objects", []
    children: Iterable[tuple[object, object]]
    children = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type] # a list
    for key, item in children:
        budget.spend()
        if kind is dict and (message := _key_problem(key)) is not None:
            return message, []
        found = _problem(item, depth + 1, budget)
        if found is not None:
            found[1].append(key)
            return found
    return None


def _scalar_problem(value: object) -> str | None:
    """The fault of a value that is neither a list nor an object."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if _is_encodable(value) else "text with half a surrogate pair"
    if isinstance(value, int):
        return None if value.bit_length() <= MAX_INTEGER_BITS else "an integer of thousands of digits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a JSON number"
    return f"a {type(value).__name__} is not a JSON value"


def _key_problem(key: object) -> str | None:
    """The fault of an object's key."""
    if not isinstance(key, str):
        return f"the key {key!r} is not a string"
    return None if _is_encodable(key) else "a key with half a surrogate pair"


def _is_encodable(text: str) -> bool:
    """Whether *text* can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
