"""What is read from a damaged journal: nothing, or the run that was written; never another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EnvironmentFault, InternalError
from engine.run import events as ev
from engine.run.reducer import apply, create, fold
from engine.storage.codec import encode_event
from engine.storage.journal import Chain, Head, Row, checked
from tests.property.test_scheduling import STEPS, Story
from tests.support.by_hand import RUN, comparable
from tests.support.random_commands import random_family
from tests.support.recorded import JOURNALS, journal

GOLDEN = [journal(path)[0] for path in JOURNALS]


def written(events: Sequence[ev.Event]) -> tuple[list[Row], Head]:
    """The rows of a journal, and how far its run's row says that it goes."""
    rows = [(RUN, place, *encode_event(event)) for place, event in enumerate(events)]
    chain = Chain(RUN)
    chain.add(rows)
    return rows, chain.head()


def dropped(rows: list[Row], place: int, _dice: Random) -> None:
    """One event is gone."""
    del rows[place]


def doubled(rows: list[Row], place: int, _dice: Random) -> None:
    """One event is there twice."""
    rows.insert(place, rows[place])


def swapped(rows: list[Row], place: int, dice: Random) -> None:
    """Two events have changed places."""
    other = dice.randrange(len(rows))
    rows[place], rows[other] = (RUN, place, *rows[other][2:]), (RUN, other, *rows[place][2:])


def damaged(rows: list[Row], place: int, dice: Random) -> None:
    """One byte of an event is another."""
    kind, data = rows[place][2:]
    at = dice.randrange(len(data))
    rows[place] = (RUN, place, kind, data[:at] + bytes([data[at] ^ dice.randrange(1, 256)]) + data[at + 1 :])


def of_another_kind(rows: list[Row], place: int, dice: Random) -> None:
    """One event is said to be another."""
    rows[place] = (RUN, place, dice.choice(rows)[2], rows[place][3])


HARMS: tuple[Callable[[list[Row], int, Random], None], ...] = (dropped, doubled, swapped, damaged, of_another_kind)


def check(events: Sequence[ev.Event], place: int, harm: Callable[[list[Row], int, Random], None], seed: int) -> None:
    """The law."""
    rows, head = written(events)
    harm(rows, place, Random(seed))  # noqa: S311 - repeatable by intent
    numbered = [(RUN, place, *row[2:]) for place, row in enumerate(rows)]
    for seen in (rows, numbered):  # with the harm, and with all traces of it in the numbers removed
        read = told = None
        try:
            read = checked(RUN, seen, Chain(RUN), head)
        except EnvironmentFault as fault:
            told = fault.code
        assert (told == "RUN_UNREADABLE") if read is None else (comparable(fold(read)) == comparable(fold(events)))


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("events", GOLDEN, ids=[path.stem for path in JOURNALS])
def test_a_journal_with_one_event_wrong_is_refused_or_read_as_it_was(
    events: list[ev.Event], harm: Callable[[list[Row], int, Random], None]
) -> None:
    for place in range(len(events)):
        check(events, place, harm, place)


def random_journal(seed: int, size: int) -> list[ev.Event]:
    """The journal of a run to which anything has happened that can happen."""
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    story = Story(*random_family(dice, size))
    for _ in range(dice.randrange(STEPS)):
        if not story.run.ended:
            story.happen(dice)
    story.finish()
    return story.events


@given(seed=st.integers(0, 2**64), size=st.integers(1, 3), harm=st.sampled_from(HARMS))
def test_a_random_journal_with_one_event_wrong_is_refused_or_read_as_it_was(
    seed: int, size: int, harm: Callable[[list[Row], int, Random], None]
) -> None:
    events = random_journal(seed, size)
    for turn in range(8):
        check(events, Random(seed + turn).randrange(len(events)), harm, turn)  # noqa: S311 - repeatable by intent


@given(seed=st.integers(0, 2**64), size=st.integers(1, 3))
def test_no_event_happens_twice(seed: int, size: int) -> None:
    """Without any chain: a run knows by itself that what has happened cannot happen once more."""
    check_nothing_twice(random_journal(seed, size))


@pytest.mark.parametrize("events", GOLDEN, ids=[path.stem for path in JOURNALS])
def test_no_recorded_event_happens_twice(events: list[ev.Event]) -> None:
    check_nothing_twice(events)


def check_nothing_twice(events: Sequence[ev.Event]) -> None:
    """Each event, given twice, is refused or changes nothing but the number of events."""
    run = None
    for place, event in enumerate(events):
        if not isinstance(event, ev.RunCreated):
            assert run is not None
            apply(run, event)
            twice = fold(events[: place + 1])
            try:
                apply(twice, event)
            except InternalError:
                pass
            else:
                twice.events -= 1
            assert comparable(twice) == comparable(run)
        else:
            run = create(event)


@pytest.mark.parametrize("events", GOLDEN, ids=[path.stem for path in JOURNALS])
def test_an_event_at_the_wrong_time_is_refused_before_anything_is_changed(events: list[ev.Event]) -> None:
    for length in range(1, len(events) + 1):
        before, run = comparable(fold(events[:length])), fold(events[:length])
        for event in events:
            try:
                apply(run, event)
            except InternalError:
                assert comparable(run) == before
            else:
                run = fold(events[:length])
