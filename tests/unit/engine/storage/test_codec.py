"""Events and values as bytes, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from engine.ids import NodeId
from engine.model.plan import NodePlan
from engine.run.events import AttemptSucceeded
from engine.storage.codec import decode_event, decode_value, encode_event, encode_value
from tests.support.record_golden import journals


def test_every_event_comes_back_as_it_was() -> None:
    for events in journals().values():
        assert [decode_event(*encode_event(event)) for event in events] == events


def test_fields_that_have_their_defaults_are_not_stored() -> None:
    at, name = datetime(2026, 1, 1, tzinfo=UTC), NodeId("a")
    assert encode_event(AttemptSucceeded(at, name, 1)) == (
        "AttemptSucceeded",
        b'{"at":"2026-01-01T00:00:00Z","node":"a","number":1}',
    )
    assert b'"left":["1"]' in encode_event(AttemptSucceeded(at, name, 1, left=("1",)))[1]
    usual = NodePlan(id=name, index=0, phase=0, agent="worker", task="Work")
    assert msgspec.json.encode(usual) == b'{"id":"a","index":0,"phase":0,"agent":"worker","task":"Work"}'


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
