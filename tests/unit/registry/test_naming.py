from __future__ import annotations

import pytest

from registry.naming import closest, edit_distance

AGENTS = [
    "architect-supreme",
    "documentation-expert",
    "senior-reviewer",
    "test-engineer",
    "Explore",
    "frontend-engineer",
]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("senoir-reviewer", "senior-reviewer"),
        ("Senior-Reviewer", "senior-reviewer"),
        ("senior_reviewer", "senior-reviewer"),
        ("seniorreviewer", "senior-reviewer"),
        ("Senior Reviewer", "senior-reviewer"),
        ("code-reviewer-pro", "senior-reviewer"),
        ("explore", "Explore"),
        ("test-enginer", "test-engineer"),
    ],
)
def test_the_name_that_was_meant_is_found(written: str, meant: str) -> None:
    assert closest(written, AGENTS) == meant


@pytest.mark.parametrize("written", ["", "---", "ml-model-trainer", "zzz"])
def test_a_name_near_to_none_has_no_suggestion(written: str) -> None:
    assert closest(written, AGENTS) is None


def test_without_candidates_there_is_no_suggestion() -> None:
    assert closest("senior-reviewer", []) is None


def test_among_equals_the_order_of_candidates_does_not_decide() -> None:
    assert closest("aby", ["abz", "abx"]) == closest("aby", ["abx", "abz"]) == "abx"


def test_a_very_long_name_costs_no_more_than_its_beginning() -> None:
    assert closest("x" * 10_000_000, AGENTS) is None


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("ca", "abc", 3)],
)
def test_a_swap_of_neighbours_is_one_step(left: str, right: str, distance: int) -> None:
    assert edit_distance(left, right) == distance
