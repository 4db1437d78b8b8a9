"""Runs are collected less often, and nobody else is for longer than they last."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from engine.runtime.garbage_collector import YOUNG, patient_collector


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    """The thresholds that Python starts with; those of the test run come back afterwards."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_the_threshold_is_higher_in_the_block_and_as_before_after_it() -> None:
    with patient_collector():
        assert gc.get_threshold() == (YOUNG, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


def test_of_blocks_that_overlap_the_last_to_end_restores() -> None:
    first, second = patient_collector(), patient_collector()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] == YOUNG
    second.__exit__(None, None, None)
    assert gc.get_threshold()[0] == 700


def test_an_error_in_the_block_restores_too() -> None:
    with pytest.raises(ValueError, match="broken"), patient_collector():
        raise ValueError("broken")
    assert gc.get_threshold()[0] == 700


@pytest.mark.parametrize("own", [0, YOUNG + 1])
def test_a_collector_that_is_off_or_more_patient_stays_so(own: int) -> None:
    gc.set_threshold(own, 10, 10)
    with patient_collector():
        assert gc.get_threshold()[0] == own
    assert gc.get_threshold()[0] == own
