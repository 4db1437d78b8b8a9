"""Heartbeats of a process: for other machines, and to know later since when it has been dead.

Effects: one task, which renews the record of the owner.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.statefolder.owners import RENEWAL_SECONDS

if TYPE_CHECKING:
    from engine.runtime.clock import Clock
    from engine.runtime.live_runs import LiveRuns
    from engine.runtime.owner import Owner
    from engine.runtime.recovery import Recovery


async def send_heartbeats(owner: Owner, live_runs: LiveRuns, recovery: Recovery, clock: Clock) -> None:
    """Renew the record of *owner* until cancelled; it shows a time that every journal knows.

    A dropped run may have lived until the last time shown, and its journal may lack a jump of the clock since then.
    Until that is recorded, the owner lives, and its time stands still.
    """
    shown = clock.now()
    while True:
        await asyncio.sleep(RENEWAL_SECONDS)
        now = clock.now()
        with contextlib.suppress(OrchestrationError, OSError):  # the next writer reports what is wrong with the disk
            await live_runs.committed()  # including a jump of the clock before it
            shown = min(shown, now) if recovery.lost else now
            await asyncio.to_thread(owner.renew, shown)
