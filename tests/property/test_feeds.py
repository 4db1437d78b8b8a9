"""Laws of the live feed: a snapshot and what came after it is the later snapshot, whatever happens to the run."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.json.patches import patch_between
from engine.views.feed import REMEMBERED, Feed
from engine.views.live import run_document
from tests.property.test_scheduling import Story
from tests.support.feeds import Gap, Reader, merged
from tests.support.random_commands import random_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCALARS = st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"])
KEYS = st.sampled_from("abcd")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_new_object_of_the_old_and_is_empty_only_for_equal_ones(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    patch = patch_between(old, new)
    assert merged(old, patch) == new
    assert (not patch) == (old == new)


@given(st.lists(OBJECTS, min_size=1, max_size=8), st.data())
def test_a_reader_that_asks_at_any_time_has_the_newest_document(
    documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    feed, reader = Feed("f"), Reader()
    for document in documents:
        changed = feed.look(document)
        assert changed or reader.document == document or feed.number > reader.number
        if data.draw(st.booleans()):
            reader.take(feed.since(reader.number, reader.feed or None))
            assert reader.document == document
    reader.take(feed.since(reader.number))
    assert (reader.document, reader.number) == (documents[-1], feed.number)
    assert not feed.since(reader.number)


@given(st.lists(OBJECTS, min_size=3, max_size=8, unique_by=lambda one: json.dumps(one, sort_keys=True)), st.data())
def test_a_reader_that_misses_a_patch_notices_it_and_one_that_hears_it_twice_ignores_it(
    documents: list[dict[str, Any]], data: st.DataObject
) -> None:
    feed = Feed("f")
    feed.look(documents[0])
    snapshot = feed.since(0)
    for document in documents[1:]:
        feed.look(document)
    news = feed.since(1)
    missed = data.draw(st.integers(0, len(news.patches) - 2))
    reader = Reader()
    reader.take(snapshot)
    with pytest.raises(Gap):
        reader.take(type(news)(news.feed, news.number, patches=(*news.patches[:missed], *news.patches[missed + 1 :])))
    reader.take(type(news)(news.feed, news.number, patches=(*news.patches[: missed + 1], *news.patches[missed:])))
    assert reader.document == documents[-1]


def test_a_reader_that_is_far_behind_or_comes_from_another_feed_gets_a_snapshot() -> None:
    feed = Feed("f")
    for number in range(REMEMBERED + 3):
        feed.look({"n": number})
    asks: list[tuple[Callable[[], Any], bool]] = [
        (lambda: feed.since(0), True),
        (lambda: feed.since(2), True),
        (lambda: feed.since(3), False),
        (lambda: feed.since(3, "another"), True),
        (lambda: feed.since(feed.number + 1), True),
    ]
    for ask, whole in asks:
        news = ask()
        assert (news.snapshot is not None) is whole
        assert news.number == feed.number


def leaves(value: object) -> Iterator[object]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    yield from (leaf for part in parts for leaf in leaves(part)) if parts else (value,)


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_whatever_happens_to_a_run_patches_lead_to_its_document_and_no_null_is_in_it(seed: int, size: int) -> None:
    dice = Random(seed)  # noqa: S311 - a test's
    story = Story(*random_family(dice, size))
    feed, reader = Feed("f"), Reader()

    def look() -> None:
        document = run_document(story.run, story.now, {})
        assert None not in leaves(document)
        before = feed.number
        assert feed.look(document) == (feed.number > before)
        reader.take(feed.since(reader.number))
        assert reader.document == document
        assert {one["phase"] for one in document["nodes"].values()} <= {int(key) for key in document["phases"]}

    look()
    for _ in range(15):
        if not story.run.ended:
            story.happen(dice)
        look()
    story.finish()
    look()
    assert reader.document["run"]["ended"]
    story.let_time_pass()
    assert not feed.look(run_document(story.run, story.now, {})), "time alone changes nothing"
