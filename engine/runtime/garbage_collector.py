"""The garbage collector, tuned for runs: what they make stays, so repeated collections find nothing.

Effects: changes the collector's first threshold for this process while an engine serves. Garbage is still collected.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG = 10_000
"""New objects per collection; with Python's default of 700, large runs spend a third of their time on it."""


class _Threshold:
    """The threshold, shared by all engines of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serving = 0
        self._found = 0

    def raise_it(self) -> None:
        with self._lock:
            self._serving += 1
            if self._serving == 1:
                self._found, *others = gc.get_threshold()
                if 0 < self._found < YOUNG:  # 0: the collector is switched off
                    gc.set_threshold(YOUNG, *others)

    def restore(self) -> None:
        with self._lock:
            self._serving -= 1
            if not self._serving:
                gc.set_threshold(self._found, *gc.get_threshold()[1:])


_threshold = _Threshold()


@contextlib.contextmanager
def patient_collector() -> Iterator[None]:
    """Collect less often during the block; of overlapping blocks, the last one to end restores the threshold."""
    _threshold.raise_it()
    try:
        yield
    finally:
        _threshold.restore()
