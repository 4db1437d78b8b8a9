"""The slots of a worker that serves several queues."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_server.fleet.slots import SharedSlots

USED: Any = SimpleNamespace(slot_info=object())
UNUSED: Any = SimpleNamespace(slot_info=None)


async def test_queues_are_polled_until_all_slots_are_used_by_whichever_of_them() -> None:
    slots = SharedSlots(2, queues=3)
    for _ in range(3):  # polls alone use none
        await slots.reserve_slot(USED)
    for _ in range(2):
        slots.mark_slot_used(USED)
    slots.release_slot(UNUSED)
    waiting = await blocked(slots)
    slots.release_slot(USED)
    await asyncio.wait_for(waiting, 5)
    assert slots.try_reserve_slot(USED) is None


async def test_orders_beyond_the_slots_are_counted_too() -> None:
    slots = SharedSlots(1, queues=2)
    for _ in range(2):
        await slots.reserve_slot(USED)
        slots.mark_slot_used(USED)
    slots.release_slot(USED)
    waiting = await blocked(slots)
    slots.release_slot(USED)
    await asyncio.wait_for(waiting, 5)


async def test_a_single_queue_is_polled_for_as_many_orders_as_there_are_free_slots() -> None:
    slots = SharedSlots(2, queues=1)
    await slots.reserve_slot(USED)
    slots.mark_slot_used(USED)
    await slots.reserve_slot(USED)
    waiting = await blocked(slots)
    slots.release_slot(UNUSED)
    await asyncio.wait_for(waiting, 5)


async def test_no_queue_is_polled_once_they_are_closed_and_the_end_of_the_last_poll_is_said() -> None:
    slots = SharedSlots(3, queues=2)
    assert slots.unpolled.is_set()
    for _ in range(2):
        await slots.reserve_slot(USED)
    slots.close()
    waiting = await blocked(slots)
    slots.mark_slot_used(USED)
    await counted()
    assert not slots.unpolled.is_set()
    slots.release_slot(UNUSED)
    slots.release_slot(USED)
    await asyncio.wait_for(slots.unpolled.wait(), 5)
    assert not waiting.done()
    waiting.cancel()


async def counted() -> None:
    """Wait until all counts so far are made."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


async def blocked(slots: SharedSlots) -> asyncio.Task[Any]:
    """A reservation that has to wait, after all counts before it."""
    await counted()
    waiting = asyncio.create_task(slots.reserve_slot(USED))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.05)
    return waiting
