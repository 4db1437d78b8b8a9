"""Wakes tasks waiting for a run to change, or for something to commit.

Effects: only wakes tasks of this loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.ids import RunId


class Bell:
    """Wakes the one task that waits for it, again and again, for less than an `asyncio.Event` costs."""

    def __init__(self) -> None:
        self.rung = False
        """Whether it was rung since the task last heard it."""
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake the task, or let it go on when it comes to wait."""
        self.rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def heard(self) -> None:
        """Wait until it is rung, if it was not since the last time."""
        if not self.rung:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self.rung = False


class Notifier:
    """Wakes the waiters of a run after each commit and each heartbeat."""

    def __init__(self) -> None:
        self._waiters: defaultdict[RunId, dict[asyncio.Future[None], None]] = defaultdict(dict)

    def moved(self, run: RunId) -> None:
        """Wake all tasks that wait for *run*, in order of arrival."""
        waiters = self._waiters.pop(run, None)
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, run: RunId, seconds: float) -> bool:
        """Wait at most *seconds* for the next change of *run*; whether it changed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[run][waiter] = None
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiters[run].pop(waiter, None)
            if not self._waiters[run]:
                del self._waiters[run]
        return True
