"""How far the runs that the scheduler makes are from the shortest that could be, on four places.

Effects: runs the real engine on a virtual clock; prints means over random layered graphs, with true estimates and with
estimates that are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.ours import WORKER, plan_of, run_to_end
from benchmarks.report import told
from benchmarks.yardsticks.dags import Dag, layered
from benchmarks.yardsticks.schedules import first_come, lower_bound
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.model.agent import AgentKind
from engine.run.events import Limits
from engine.runtime.clock import VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.executors.port import WorkOrder

PLACES = 4
SETS = ((40, None), (80, None), (100, 8), (160, None))
"""Nodes, and nodes in a layer where that is not their square root; eight on four places is about the hardest."""
SIGMA = 0.5
"""Of the logarithm of estimate by truth: one estimate in three is off by more than two thirds or two fifths."""


def makespan(dag: Dag, estimates: Sequence[float]) -> float:
    """Virtual seconds that the engine takes for *dag* where it believes *estimates*."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_run(dag, estimates))


async def _run(dag: Dag, estimates: Sequence[float]) -> float:
    async def work(order: WorkOrder) -> Outcome:
        await asyncio.sleep(dag.seconds[int(order.node[1:])])
        return Outcome()

    clock = VirtualClock(asyncio.get_running_loop(), random.Random(0))  # noqa: S311 - repeatable by intent
    executors = {AgentKind.CUSTOM: InlineExecutor({WORKER.id: work})}
    engine = Engine(Path(), storage=MemoryStorage(), owner=None, clock=clock, executors=executors)
    started = asyncio.get_running_loop().time()
    async with engine.serving():
        await run_to_end(engine, plan_of(dag, estimates), Limits(max_parallelism=PLACES))
        return asyncio.get_running_loop().time() - started


def wrong(dag: Dag, seed: int) -> list[float]:
    """Estimates that are off by a log-normal factor."""
    rng = random.Random(f"wrong:{seed}")  # noqa: S311 - repeatable by intent
    return [seconds * math.exp(rng.gauss(0.0, SIGMA)) for seconds in dag.seconds]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=30, help="random graphs in each set")
    graphs: int = parser.parse_args().graphs
    true, mistaken, thoughtless = [], [], []
    for size, width in SETS:
        dags = [layered(size, seed, width=width) for seed in range(graphs)]
        bounds = [lower_bound(dag, PLACES) for dag in dags]
        sets = {
            "true": [makespan(dag, dag.seconds) for dag in dags],
            "wrong": [makespan(dag, wrong(dag, seed)) for seed, dag in enumerate(dags)],
            "first come": [first_come(dag, PLACES) for dag in dags],
        }
        means = {
            name: statistics.mean(taken / bound for taken, bound in zip(times, bounds, strict=True))
            for name, times in sets.items()
        }
        print(
            f"{size} nodes, width {width or 'free'}: " + ", ".join(f"{name} {mean:.4f}" for name, mean in means.items())
        )
        true.append(means["true"])
        mistaken.append(means["wrong"])
        thoughtless.append(means["first come"])
    told("makespan / lower bound, true estimates", statistics.mean(true), 1.015)
    told("makespan / lower bound, estimates off by sigma 0.5", statistics.mean(mistaken), 1.03)
    worst = max(ours / theirs for ours, theirs in zip(mistaken, thoughtless, strict=True))
    told("worst set's mean / the same set first come first served", worst, 1.0)


if __name__ == "__main__":
    main()
