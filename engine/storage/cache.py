"""A bounded in-memory cache of the values of live runs.

Effects: only reads storage. Equal values are one entry. A value is never evicted before it is committed, and an evicted
one is read from storage when it is needed again, so neither the size limit nor a TTL ever loses a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InternalError
from engine.storage import compression
from engine.storage.codec import decode_value, encode_value
from engine.storage.eviction import Entry, Eviction, Shelf, later

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from engine.run.events import ValueRef
    from engine.storage.port import Storage

MEGABYTE = 1024 * 1024
MAX_CACHE_BYTES = 100 * MEGABYTE
"""Default size limit (SPEC 3)."""


class ValueCache:
    """Stores values and finds them again by reference."""

    def __init__(
        self,
        storage: Storage,
        *,
        max_bytes: int = MAX_CACHE_BYTES,
        policy: Eviction | str = Eviction.LRU,
        compress: bool = True,
        now: Callable[[], datetime] | None = None,
        on_overflow: Callable[[int, int], None] | None = None,
    ) -> None:
        """See `configure` for the limits.

        Without *now* values do not expire. *on_overflow* is called with the limit and the size that exceeds it,
        once each time the limit is exceeded.
        """
        self._storage = storage
        self._now = now
        self._on_overflow = on_overflow
        self._uncommitted: dict[str, bytes] = {}
        self._until: dict[str, datetime | None] = {}
        """When the uncommitted values expire."""
        self._overflowing = False
        self.hits = 0
        self.misses = 0
        self.configure(max_bytes=max_bytes, policy=policy, compress=compress)

    def configure(
        self, *, max_bytes: int = MAX_CACHE_BYTES, policy: Eviction | str = Eviction.LRU, compress: bool = True
    ) -> None:
        """Restart with an empty cache; possible at any time, since storage has every value.

        *max_bytes* bounds the values kept in memory beside those being written to disk, *policy* (`lru`, `lfu`, `ttl`)
        says which are evicted first, *compress* keeps large ones compressed.
        """
        self._shelf = Shelf(max_bytes, Eviction(policy))
        self._compress = compress
        self._overflowing = False

    @property
    def size(self) -> int:
        """Bytes in memory: cached values and those being written to disk."""
        return self._shelf.size + sum(map(len, self._uncommitted.values()))

    @property
    def hit_rate(self) -> float:
        """The part of lookups answered from memory, from 0 to 1; 1 if there were none."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 1.0

    def put(self, value: Any, *, ttl: timedelta | None = None) -> ValueRef:  # noqa: ANN401 - any JSON value
        """Keep *value* until it is committed; returns its reference. The cache may drop it after *ttl*, from now."""
        ref, data = encode_value(value)
        digest = ref.digest
        until = self._now() + ttl if ttl is not None and self._now is not None else None
        if digest in self._uncommitted:
            until = later(self._until[digest], until)
        self._uncommitted[digest] = data  # even if it is cached: another process may have pruned it from disk
        self._until[digest] = until
        return ref

    def get(self, ref: ValueRef) -> Any:  # noqa: ANN401 - any JSON value
        """The value of *ref*, a fresh copy that the caller may change."""
        return decode_value(self.encoded(ref))

    def encoded(self, ref: ValueRef) -> bytes:
        """The canonical JSON of *ref*'s value."""
        digest = ref.digest
        data = self._uncommitted.get(digest)
        if data is not None:
            self.hits += 1
            return data
        entry = self._shelf.get(digest)
        if entry is not None:
            self.hits += 1
            return compression.unpack(entry.encoding, entry.data)
        self.misses += 1
        data = self._storage.value(digest)
        if data is None:
            raise InternalError(
                f"value {digest} is missing from the journal or damaged",
                code="VALUE_LOST",
                hint="Run the command again; this run cannot continue where it needs the value.",
            )
        self._keep({digest: data}, {})
        return data

    def renew(self, ref: ValueRef) -> bool:
        """Have a stored value written again by the next commit, as its run may be removed before that.

        False if it is gone already.
        """
        data = self._storage.value(ref.digest)
        if data is None:
            return ref.digest in self._uncommitted
        self._uncommitted[ref.digest] = data
        self._until[ref.digest] = None
        return True

    def uncommitted(self) -> dict[str, bytes]:
        """Values that the next commit has to write."""
        return dict(self._uncommitted)

    def committed(self, values: Mapping[str, bytes]) -> None:
        """Mark *values*, as returned by `uncommitted`, as durable: from now on they may be evicted."""
        if values:
            # A value put again meanwhile is written again: it may have been pruned in between.
            done = [digest for digest, data in values.items() if self._uncommitted.get(digest, data) is data]
            for digest in done:
                self._uncommitted.pop(digest, None)
            self._keep(
                {digest: values[digest] for digest in done}, {digest: self._until.pop(digest, None) for digest in done}
            )

    def clear(self) -> None:
        """Drop all committed values; used when no run needs them."""
        self._shelf.clear()
        self._overflowing = False

    def _keep(self, values: Mapping[str, bytes], ends: Mapping[str, datetime | None]) -> None:
        shelf = self._shelf
        if self._now is not None:
            shelf.drop_ended(self._now())
        entries = {digest: Entry(*self._packed(data), ends.get(digest)) for digest, data in values.items()}
        self._watch(shelf.size + sum(len(entry.data) for entry in entries.values()))
        for digest, entry in entries.items():
            shelf.put(digest, entry)

    def _packed(self, data: bytes) -> tuple[str, bytes]:
        return compression.pack(data) if self._compress else (compression.PLAIN, data)

    def _watch(self, size: int) -> None:
        """Report when *size* exceeds the limit; again only after it was well below, as a full cache stays near it."""
        limit = self._shelf.max_bytes
        if size > limit:
            if not self._overflowing and self._on_overflow is not None:
                self._on_overflow(limit, size)
            self._overflowing = True
        elif size < limit // 2:
            self._overflowing = False


def overflow_text(limit: int, size: int) -> str:
    """The guide's warning ("Memory exhaustion from context caching") with both sizes."""
    return (
        f"Warning: Context cache size exceeded {_megabytes(limit)}\n"
        f"Current size: {_megabytes(size)}\n"
        "Evicting oldest entries..."
    )


def _megabytes(size: int) -> str:
    return f"{round(size / MEGABYTE, 1):g}MB"
