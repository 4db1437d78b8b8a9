"""What a hangup does to programs that a test starts.

Effects: changes the handler of SIGHUP, which programs inherit if it is ignored.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def hangups(handler: signal.Handlers) -> Iterator[None]:
    """Have programs that are started meanwhile heed hangups (SIG_DFL) or ignore them, as `nohup` does (SIG_IGN)."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
