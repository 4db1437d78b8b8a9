"""What is a JSON value, and which two are the same."""

from __future__ import annotations

from typing import Any

import pytest

from engine.json import values
from engine.json.values import Budget, BudgetExceeded, is_number, json_problem, pointer, same_json


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "", "héllo 😀", [], {}, {"a": [1, {"b": None}]}, 10**4000, [[]] * 1000]
)
def test_json_values_have_no_problem(value: object) -> None:
    assert json_problem(value) is None


def nested(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "nan is not a JSON number"),
        ({"a": [float("inf")]}, "inf is not a JSON number at /a/0"),
        ({"a": {1: 2}}, "the key 1 is not a string at /a"),
        ({"x/y~": (1, 2)}, "a tuple is not a JSON value at /x~1y~0"),
        ([b"bytes"], "a bytes is not a JSON value at /0"),
        ([object()], "a object is not a JSON value at /0"),
        (["ok", "\ud800"], "text with half a surrogate pair at /1"),
        ({"\ud800": 1}, "a key with half a surrogate pair"),
        ([10**5000], "an integer of thousands of digits at /0"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_place(value: object, problem: str) -> None:
    assert json_problem(value) == problem


def test_two_hundred_levels_are_allowed_and_no_more() -> None:
    assert json_problem(nested(200)) is None
    assert str(json_problem(nested(201))).startswith("more than 200 levels of lists and objects")


def test_a_value_that_contains_itself_is_too_deep() -> None:
    value: list[Any] = []
    value += [value, value]
    assert str(json_problem(value)).startswith("more than 200 levels")


def test_references_shared_a_million_times_over_are_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_NODES", 1000)
    value: list[Any] = []
    for _ in range(40):
        value = [value, value]
    assert json_problem(value) == "more than 1,000 values"


def test_pointers_escape_tildes_and_slashes() -> None:
    assert pointer(["a/b", "~", 0]) == "/a~1b/~0/0"
    assert pointer([]) == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (0, None, False),
        ("1", 1, False),
        ("a", "a", True),
        ([1, [2]], [1.0, [2.0]], True),
        ([1], [True], False),
        ([1], (1,), True),
        ([1], [1, 2], False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, [1], False),
        ([1], {"a": 1}, False),
        (object(), object(), False),
    ],
)
def test_values_are_compared_deeply_and_never_coerced(one: object, other: object, same: bool) -> None:  # noqa: FBT001
    assert same_json(one, other, Budget(100)) is same
    assert same_json(other, one, Budget(100)) is same


def test_comparing_costs_a_step_for_each_pair_inside() -> None:
    assert same_json([1, 2, 3], [1, 2, 3], Budget(3))
    with pytest.raises(BudgetExceeded):
        same_json([1, 2, 3], [1, 2, 3], Budget(2))
    with pytest.raises(BudgetExceeded):
        same_json({"a": 1}, {"a": 1}, Budget(0))


def test_a_boolean_is_no_number() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not is_number(True)  # noqa: FBT003 - the value in question
    assert not is_number("1")
