"""The operations of conditions on JSON values, as programs that the parser combines.

Pure. It does not handle text; the package's docstring states the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.conditions.faults import ConditionError, short
from engine.json.values import Budget, is_number, same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

Program = Callable[[Mapping[str, Any], Budget], Any]
"""A compiled part of an expression; returns its value."""


def constant(value: object) -> Program:
    return lambda _values, _budget: value


def truth(value: object, what: str) -> bool:
    """A boolean operand, null counting as false."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    message = f"{what} needs true or false, not {_kind(value)}"
    raise ConditionError(message, hint="Compare the value with something; values are not converted to true or false.")


def named(name: str) -> Program:
    """The value of *name*, which has to be there."""

    def run(values: Mapping[str, Any], _budget: Budget) -> object:
        if name not in values:
            message = f"There is no `{short(name)}`"
            raise ConditionError(message)
        return values[name]

    return run


def walk(base: Program, steps: Sequence[str | Program], *, strict: bool = False) -> Program:
    """Follow members and indexes from *base*; null as soon as one is missing, or with *strict* an error."""
    if strict:
        return _strict_walk(base, steps)

    def run(values: Mapping[str, Any], budget: Budget) -> object:
        value = base(values, budget)
        for step in steps:
            value = _member(value, step) if step.__class__ is str else _index(value, step(values, budget))  # type: ignore[operator]
        return value

    return run


def _strict_walk(base: Program, steps: Sequence[str | Program]) -> Program:
    def run(values: Mapping[str, Any], budget: Budget) -> object:
        value = base(values, budget)
        for step in steps:
            key = step if isinstance(step, str) else step(values, budget)
            if not _has(value, key, member=isinstance(step, str)):
                message = f"There is no `{short(str(key))}` in {_kind(value) if value is not None else 'null'}"
                raise ConditionError(message, hint="Let the schema of the output require it.")
            value = _member(value, key) if isinstance(step, str) else _index(value, key)
        return value

    return run


def _has(value: object, key: object, *, member: bool) -> bool:
    """Whether *value* has the member or index *key*."""
    if isinstance(value, Mapping):
        return (isinstance(key, str) and key in value) or (member and key == "length")
    if member:
        return key == "length" and isinstance(value, str | list | tuple)
    if not isinstance(value, list | tuple) or not is_number(key):
        return False
    return math.isfinite(key) and key == int(key) and -len(value) <= key < len(value)  # type: ignore[operator, call-overload, arg-type]


def _member(value: object, name: str) -> object:
    """`value.name`."""
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if name == "length" and isinstance(value, Mapping | str | list | tuple):
        return len(value)
    return None


def _index(value: object, key: object) -> object:
    """`value[key]`; a float is an index if it is whole."""
    if isinstance(value, Mapping):
        return value.get(key) if isinstance(key, str) else None
    if not isinstance(value, list | tuple) or not is_number(key):
        return None
    place = int(key) if math.isfinite(key) and key == int(key) else len(value)  # type: ignore[call-overload, arg-type]
    return value[place] if -len(value) <= place < len(value) else None


def size(value: object) -> int | None:
    """`size(value)`; null of null."""
    if value is None:
        return None
    if isinstance(value, Mapping | str | list | tuple):
        return len(value)
    message = f"size() needs a list, a string or an object, not {_kind(value)}"
    raise ConditionError(message)


def compare(operator: str, left: Program, right: Program) -> Program:
    """The program of one comparison."""
    if operator == "==":
        return lambda values, budget: _same(left(values, budget), right(values, budget), budget)
    if operator == "!=":
        return lambda values, budget: not _same(left(values, budget), right(values, budget), budget)
    if operator == "in":
        return lambda values, budget: _contains(right(values, budget), left(values, budget), budget)
    order = _ORDERS[operator]

    def run(values: Mapping[str, Any], budget: Budget) -> bool:
        one, other = left(values, budget), right(values, budget)
        comparable = (is_number(one) and is_number(other)) or (isinstance(one, str) and isinstance(other, str))
        return comparable and order(one, other)

    return run


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _same(one: object, other: object, budget: Budget) -> bool:
    """Equality, fast for the most common types."""
    if one is None or one.__class__ is bool:
        return one is other
    return same_json(one, other, budget)


def _contains(container: object, item: object, budget: Budget) -> bool:
    """`item in container`."""
    if isinstance(container, list | tuple):
        for candidate in container:
            budget.spend()
            if _same(candidate, item, budget):
                return True
        return False
    return isinstance(item, str) and isinstance(container, str | Mapping) and item in container


def _kind(value: object) -> str:
    """The type of *value* for a message; never its content, which may be a secret."""
    if isinstance(value, str):
        return "a string"
    if is_number(value):
        return "a number"
    if isinstance(value, bool):
        return "a boolean"
    return "an object" if isinstance(value, Mapping) else "a list"
