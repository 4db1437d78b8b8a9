"""How long a run of a thousand nodes takes from the start of a new engine until its work goes on.

Effects: interrupts runs on disk at their middle and resumes them; prints the median.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.ours import NO_LIMIT, WORKER, engine_at, plan_of
from benchmarks.report import told
from benchmarks.yardsticks.dags import layered
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome

if TYPE_CHECKING:
    from engine.executors.port import WorkOrder
    from engine.ids import RunId
    from engine.model.plan import Plan

NODES = 1_000


async def interrupted(plan: Plan, folder: Path) -> RunId:
    """A run that stands at its middle."""
    half = asyncio.Event()

    async def work(order: WorkOrder) -> Outcome:
        if int(order.node[1:]) >= NODES // 2:
            half.set()
            await asyncio.get_running_loop().create_future()
        return Outcome()

    engine = engine_at(folder, InlineExecutor({WORKER.id: work}))
    async with engine.serving():
        run_id = await engine.start(plan, limits=NO_LIMIT)
        await half.wait()
    return run_id


async def resumed(run_id: RunId, folder: Path) -> float:
    """Seconds from opening the journal until the first attempt runs again."""
    going = asyncio.Event()

    async def work(_order: WorkOrder) -> Outcome:
        going.set()
        return Outcome()

    started = perf_counter()
    engine = engine_at(folder, InlineExecutor({WORKER.id: work}))
    async with engine.serving():
        await engine.resume(run_id)
        await going.wait()
        return perf_counter() - started


async def once() -> float:
    """Interrupt one run and resume it."""
    with tempfile.TemporaryDirectory() as folder:
        run_id = await interrupted(plan_of(layered(NODES)), Path(folder))
        return await resumed(run_id, Path(folder))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    told("resume of a run of 1,000", statistics.median(asyncio.run(once()) for _ in range(rounds)), 0.5, unit="s")


if __name__ == "__main__":
    main()
