"""The operations of JSONPath queries on JSON values, as closures, each within a budget of steps.

Pure. It does not handle text; RFC 9535 states the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from engine.json.values import Budget, is_number, same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_RESULT: Final = 16_000_000
"""Values and characters of text in a list of matches; repeated matches count each time."""


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""No value: the result of a singular path that finds nothing, since null is a value."""

Query = Callable[[Any, Any, Budget], list[Any]]
"""A compiled query: current value, root value and budget to the values it selects."""
Selector = Callable[[Any, Any, Budget, list[Any]], None]
"""A compiled selector: appends what it selects of a value to the list."""
Test = Callable[[Any, Any, Budget], bool]
"""A compiled filter expression."""
Value = Callable[[Any, Any, Budget], Any]
"""A compiled side of a comparison; returns `MISSING` if there is no value."""


def chain(segments: Sequence[Query]) -> Query:
    """The query that applies each segment to everything that the previous one selected."""

    def run(value: object, root: object, budget: Budget) -> list[Any]:
        found = [value]
        for apply in segments:
            found = apply(found, root, budget)
        return found

    return run


def segment(selectors: Sequence[Selector]) -> Query:
    """The segment of *selectors*: each is applied to each value, in order."""

    def run(values: list[Any], root: object, budget: Budget) -> list[Any]:
        found: list[Any] = []
        for value in values:
            for selector in selectors:
                budget.spend()
                selector(value, root, budget, found)
        return found

    return run


def descendants(values: list[Any], _root: object, budget: Budget) -> list[Any]:
    """Each of *values* and everything in it, parents first."""
    found: list[Any] = []
    waiting = values[::-1]
    while waiting:
        value = waiting.pop()
        found.append(value)
        children = _children(value)
        budget.spend(1 + len(children))
        waiting.extend(reversed(children))
    return found


def by_name(name: str) -> Selector:
    def run(value: object, _root: object, _budget: Budget, found: list[Any]) -> None:
        if isinstance(value, Mapping) and name in value:
            found.append(value[name])

    return run


def by_index(index: int) -> Selector:
    def run(value: object, _root: object, _budget: Budget, found: list[Any]) -> None:
        if _is_list(value) and -len(value) <= index < len(value):
            found.append(value[index])

    return run


def by_slice(wanted: slice) -> Selector:
    def run(value: object, _root: object, budget: Budget, found: list[Any]) -> None:
        if _is_list(value) and wanted.step != 0:
            budget.spend(len(range(*wanted.indices(len(value)))))
            found.extend(value[wanted])

    return run


def every(value: object, _root: object, budget: Budget, found: list[Any]) -> None:
    children = _children(value)
    budget.spend(len(children))
    found.extend(children)


def by_test(test: Test) -> Selector:
    def run(value: object, root: object, budget: Budget, found: list[Any]) -> None:
        children = _children(value)
        budget.spend(len(children))
        found.extend(child for child in children if test(child, root, budget))

    return run


def comparison(operator: str, left: Value, right: Value) -> Test:
    """RFC 9535, 2.3.5.2.2: nothing equals nothing, and only two numbers or two strings have an order."""
    holds = COMPARISONS[operator]

    def run(value: object, root: object, budget: Budget) -> bool:
        budget.spend()
        return holds(left(value, root, budget), right(value, root, budget), budget)

    return run


def _equal(one: object, other: object, budget: Budget) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return same_json(one, other, budget)


def _less(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    ordered = (is_number(one) and is_number(other)) or (isinstance(one, str) and isinstance(other, str))
    return ordered and one < other


COMPARISONS: dict[str, Callable[[Any, Any, Budget], bool]] = {
    "==": _equal,
    "!=": lambda one, other, budget: not _equal(one, other, budget),
    "<": lambda one, other, _budget: _less(one, other),
    ">": lambda one, other, _budget: _less(other, one),
    "<=": lambda one, other, budget: _less(one, other) or _equal(one, other, budget),
    ">=": lambda one, other, budget: _less(other, one) or _equal(one, other, budget),
}


def length(value: object) -> object:
    return len(value) if isinstance(value, str | list | tuple | Mapping) else MISSING


def _children(value: object) -> Sequence[Any]:
    """The direct children of *value*, in order."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if _is_list(value) else ()


def holds_more(value: object) -> bool:
    """Whether *value* is a list or an object, even an empty one."""
    return isinstance(value, Mapping) or _is_list(value)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def weigh(matches: list[Any]) -> None:
    """Raise `BudgetExceeded` if *matches*, written out, would be far larger than the value they come from."""
    budget = Budget(MAX_RESULT)
    waiting = list(matches)
    while waiting:
        value = waiting.pop()
        budget.spend(1 + (len(value) if isinstance(value, str) else 0))
        waiting.extend(_children(value))
