"""A list is used as it is, or refused with one clear error."""

from __future__ import annotations

from typing import Any

import pytest

from engine.ids import NodeId
from engine.model.plan import ForEach, NodePlan
from engine.model.policy import InputSpec
from engine.values.items import MAX_SHOWN, MAX_SHOWN_LENGTH, Items, items_of


def looked_at(value: object, *, required: bool = True, **fields: Any) -> Items:  # noqa: ANN401 - fields of ForEach
    inputs = (InputSpec(key="files", required=required),)
    plan = NodePlan(id=NodeId("cover"), index=0, phase=0, agent="worker", task="Cover", inputs=inputs)
    return items_of(plan, ForEach(items="files", **fields), value)


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("a.py, b.py", "ITEMS_NOT_A_LIST", "a text, not a list"),
        (7, "ITEMS_NOT_A_LIST", "a number, not a list"),
        (True, "ITEMS_NOT_A_LIST", "a boolean, not a list"),
        (None, "ITEMS_NOT_A_LIST", "null, not a list"),
        ({"files": []}, "ITEMS_NOT_A_LIST", "an object, not a list"),
        ([0] * 1_000_000, "TOO_MANY_ITEMS", "1000000 items, more than 100"),
    ],
)
def test_what_is_no_list_of_a_fair_length_is_refused(value: object, code: str, words: str) -> None:
    found = looked_at(value)
    assert found.unusable is not None
    assert (found.unusable.code, found.items) == (code, ())
    assert words in found.unusable.message


def test_an_optional_list_may_be_missing_but_not_be_something_else() -> None:
    assert looked_at(None, required=False) == Items()
    assert looked_at("text", required=False).unusable is not None


@pytest.mark.parametrize("item", [nested(100), "x" * 5_000_000, {"a": ["b"] * 100_000}])
def test_items_may_be_deep_or_large_and_are_shown_short(item: object) -> None:
    found = looked_at([item])
    assert found.items == (item,)
    assert all(len(text) <= MAX_SHOWN_LENGTH for text in found.first)


def test_only_the_first_items_are_shown() -> None:
    assert looked_at(list(range(50))).first == tuple(str(number) for number in range(MAX_SHOWN))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"path": "a"}, {"path": "a"}], 'Items 1 and 2 of node "cover" have one name, "a"'),
        ([{"path": 1}, {"path": "1"}], 'have one name, "1"'),
        ([{}], "finds nothing"),
        ([{"path": None}], "finds null"),
        ([{"path": True}], "finds a boolean"),
        ([{"path": ["a"]}], "finds a list"),
        ([{"path": ""}], "finds a text"),
        ([{"path": "x" * 201}], "finds a text"),
        (["a"], "finds nothing"),
    ],
)
def test_each_item_needs_a_name_of_its_own(items: list[Any], words: str) -> None:
    found = looked_at(items, key="$.path")
    assert found.unusable is not None
    assert (found.unusable.code, found.items) == ("BAD_ITEM_KEY", ())
    assert words in found.unusable.message


def test_names_are_texts_or_numbers() -> None:
    assert looked_at([{"id": 1}, {"id": "b"}, {"id": 2.5}], key="$.id").keys == ("1", "b", "2.5")
