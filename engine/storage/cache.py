"""The values of live runs in memory, bounded, before those on disk.

Effects: none but reading storage. Equal values are one entry; what is not committed yet is never evicted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from engine.errors import InternalError
from engine.storage.codec import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.run.events import ValueRef
    from engine.storage.port import Storage

MAX_CACHE_BYTES = 100 * 1024 * 1024
"""Default size limit (SPEC 3)."""


class ValueStore:
    """Puts values away and finds them again by reference."""

    def __init__(self, storage: Storage, *, max_bytes: int = MAX_CACHE_BYTES) -> None:
        """*max_bytes* bounds the encoded values kept in memory beside those on their way to disk."""
        self._storage = storage
        self._max_bytes = max_bytes
        self._cache: LRUCache[str, bytes] = LRUCache(max_bytes, getsizeof=len)
        self._uncommitted: dict[str, bytes] = {}
        self.hits = 0
        self.misses = 0

    def put(self, value: Any) -> ValueRef:  # noqa: ANN401 - any JSON value
        """Keep *value* until it is committed; gives its reference."""
        ref, data = encode_value(value)
        if ref.digest not in self._cache:
            self._uncommitted[ref.digest] = data
        return ref

    def get(self, ref: ValueRef) -> Any:  # noqa: ANN401 - any JSON value
        """The value of *ref*, a fresh copy that the caller may change."""
        return decode_value(self.encoded(ref))

    def encoded(self, ref: ValueRef) -> bytes:
        """The canonical JSON of *ref*'s value."""
        digest = ref.digest
        data = self._uncommitted.get(digest)
        if data is None:
            data = self._cache.get(digest)
        if data is not None:
            self.hits += 1
            return data
        self.misses += 1
        data = self._storage.value(digest)
        if data is None:
            raise InternalError(f"value {digest} is not in the journal", code="VALUE_LOST")
        self._keep(digest, data)
        return data

    def uncommitted(self) -> dict[str, bytes]:
        """Values that the next commit has to write."""
        return dict(self._uncommitted)

    def committed(self, values: Mapping[str, bytes]) -> None:
        """*values* are on disk: from now on they may be evicted."""
        for digest, data in values.items():
            self._uncommitted.pop(digest, None)
            self._keep(digest, data)

    def _keep(self, digest: str, data: bytes) -> None:
        if len(data) <= self._max_bytes:
            self._cache[digest] = data
