"""Compression of large values; small ones stay as they are.

Pure. The encoding is stored beside the value, so the threshold may change at any time.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PLAIN", "THRESHOLD", "ZSTD", "ZstdError", "digests", "pack", "unpack"]

PLAIN = "json"
ZSTD = "zstd"
THRESHOLD = 4096
"""Size in bytes from which a value is compressed."""

_DIGEST = re.compile(rb'"digest":"([0-9a-f]{40})"')


def pack(data: bytes) -> tuple[str, bytes]:
    """Encoding and stored form of *data*; data that would not shrink stays as it is."""
    if len(data) >= THRESHOLD:
        compressed = _compress(data)
        if len(compressed) < len(data):
            return ZSTD, compressed
    return PLAIN, data


def unpack(encoding: str, data: bytes) -> bytes:
    """The data that `pack` encoded. Raises `ZstdError` if it is damaged."""
    return data if encoding == PLAIN else _decompress(data)


def digests(event: bytes) -> Iterable[str]:
    """Digests of the values that an encoded event refers to."""
    return (match.decode() for match in _DIGEST.findall(event))


if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
    from compression.zstd import compress as _compress
    from compression.zstd import decompress as _decompress
else:
    from backports.zstd import ZstdError
    from backports.zstd import compress as _compress
    from backports.zstd import decompress as _decompress
