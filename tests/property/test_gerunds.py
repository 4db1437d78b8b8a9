"""Laws of active forms: any text has one, it ends with three dots, and only the ends of words change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.text.gerunds import active_form, gerund

words = st.sampled_from(
    ["run", "Analyze", "and", "then", ",", "/", "tests", "Set", "up", "to", "create", "code", "is", "(", "'", "-"]
)
texts = st.one_of(
    st.text(max_size=80), st.lists(words, max_size=12).map(" ".join), st.lists(words, max_size=8).map("".join)
)


@given(texts)
def test_any_text_has_a_form_that_ends_with_three_dots(text: str) -> None:
    form = active_form(text)
    assert form.endswith("...")
    assert form != "..."


@given(texts)
def test_a_form_has_as_many_words_as_its_text(text: str) -> None:
    stripped = text.strip().rstrip(".… \t\n\r")
    if stripped:
        assert len(active_form(text).split()) in {len(stripped.split()), len(text.split())}


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=3, max_size=12))
def test_a_gerund_ends_with_ing_and_begins_like_its_verb(verb: str) -> None:
    form = gerund(verb)
    assert form.endswith("ing")
    assert form.startswith(verb[:-2])
