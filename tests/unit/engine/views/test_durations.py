"""Times as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.views.durations import about, milliseconds, took


@pytest.mark.parametrize(
    ("seconds", "past", "coming"),
    [
        (0, "0.0s", "~1s"),
        (4.8, "4.8s", "~5s"),
        (59.9, "59.9s", "~60s"),
        (60, "1.0 min", "~1 min"),
        (552, "9.2 min", "~9 min"),
        (5400, "1.5 h", "~90 min"),
        (9000, "2.5 h", "~2 h"),
    ],
)
def test_a_time_is_rounded_for_reading(seconds: float, past: str, coming: str) -> None:
    assert took(timedelta(seconds=seconds)) == past
    assert about(timedelta(seconds=seconds)) == coming


def test_files_and_the_wire_count_whole_milliseconds() -> None:
    assert milliseconds(timedelta(seconds=1.2345)) == 1234
