from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.variables import malformed, needed, references, resolve

VALUES = {"TOKEN": "t0k", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$TOKEN", "t0k"),
        ("${TOKEN}", "t0k"),
        ("Bearer $TOKEN!", "Bearer t0k!"),
        ("$TOKEN_2/$TOKEN", "/t0k"),
        ("${MISSING:-as given}", "as given"),
        ("${EMPTY:-as given}", "as given"),
        ("${TOKEN:-as given}", "t0k"),
        ("$$TOKEN", "$TOKEN"),
        ("$5 and $ and ${", "$5 and $ and ${"),
        ("", ""),
    ],
)
def test_references_are_replaced_and_the_rest_stays(text: str, expected: str) -> None:
    assert resolve(text, VALUES) == expected


def test_what_has_a_default_is_named_but_not_needed() -> None:
    text = "$A ${B} ${C:-} $$D"
    assert references(text) == ["A", "B", "C"]
    assert needed(text) == ["A", "B"]


@pytest.mark.parametrize(("text", "wrong"), [("a ${1X} b", "${1X} b"), ("${A", "${A"), ("$A ${B:-c} $$", None)])
def test_a_brace_that_holds_no_name_is_found(text: str, wrong: str | None) -> None:
    assert malformed(text) == wrong


@given(st.text())
def test_a_value_is_never_looked_into(value: str) -> None:
    assert resolve("${A}", {"A": value}) == value
    assert resolve(value.replace("$", "$$"), {}) == value
