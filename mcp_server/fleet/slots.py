"""How many attempts a worker makes at once, over all the queues that it serves, and whether it takes more of them.

No effects but on the event loop that it is made in. The library counts for each queue alone. A poll that waits for an
order reserves a slot there; so it does here for a single queue, but not for several, or a worker with more queues than
slots would leave some of them without a poll. So an order that a poll still brings when all slots are used runs too: at
most one for each further queue.

A worker that ends takes no new polls first, and returns what those bring that are under way (`duties.py`): the library
would end them, and the server loses an order that it hands to a poll at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from temporalio.worker import CustomSlotSupplier, SlotPermit

if TYPE_CHECKING:
    from temporalio.worker import SlotMarkUsedContext, SlotReleaseContext, SlotReserveContext


class SharedSlots(CustomSlotSupplier):
    """So many slots for the workers of all queues; made and awaited in one event loop."""

    def __init__(self, total: int, *, queues: int) -> None:
        self._total = total
        self._alone = queues == 1
        self._paused = False
        self._used = 0
        self._polls = 0
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.unpolled = asyncio.Event()
        """Set while no poll is under way."""
        self.unpolled.set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:  # noqa: ARG002 - the library's
        """Wait until a slot is free; then the queue may be polled."""
        while self._paused or self._used + (self._polls if self._alone else 0) >= self._total:
            self._changed.clear()
            await self._changed.wait()
        self._count(polls=1)
        return SlotPermit()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:  # noqa: ARG002 - the library's
        """No slots for orders that were not polled for."""
        return None

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:  # noqa: ARG002 - the library's
        """Count an order that a poll has brought; called in threads of the library."""
        self._soon(polls=-1, used=1)

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """The same for an order that is done, or a poll that brought none."""
        if ctx.slot_info is None:
            self._soon(polls=-1)
        else:
            self._soon(used=-1)

    def close(self) -> None:
        """From now on no slot is free."""
        self._total = 0

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state
        """Whether no slot is free for now."""
        self._paused = paused
        self._changed.set()

    def _soon(self, *, polls: int = 0, used: int = 0) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
            self._loop.call_soon_threadsafe(partial(self._count, polls=polls, used=used))

    def _count(self, *, polls: int = 0, used: int = 0) -> None:
        self._polls += polls
        self._used += used
        if self._polls > 0:
            self.unpolled.clear()
        else:
            self.unpolled.set()
        self._changed.set()
