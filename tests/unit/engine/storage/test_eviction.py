"""Which entries leave a full shelf."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.eviction import Entry, Eviction, Shelf

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _entry(size: int = 10, *, minutes: int | None = None) -> Entry:
    return Entry("json", b"x" * size, None if minutes is None else NOON + timedelta(minutes=minutes))


def _shelf(eviction: Eviction, *, max_bytes: int = 30, minutes: tuple[int | None, ...] = (None, None, None)) -> Shelf:
    """A shelf with the entries a, b, c of ten bytes."""
    shelf = Shelf(max_bytes, eviction)
    for digest, end in zip("abc", minutes, strict=True):
        shelf.put(digest, _entry(minutes=end))
    return shelf


def _kept(shelf: Shelf) -> str:
    return "".join(digest for digest in "abcdefg" if digest in shelf)


def test_the_least_recently_used_entry_leaves_first() -> None:
    shelf = _shelf(Eviction.LRU)
    shelf.get("a")
    shelf.put("d", _entry())
    assert _kept(shelf) == "acd"


def test_the_least_frequently_used_entry_leaves_first() -> None:
    shelf = _shelf(Eviction.LFU)
    for digest in "aabcc":
        shelf.get(digest)
    shelf.put("d", _entry())
    assert _kept(shelf) == "acd"


def test_the_entry_that_ends_soonest_leaves_first() -> None:
    shelf = _shelf(Eviction.TTL, minutes=(5, 1, 9))
    shelf.put("d", _entry())
    assert _kept(shelf) == "acd"
    shelf.put("e", _entry())
    assert _kept(shelf) == "cde"


def test_entries_without_an_end_leave_by_use_once_the_others_are_gone() -> None:
    shelf = _shelf(Eviction.TTL, minutes=(None, 1, None))
    shelf.get("a")
    shelf.put("d", _entry(20))
    assert _kept(shelf) == "ad"


@pytest.mark.parametrize("eviction", Eviction)
def test_an_entry_whose_time_is_over_leaves_whatever_the_policy(eviction: Eviction) -> None:
    shelf = _shelf(eviction, minutes=(5, 1, None))
    shelf.drop_ended(NOON + timedelta(minutes=1))
    assert _kept(shelf) == "ac"
    assert shelf.size == 20


def test_a_value_put_in_again_lasts_as_long_as_the_later_end_says() -> None:
    shelf = Shelf(100, Eviction.LRU)
    for minutes in (5, 9, 2):
        shelf.put("a", _entry(minutes=minutes))
    shelf.drop_ended(NOON + timedelta(minutes=8))
    assert _kept(shelf) == "a"
    shelf.drop_ended(NOON + timedelta(minutes=9))
    assert _kept(shelf) == ""


def test_a_value_put_in_again_without_an_end_has_none() -> None:
    shelf = Shelf(100, Eviction.TTL)
    shelf.put("a", _entry(minutes=5))
    shelf.put("a", _entry())
    shelf.drop_ended(NOON + timedelta(days=1))
    assert _kept(shelf) == "a"


def test_an_entry_larger_than_the_shelf_is_left_out_and_moves_nothing() -> None:
    shelf = _shelf(Eviction.LRU)
    shelf.put("d", _entry(31))
    assert _kept(shelf) == "abc"
    assert shelf.get("d") is None


def test_a_cleared_shelf_is_empty() -> None:
    shelf = _shelf(Eviction.TTL, minutes=(1, 2, 3))
    shelf.clear()
    assert (len(shelf), shelf.size) == (0, 0)


@given(
    eviction=st.sampled_from(Eviction),
    puts=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 40), st.none() | st.integers(0, 9))),
)
def test_a_shelf_never_holds_more_than_its_limit(eviction: Eviction, puts: list[tuple[str, int, int | None]]) -> None:
    shelf = Shelf(30, eviction)
    sizes: dict[str, int] = {}
    for digest, size, minutes in puts:
        size_of_digest = sizes.setdefault(digest, size)  # equal digests are equal values
        shelf.put(digest, _entry(size_of_digest, minutes=minutes))
        assert shelf.size <= 30
        assert shelf.size == sum(sizes[kept] for kept in _kept(shelf))
        assert len(shelf) == len(_kept(shelf))
        assert (digest in shelf) == (size_of_digest <= 30)
