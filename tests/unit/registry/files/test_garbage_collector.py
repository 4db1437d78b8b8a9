"""The cycle collector is as it was after a pause."""

from __future__ import annotations

import gc

import pytest

from registry.files.garbage_collector import collector_paused


def test_the_collector_pauses_and_goes_on_also_after_an_error() -> None:
    seen: list[bool] = []

    def fail() -> None:
        with collector_paused():
            seen.append(gc.isenabled())
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert seen == [False]
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
