"""What a person is shown is what is there."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.shown import HIDDEN, MAX_COMBINING_MARKS, MAX_GAP_LENGTH, clean, escaped, printable, within

STEERING = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
INVISIBLE = set("\u00ad\u200b\u2060\u2063\ufeff\u115f\u1160\u180e\u2800\u3164\uffa0\u034f\ufe00\U000e0041\U000e0100")

TRICKS = sorted(TURNING | INVISIBLE | set("\x00\x1b\x7f\x9b\r\n\t\u2028\u0301\u0e47\u20dd\u200d\ufe0f ❤👨a"))
odd = st.text(st.characters() | st.sampled_from(TRICKS))


def deceiving(text: str) -> set[str]:
    """The characters of *text* that steer, turn or hide."""
    return {letter for letter in text if unicodedata.category(letter) in STEERING or letter in TURNING | INVISIBLE}


@given(odd)
def test_one_item_is_one_line_without_anything_that_deceives(text: str) -> None:
    line = clean(text)
    assert len(line.splitlines()) <= 1
    assert not deceiving(line)
    assert "  " not in line
    assert line == line.strip()
    assert clean(line) == line


@given(odd)
def test_a_text_keeps_its_lines_and_nothing_that_deceives(text: str) -> None:
    kept = printable(text)
    assert kept.count("\n") == text.count("\n")
    assert not deceiving(kept) - {"\n", "\t"}
    assert printable(kept) == kept


@given(odd)
def test_no_further_line_of_a_text_can_pass_for_one_of_ours(text: str) -> None:
    _, *further = within(text, "  | ").split("\n")
    assert all(line.startswith("  |") for line in further)
    assert " " * (MAX_GAP_LENGTH + 4) not in within(text, "")
    assert not deceiving(within(text, "")) - {"\n", "\t"}


@given(odd)
def test_marks_do_not_pile_up_and_stand_on_a_letter(text: str) -> None:
    row = 0
    before = " "
    for letter in clean(text):
        row = row + 1 if unicodedata.category(letter) in {"Mn", "Me"} and letter not in "\ufe0e\ufe0f" else 0
        assert row <= MAX_COMBINING_MARKS
        assert not (row == 1 and before == " ")
        before = letter


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="".join(INVISIBLE))))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == printable(text) == text


@given(st.recursive(st.none() | odd, lambda inner: st.lists(inner) | st.dictionaries(odd, inner)))
def test_json_says_the_same_without_what_deceives(value: object) -> None:
    text = escaped(json.dumps(value, ensure_ascii=False, indent=1))
    assert not deceiving(text) - {"\n"}
    assert json.loads(text) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" a\x1b[31m\nb\u202e ", "a [31m b"),
        ("safe.sh" + " " * 500 + "evil", "safe.sh evil"),
        ("ev\u200bil", f"ev{HIDDEN}il"),
        ("ev\u200b\u200b\u2060il", f"ev{HIDDEN}il"),
        ("x\u3164\u2800\u00a0y", "x y"),
        ("e" + "\u0301" * 50 + "x", "e" + "\u0301" * MAX_COMBINING_MARKS + HIDDEN + "x"),
        ("\u0301a", f"{HIDDEN}a"),
        ("a\ufe0fb", f"a{HIDDEN}b"),
        ("a\uffffb", "a b"),
        ("✅ done\r/deploy", "✅ done /deploy"),
    ],
)
def test_a_trick_is_seen(text: str, line: str) -> None:
    assert clean(text) == line


JOINED = "\u0645\u06cc\u200c\u062e"
"""Persian with a joiner."""


@pytest.mark.parametrize("text", ["👨\u200d👩\u200d👧", "⚠️ ❤️ 1️⃣", JOINED, "क्ष", "naïve façade", "אבג", "ไม่"])
def test_what_scripts_and_emoji_need_stays(text: str) -> None:
    assert clean(text) == text


def test_beyond_a_limit_it_is_said_how_much_is_left_out() -> None:
    assert clean("a" * 30, limit=10) == "a" * 10 + "… (20 more characters)"
    assert clean("a" * 10, limit=10) == "a" * 10


def test_many_empty_lines_push_nothing_out_of_sight() -> None:
    assert within("a\n\n\n\n\n\n \n\nb\n\nc", "- ") == "a\n- \n- b\n- \n- c"
