"""Values of the context at a version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.model.policy import Merge
from engine.run.events import ValueRef
from engine.run.lookup import own_parts
from engine.run.state import Contribution, Run
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Watched(list[Contribution]):
    """A list that counts how often one of its items is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as lists take it
        """The item at *place*."""
        self.looks += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Contribution]:
        """All items, one after the other."""
        for part in super().__iter__():
            self.looks += 1
            yield part


def run_with(parts: list[Contribution]) -> Run:
    run = ByHand(command(phase("one", node("a")))).run
    run.context["seen"] = parts
    return run


def part(version: int, merge: Merge) -> Contribution:
    return Contribution(version, ValueRef(f"{version}", 1), merge, None, NOON)


def test_the_last_of_many_values_is_found_without_looking_at_the_others() -> None:
    parts = Watched(part(version, Merge.REPLACE) for version in range(1, 1001))
    assert own_parts(run_with(parts), "seen", 2000) == (parts[-1],)
    assert parts.looks < 6


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(Merge)), max_size=8), st.integers(0, 20))
def test_a_value_consists_of_what_came_after_the_last_replacement(steps: list[tuple[int, Merge]], seen: int) -> None:
    parts, version = [], 0
    for step, merge in steps:
        version += step
        parts.append(part(version, merge))
    expected: list[Contribution] = []
    for one in (one for one in parts if one.version <= seen):
        expected = [one] if one.merge is Merge.REPLACE else [*expected, one]
    assert own_parts(run_with(parts), "seen", seen) == tuple(expected)
