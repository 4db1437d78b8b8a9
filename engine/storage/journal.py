"""How a journal is known to be whole: one hash over all its events in their order, which the run's row tells.

Pure. What is found so is an accident: a lost page, an edited row. Whoever can write the events can write the row too.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from engine.errors import EnvironmentFault
from engine.ids import RunId
from engine.storage.codec import decode_event
from engine.storage.port import RunUnreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.run.events import Event


Row: TypeAlias = tuple[RunId, int, str, bytes]
"""An event as it is stored: run, place, kind, data."""


class Head(NamedTuple):
    """How far a journal goes."""

    events: int
    chain: bytes
    """The hash of all events to here."""


class Chain:
    """The hash of a journal, to which events are added as they are written or read."""

    def __init__(self, run: RunId) -> None:
        """Without any event; no two runs begin alike, so that none can take another's events."""
        self.events = 0
        self._hash = blake2b(run.encode(), digest_size=16)

    def gap(self, rows: Sequence[Row]) -> int | None:
        """The first place at which *rows* do not follow on; None where they do."""
        places = range(self.events, self.events + len(rows))
        found = [place for _run, place, _kind, _data in rows]
        if found == list(places):
            return None
        return next(place for place, seen in zip(places, found, strict=True) if place != seen)

    def add(self, rows: Sequence[Row]) -> None:
        """Add events; a kind is a word and data an object, so that no two series of them look alike."""
        self._hash.update(b"".join([kind.encode() + data for _run, _place, kind, data in rows]))
        self.events += len(rows)

    def head(self) -> Head:
        """How far it goes."""
        return Head(self.events, self._hash.digest())


def checked(run: RunId, rows: Sequence[Row], chain: Chain, end: Head) -> list[Event]:
    """The events of *rows*, which lead from *chain* to *end*; *chain* is there then.

    Raises `RunUnreadable` where one is missing, there twice, moved, or not what was written.
    """
    gap = chain.gap(rows)
    if gap is not None:
        raise RunUnreadable(run, f"event {gap} is missing")
    try:
        events = [decode_event(kind, data) for _run, _place, kind, data in rows]
        chain.add(rows)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunUnreadable(run, str(error)) from error
    check_end(run, chain, end)
    return events


def check_end(run: RunId, chain: Chain, end: Head) -> None:
    """Raise `RunUnreadable` where *chain* is not what its row says."""
    head = chain.head()
    if head.events != end.events:
        raise RunUnreadable(run, f"it has {head.events} events, and {end.events} were written")
    if head != end:
        raise RunUnreadable(run, "its events are not those that were written")


def misplaced(run: RunId, place: int) -> EnvironmentFault:
    """What there is to say of events that do not follow on: somebody else has written, or has not."""
    return _refused(run, f"event {place} does not follow on what is in it")


def rowless(run: RunId) -> EnvironmentFault:
    """What there is to say of events whose run has no row that could tell of them."""
    return _refused(run, "its row is gone")


def _refused(run: RunId, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the journal of run {run} cannot be written: {why}",
        code="STORAGE_FAILED",
        hint="Something else has changed the database. Runs that it interrupts go on with `orchestrate resume RUN`.",
    )
