"""A bounded shelf of stored values, and which of them leave it when it is full.

Pure: the time comes in. What leaves the shelf is still in the journal; reading it from there is `cache`'s.
"""

from __future__ import annotations

import heapq
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from cachetools import Cache, LFUCache, LRUCache

if TYPE_CHECKING:
    from datetime import datetime


class Eviction(StrEnum):
    """Which values leave a full cache first; those past their time leave before all others."""

    LRU = "lru"
    """The least recently used."""
    LFU = "lfu"
    """The least frequently used, and of these the oldest."""
    TTL = "ttl"
    """Those whose time ends soonest; where none has a time to end, the least recently used."""


class Entry(NamedTuple):
    """One value as it is kept."""

    encoding: str
    data: bytes
    until: datetime | None
    """When it need not be kept any more; None: no end."""


def _bytes_of(entry: Entry) -> int:
    return len(entry.data)


class Shelf:
    """Entries by digest, never more than *max_bytes* of them."""

    def __init__(self, max_bytes: int, eviction: Eviction) -> None:
        """An empty shelf; an entry larger than *max_bytes* is not taken."""
        kind = LFUCache if eviction is Eviction.LFU else LRUCache
        self._entries: Cache[str, Entry] = kind(max_bytes, getsizeof=_bytes_of)
        self._soonest_first = eviction is Eviction.TTL
        self._ends: list[tuple[datetime, int, str]] = []
        """When entries end, a heap; what it says of an entry that is gone or was put in again is stale."""
        self._order = count()

    @property
    def max_bytes(self) -> int:
        """Its limit."""
        return int(self._entries.maxsize)

    @property
    def size(self) -> int:
        """Bytes of the entries."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def __contains__(self, digest: str) -> bool:
        """Whether there is an entry of *digest*; does not count as use."""
        return digest in self._entries

    def get(self, digest: str) -> Entry | None:
        """The entry of *digest*, which counts as used."""
        return self._entries.get(digest)

    def put(self, digest: str, entry: Entry) -> None:
        """Take *entry*, and let go of others where there is no room for it; one that is too large is left out.

        Put in once more, a value lasts as long as the later of its ends says.
        """
        room = self.max_bytes - len(entry.data)
        if room < 0:
            return
        before = self._entries.get(digest)
        if before is not None:
            entry = entry._replace(until=later(before.until, entry.until))
        elif self._soonest_first:
            while self.size > room and self._ends:
                self._let_go_of_soonest()
        self._entries[digest] = entry
        if entry.until is not None:
            heapq.heappush(self._ends, (entry.until, next(self._order), digest))

    def drop_ended(self, now: datetime) -> None:
        """Let go of the entries whose time is over."""
        while self._ends and self._ends[0][0] <= now:
            self._let_go_of_soonest()

    def clear(self) -> None:
        """Let go of all entries."""
        self._entries.clear()
        self._ends.clear()

    def _let_go_of_soonest(self) -> None:
        until, _, digest = heapq.heappop(self._ends)
        entry = self._entries.get(digest)
        if entry is not None and entry.until == until:
            del self._entries[digest]


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two ends; None, no end, is later than any."""
    return None if one is None or other is None else max(one, other)
