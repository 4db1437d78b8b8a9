"""Events and values as bytes, and back."""

from __future__ import annotations

import pytest

from engine.storage.codec import decode_event, decode_value, encode_event, encode_value
from tests.support.record_golden import journals


def test_every_event_comes_back_as_it_was() -> None:
    for events in journals().values():
        assert [decode_event(*encode_event(event)) for event in events] == events


def test_an_event_of_an_unknown_kind_and_one_that_is_broken_are_named() -> None:
    with pytest.raises(ValueError, match="RunPainted"):
        decode_event("RunPainted", b"{}")
    for data in (b"{", b"{}", b'{"at": "yesterday"}', b"\xff"):
        with pytest.raises(ValueError, match="RunStarted"):
            decode_event("RunStarted", data)


def test_equal_values_have_one_reference_whatever_the_order_of_their_keys() -> None:
    one, other = encode_value({"a": 1, "b": [True, None]}), encode_value({"b": [True, None], "a": 1})
    assert one == other
    assert decode_value(one[1]) == {"a": 1, "b": [True, None]}
    assert one[0].size == len(one[1])
    assert encode_value(1)[0] != encode_value("1")[0]
