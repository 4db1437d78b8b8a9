"""Whether a run takes as long as its simulation said.

Effects: simulates a graph, then runs it on disk with agents that sleep as long as they are estimated to take; prints
the ratio of the two times.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.ours import WORKER, engine_at, plan_of, run_to_end
from benchmarks.report import told
from benchmarks.yardsticks.dags import Dag, layered
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.run.events import Limits
from engine.simulation import Scenario, simulate

if TYPE_CHECKING:
    from engine.executors.port import WorkOrder
    from engine.model.plan import Plan

NODES = 100
LIMITS = Limits(max_parallelism=4)
SCALE = 1 / 500
"""A node of five minutes sleeps 0.6 seconds."""


async def really(plan: Plan, folder: Path) -> float:
    """Seconds that *plan* takes."""

    async def work(order: WorkOrder) -> Outcome:
        await asyncio.sleep(order.estimate.total_seconds())
        return Outcome()

    engine = engine_at(folder, InlineExecutor({WORKER.id: work}))
    async with engine.serving():
        started = perf_counter()
        await run_to_end(engine, plan, LIMITS)
        return perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=SCALE, help="seconds slept for each second estimated")
    scale: float = parser.parse_args().scale
    graph = layered(NODES)
    plan = plan_of(Dag(graph.name, graph.needs, tuple(seconds * scale for seconds in graph.seconds)))
    done = simulate(plan, Scenario(limits=LIMITS)).run
    simulated = ((done.ended_at or done.created_at) - done.created_at).total_seconds()
    with tempfile.TemporaryDirectory() as folder:
        real = asyncio.run(really(plan, Path(folder)))
    print(f"simulated {simulated:.2f} s, real {real:.2f} s")
    told("real run / its simulation", real / simulated, 1.02)


if __name__ == "__main__":
    main()
