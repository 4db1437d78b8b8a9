"""The law of patterns: what is accepted matches as the standard library does, where the two dialects are the same."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from engine.json.patterns import found_in, pattern_problem

CHARACTERS = "ab-[].^ \t\u00a0é"
MEMBERS = ["a", "b", "a-b", r"\d", r"\s", r"\S", r"\-", r"\]", r"\.", r"\u00e9", "é"]
classes = st.tuples(st.sampled_from(["", "^"]), st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=3)).map(
    lambda parts: f"[{parts[0]}{''.join(parts[1])}]"
)
patterns = st.recursive(
    st.one_of(classes, st.sampled_from(["a", "b", r"\.", r"\[", r"\s", r"\S", ".", r"\u00e9", "(?:)"])),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "+?"])).map(
            lambda part: f"(?:{part[0]}){part[1]}"
        ),
    ),
    max_leaves=7,
)


@given(patterns, st.text(CHARACTERS, max_size=12), st.sampled_from(["{}", "^{}", "^(?:{})$"]))
@example(r"[\S]", "\u00a0", "{}")
def test_a_pattern_matches_what_the_standard_library_matches(pattern: str, text: str, place: str) -> None:
    whole = place.format(pattern)
    assert pattern_problem(whole) is None
    assert found_in(whole, text) == (re.search(whole.replace("$", r"\Z"), text) is not None)


@given(st.text(max_size=30))
def test_any_text_as_a_pattern_has_an_answer(pattern: str) -> None:
    problem = pattern_problem(pattern)
    assert problem or isinstance(found_in(pattern, pattern), bool)
