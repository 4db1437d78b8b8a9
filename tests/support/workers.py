"""The worker processes of background runs, as tests find, await and kill them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psutil

from engine.runtime.clock import process_of
from tests.support.real_agents import SECONDS

if TYPE_CHECKING:
    from engine.ids import RunId
    from engine.service import Engine


async def owner_of(engine: Engine, run: RunId) -> int:
    """The number of the process that owns *run*; owners carry it."""
    summary = await engine.storage.summary(run)
    assert summary is not None
    return int(process_of(summary.owner))


def lives(number: int) -> bool:
    """Whether a process runs as *number*; one that only waits for its parent to collect it does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    return False


def wait_for_death(number: int) -> None:
    """Wait until *number* runs no more, for a signal to a group is on its way for a moment; nobody may collect it."""
    limit = time.monotonic() + SECONDS
    while lives(number):
        assert time.monotonic() < limit, f"process {number} has not ended"
        time.sleep(0.02)  # noqa: TID251 - a bounded wait on a condition


def wait_for_end(number: int) -> None:
    """Wait until the process *number* is gone, with its locks: other threads hold them while the first one is dead."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs([psutil.Process(number)], timeout=SECONDS)
    assert not psutil.pid_exists(number)


async def kill_worker(engine: Engine, run: RunId) -> None:
    """Kill -9 the process that owns *run*."""
    number = await owner_of(engine, run)
    psutil.Process(number).kill()
    wait_for_end(number)
