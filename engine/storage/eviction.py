"""A bounded shelf of stored values, and the policies that evict them when it is full.

Pure: the time comes in. Evicted values are still in the journal; `cache` reads them from there.
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
    """Which values a full cache evicts first; expired ones go before all others."""

    LRU = "lru"
    """The least recently used."""
    LFU = "lfu"
    """The least frequently used, and of these the oldest."""
    TTL = "ttl"
    """Those that expire soonest; if none expires, the least recently used."""


class Entry(NamedTuple):
    """One value as stored."""

    encoding: str
    data: bytes
    until: datetime | None
    """When it expires; None: never."""


def _bytes_of(entry: Entry) -> int:
    return len(entry.data)


class Shelf:
    """Entries by digest, never more than *max_bytes* of them."""

    def __init__(self, max_bytes: int, eviction: Eviction) -> None:
        """An empty shelf; an entry larger than *max_bytes* is not kept."""
        kind = LFUCache if eviction is Eviction.LFU else LRUCache
        self._entries: Cache[str, Entry] = kind(max_bytes, getsizeof=_bytes_of)
        self._soonest_first = eviction is Eviction.TTL
        self._ends: list[tuple[datetime, int, str]] = []
        """A heap of expiry times; an item for an entry that is gone or was put again is stale."""
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
        """Keep *entry*, evicting others to make room; one that is too large is left out.

        A value that is put again expires at the later of both times.
        """
        room = self.max_bytes - len(entry.data)
        if room < 0:
            return
        before = self._entries.get(digest)
        if before is not None:
            entry = entry._replace(until=later(before.until, entry.until))
        elif self._soonest_first:
            while self.size > room and self._ends:
                self._drop_soonest()
        self._entries[digest] = entry
        if entry.until is not None:
            heapq.heappush(self._ends, (entry.until, next(self._order), digest))

    def drop_ended(self, now: datetime) -> None:
        """Drop expired entries."""
        while self._ends and self._ends[0][0] <= now:
            self._drop_soonest()

    def clear(self) -> None:
        """Drop all entries."""
        self._entries.clear()
        self._ends.clear()

    def _drop_soonest(self) -> None:
        until, _, digest = heapq.heappop(self._ends)
        entry = self._entries.get(digest)
        if entry is not None and entry.until == until:
            del self._entries[digest]


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two expiry times; None, which never comes, is later than any."""
    return None if one is None or other is None else max(one, other)
