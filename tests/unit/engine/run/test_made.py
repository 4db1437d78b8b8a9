"""Values that are made of others have the size of what they are made of."""

from __future__ import annotations

import json

import pytest

from engine.model.policy import Merge
from engine.run.events import ValueRef
from engine.run.made import Folded, Listed, Literal, Named, Ref, size_of

HELLO, NUMBER = ValueRef("a" * 64, 7), ValueRef("b" * 64, 2)
"""As stored: `"hello"` and `42`."""


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        (HELLO, "hello"),
        (Literal(12), 12),
        (Listed(()), []),
        (Listed((HELLO, NUMBER)), ["hello", 42]),
        (Named((("number", Literal(1)), ("item", HELLO))), {"number": 1, "item": "hello"}),
    ],
)
def test_a_size_is_roughly_that_of_the_json(ref: Ref, value: object) -> None:
    length = len(json.dumps(value, separators=(",", ":")))
    assert length <= size_of(ref) <= length + 1


def test_joined_parts_count_together() -> None:
    assert size_of(Folded(((Merge.APPEND, HELLO), (Merge.APPEND, NUMBER)))) == 9
