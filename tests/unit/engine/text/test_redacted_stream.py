from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.text.redacted_stream import MAX_HELD_LENGTH, MAX_LINE_LENGTH, RedactedStream
from engine.text.redaction import MASK, redact

KEY = "sk-ant-" + "api03-abcdefghijklmnop_qrstuv"
PEM = (
    "-----BEGIN " + "PRIVATE KEY-----\n" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo\n" * 20 + "-----END PRIVATE KEY-----\n"
)
PARTS = [
    "a line\n",
    "word ",
    "\r",
    "\n\n",
    "password:\n",
    "  hunter2hunter2\n",
    "Bearer\n",
    KEY,
    PEM,
    "https://",
    ":x1y2@h ",
]


def taken(pieces: list[str]) -> str:
    stream = RedactedStream()
    return "".join([*(stream.take(piece)[0] for piece in pieces), stream.take("", last=True)[0]])


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.lists(st.integers(0, 4000), max_size=12))
def test_pieces_are_redacted_as_the_whole_text_is(parts: list[str], places: list[int]) -> None:
    text = "".join(parts)
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    assert taken([text[start:end] for start, end in pairwise(bounds)]) == redact(text)


def test_whole_lines_are_released_at_once() -> None:
    stream = RedactedStream()
    assert stream.take("one\ntwo\nthr") == ("one\ntwo\n", 0)
    assert stream.take("ee\n") == ("three\n", 0)
    assert stream.take("", last=True)[0] == ""


def test_lines_wait_while_a_secret_is_open() -> None:
    stream = RedactedStream()
    assert stream.take("start\npassword:\n") == ("start\n", 0)
    assert stream.take("hunter22 end\n") == (f"password:\n{MASK} end\n", 0)


def test_a_very_long_line_is_cut_between_words() -> None:
    stream = RedactedStream()
    text, left_out = stream.take("word " * MAX_LINE_LENGTH)
    assert text
    assert not left_out
    assert text.endswith(" ")
    assert text + stream.take("", last=True)[0] == "word " * MAX_LINE_LENGTH


def test_a_line_that_cannot_be_cut_is_left_out_and_the_next_one_is_shown() -> None:
    stream = RedactedStream()
    blob = "x" * (MAX_HELD_LENGTH + 1)
    assert stream.take(blob) == ("", len(blob))
    assert stream.take("xx") == ("", 2)
    assert stream.take("x\nnext\n") == ("next\n", 2)


def test_after_a_gap_neither_the_rest_of_a_line_nor_of_a_private_key_is_shown() -> None:
    stream = RedactedStream()
    stream.take("held")
    assert stream.skip() == len("held")
    rest = "half-a-secret\n" + PEM.partition("\n")[2]
    text, left_out = stream.take(rest + "fine\n")
    assert text == "-----END PRIVATE KEY-----\nfine\n"
    assert left_out == len(rest) - len("-----END PRIVATE KEY-----\n")


def test_a_private_key_whose_end_never_comes_holds_the_text_only_for_a_while() -> None:
    stream = RedactedStream()
    text = "-----BEGIN " + "PRIVATE KEY-----\n" + "an ordinary line\n" * 5000
    assert stream.take(text)[0]
