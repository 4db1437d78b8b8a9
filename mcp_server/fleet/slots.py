"""How many attempts a worker makes at once, over all the queues that it serves.

No effects but on the event loop that it is made in. The library counts for each queue alone. A poll that waits for an
order reserves a slot there; here it does not, or a worker with more queues than slots would leave some of them without
a poll. So an order that a poll still brings when all slots are used runs too: at most one for each further queue. A
worker for one order returns such ones (`duties.py`), and keeps the polls that are under way meanwhile: the server
may lose an order that it hands to one that is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from temporalio.worker import CustomSlotSupplier, SlotPermit

if TYPE_CHECKING:
    from temporalio.worker import SlotMarkUsedContext, SlotReleaseContext, SlotReserveContext


class SharedSlots(CustomSlotSupplier):
    """So many slots for the workers of all queues; made and awaited in one event loop."""

    def __init__(self, total: int, *, once: bool = False) -> None:
        """*once*: a slot that was used is never free again."""
        self._total = total
        self._once = once
        self._used = 0
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Event()
        self._free.set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:  # noqa: ARG002 - the library's
        """Wait until a slot is free; then the queue may be polled."""
        await self._free.wait()
        return SlotPermit()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:  # noqa: ARG002 - the library's
        """No slots for orders that were not polled for."""
        return None

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:  # noqa: ARG002 - the library's
        """Count an order; called in threads of the library."""
        self._soon(1)

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """The same for an order that is done, or a poll that brought none."""
        if ctx.slot_info is not None:
            self._soon(-1)

    def _soon(self, change: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the worker with it
            self._loop.call_soon_threadsafe(self._count, change)

    def _count(self, change: int) -> None:
        self._used += change
        if self._once and change > 0:
            self._total = 0
        if self._used < self._total:
            self._free.set()
        else:
            self._free.clear()
