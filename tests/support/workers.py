"""The worker processes of background runs, as tests find, await and kill them."""

from __future__ import annotations

import contextlib
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


def wait_for_end(number: int) -> None:
    """Wait for the end of the process *number*, which may have come already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.wait_procs([psutil.Process(number)], timeout=SECONDS)
    assert not psutil.pid_exists(number)


async def kill_worker(engine: Engine, run: RunId) -> None:
    """Kill -9 the process that owns *run*."""
    number = await owner_of(engine, run)
    psutil.Process(number).kill()
    wait_for_end(number)
