from __future__ import annotations

import pytest

from engine.text.cut import cut, shorten, some


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("four.", "four."), ("five..", "five…"), ("one two three", "one …")]
)
def test_what_is_too_long_ends_in_an_ellipsis(text: str, expected: str) -> None:
    assert cut(text, 5) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("one two", "one two"), ("one two three", "one two…"), ("one two, three", "one…"), ("onetwothree", "onetwoth…")],
)
def test_a_sentence_is_cut_between_two_words(text: str, expected: str) -> None:
    assert shorten(text, 9) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_a_long_list_says_how_many_more_there_are(names: list[str], expected: str) -> None:
    assert some(names, 2) == expected
