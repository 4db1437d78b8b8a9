"""What a JSON value is: checking that something is one, and comparing two without any coercion.

Pure. Conditions, transforms and the context share it; merging and binding values is `context.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH = 200
"""Objects and lists inside each other; the standard library's JSON reader and writer are safe well beyond it."""
MAX_NODES = 5_000_000
"""Values inside one value; only shared references in Python objects come near it."""
MAX_INTEGER_BITS = 14_000
"""Some 4,200 digits: Python refuses to write longer integers as text."""

_Pairs = list[tuple[object, object]]
_SCALARS = frozenset({str, bool, type(None)})
_NUMBERS = frozenset({int, float})


class BudgetExceeded(Exception):
    """A bounded computation used up its steps; no user's error until the caller makes one of it."""


class Budget:
    """Steps that a computation on hostile input may still take."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        """Allow *steps* steps."""
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take *steps* off, or raise `BudgetExceeded`."""
        self.left -= steps
        if self.left < 0:
            raise BudgetExceeded


def is_number(value: object) -> bool:
    """Whether *value* is a JSON number: a boolean is none."""
    return type(value) in _NUMBERS


def same_json(left: object, right: object, budget: Budget) -> bool:
    """Deep equality of JSON values: 1 equals 1.0, and nothing equals a value of another type.

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
    """Whether two lists are equally long; their items join the *pairs* still to be compared."""
    if len(one) != len(other):
        return False
    budget.spend(len(one))
    pairs.extend(zip(one, other, strict=True))
    return True


def _same_keys(one: Mapping[object, object], other: Mapping[object, object], pairs: _Pairs, budget: Budget) -> bool:
    """Whether two objects have the same keys; what these hold joins the *pairs* still to be compared."""
    if len(one) != len(other):
        return False
    budget.spend(len(one))
    if any(key not in other for key in one):
        return False
    pairs.extend((item, other[key]) for key, item in one.items())
    return True


def json_problem(value: object) -> str | None:
    """What keeps *value* from being written as JSON and read back the same, and where; None where nothing does.

    Refused: NaN and infinities, keys that are no strings, tuples and any other Python type, text with lone surrogates,
    integers of thousands of digits, and more than 200 levels (which is how a value that contains itself shows).
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
    """The first problem in *value*, and the way to it, innermost key first."""
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
    """What is wrong with a value that is neither a list nor an object."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if _is_encodable(value) else "text with half a surrogate pair"
    if isinstance(value, int):
        return None if value.bit_length() <= MAX_INTEGER_BITS else "an integer of thousands of digits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is no JSON number"
    return f"a {type(value).__name__} is no JSON value"


def _key_problem(key: object) -> str | None:
    """What is wrong with the key of an object."""
    if not isinstance(key, str):
        return f"the key {key!r} is no string"
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
