"""What is stored is what comes back, small where that helps."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.compression import PLAIN, THRESHOLD, ZSTD, digests, pack, unpack


@given(st.binary(max_size=40), st.integers(1, 500))
def test_what_was_packed_comes_back(data: bytes, times: int) -> None:
    assert unpack(*pack(data * times)) == data * times


def test_small_values_stay_as_they_are() -> None:
    assert pack(b"x" * (THRESHOLD - 1))[0] == PLAIN


def test_large_values_become_smaller() -> None:
    encoding, stored = pack(b"x" * THRESHOLD)
    assert encoding == ZSTD
    assert len(stored) < 100


def test_what_does_not_become_smaller_stays_as_it_is() -> None:
    noise = random.Random(1).randbytes(THRESHOLD)  # noqa: S311 - repeatable by intent
    assert pack(noise) == (PLAIN, noise)


def test_the_digests_in_an_event_are_found() -> None:
    one, two = "a" * 40, "0" * 40
    event = f'{{"outputs":{{"x":{{"digest":"{one}","size":1}},"y":{{"digest":"{two}","size":2}}}}}}'
    assert list(digests(event.encode())) == [one, two]
