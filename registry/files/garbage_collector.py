"""Pauses Python's cycle collector while one large command is read.

Effects: switches the collector of this process off and on. Checking ten thousand nodes makes a hundred thousand objects
and no garbage: each full pass of the collector walks all of them, which doubles the time per node.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No collection of cycles in the block, which must be short; the former state is restored in any case."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
