"""The integrity check of a journal: one hash over all its events in order, stored in the run's row.

Pure. It finds accidents: a lost page, an edited row. A program that can write the events can write the row too.
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
    """The end of a journal."""

    events: int
    chain: bytes
    """The hash of all events up to here."""


class Chain:
    """The hash of a journal; events are added as they are written or read."""

    def __init__(self, run: RunId) -> None:
        """Start without events; the run id is hashed first, so no run can pass with another's events."""
        self.events = 0
        self._hash = blake2b(run.encode(), digest_size=16)
        self._head = Head(0, self._hash.digest())

    def gap(self, rows: Sequence[Row]) -> int | None:
        """The first place that is missing in *rows*; None if they continue the chain."""
        for expected, (_run, place, _kind, _data) in enumerate(rows, self.events):
            if place != expected:
                return expected
        return None

    def add(self, rows: Sequence[Row]) -> None:
        """Add events; a kind is a word and data an object, so no two series hash the same bytes."""
        self._hash.update(b"".join([kind.encode() + data for _run, _place, kind, data in rows]))
        self.events += len(rows)
        self._head = Head(self.events, self._hash.digest())

    def head(self) -> Head:
        """The current end."""
        return self._head


def checked(run: RunId, rows: Sequence[Row], chain: Chain, end: Head) -> list[Event]:
    """The events of *rows*, which lead from *chain* to *end*; *chain* is advanced to it.

    Raises `RunUnreadable` if one is missing, duplicated, moved or changed.
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
    """Raise `RunUnreadable` if *chain* differs from what its row says."""
    head = chain.head()
    if head.events != end.events:
        raise RunUnreadable(run, f"it has {head.events} events instead of {end.events}")
    if head != end:
        raise RunUnreadable(run, "its events were changed")


def misplaced(run: RunId, place: int) -> EnvironmentFault:
    """The fault of events that do not continue the journal: another writer has interfered."""
    return _refused(run, f"event {place} does not continue it")


def rowless(run: RunId) -> EnvironmentFault:
    """The fault of events whose run has no row."""
    return _refused(run, "its row is gone")


def _refused(run: RunId, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the journal of run {run} cannot be written: {why}",
        code="STORAGE_FAILED",
        hint="Another program changed the database. Continue interrupted runs with `orchestrate resume RUN`.",
    )
