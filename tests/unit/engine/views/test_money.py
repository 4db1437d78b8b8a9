"""Money as people read it."""

from __future__ import annotations

import pytest

from engine.views.money import dollars


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (0.0032, "<$0.01"), (0.01, "$0.01"), (0.419, "$0.42"), (12.5, "$12.50")]
)
def test_less_than_a_cent_has_no_digits_that_nobody_pays(amount: float, text: str) -> None:
    assert dollars(amount) == text
