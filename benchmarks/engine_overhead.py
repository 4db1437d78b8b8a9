"""What the engine costs for each node, against loops that do the least that could be done.

Effects: runs graphs of nodes that do nothing, in memory and on disk, in turn with the yardsticks; prints ratios. A
yardstick is measured beside each round of the engine and for about as long, so that what disturbs one disturbs the
other; the median of the rounds' ratios counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.ours import WORKER, do_nothing, engine_at, plan_of, run_to_end
from benchmarks.report import told
from benchmarks.yardsticks.bare import run_bare, run_durable, run_fused
from benchmarks.yardsticks.dags import Dag, chain, ladder, layered
from engine.executors.inline import InlineExecutor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from engine.model.plan import Plan

SMALL, MIDDLE, LARGE = 1_000, 10_000, 100_000
ROOT = Path(__file__).parents[1]


async def bare(dag: Dag) -> float:
    """Microseconds a node of the bare loop."""
    return await _timed(dag, run_bare(dag))


async def durable(dag: Dag) -> float:
    """Microseconds a node of the bare loop that writes two rows a node."""
    with tempfile.TemporaryDirectory() as folder:
        return await _timed(dag, run_durable(dag, Path(folder) / "journal.sqlite3"))


async def fused(dag: Dag) -> float:
    """Microseconds a node of the bare loop that writes the end of a node and the starts that follow at once."""
    with tempfile.TemporaryDirectory() as folder:
        return await _timed(dag, run_fused(dag, Path(folder) / "journal.sqlite3"))


async def in_memory(dag: Dag, plan: Plan) -> float:
    """Microseconds a node of the engine whose journal is in memory."""
    return await _engine(dag, plan, None)


async def on_disk(dag: Dag, plan: Plan) -> float:
    """Microseconds a node of the engine on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        return await _engine(dag, plan, Path(folder))


async def _engine(dag: Dag, plan: Plan, folder: Path | None) -> float:
    engine = engine_at(folder, InlineExecutor({WORKER.id: do_nothing}))
    async with engine.serving():
        return await _timed(dag, run_to_end(engine, plan))


async def _timed(dag: Dag, work: Awaitable[object]) -> float:
    gc.collect()
    gc.freeze()  # what stands before the run is not its garbage
    started = perf_counter()
    await work
    taken = perf_counter() - started
    gc.unfreeze()
    return taken / len(dag) * 1e6


def compare(rounds: int) -> None:
    """The graph of 10,000 nodes: the engine against its yardsticks."""
    dag = layered(MIDDLE)
    plan = plan_of(dag)
    memory_ratio = _ratio("in memory", lambda: in_memory(dag, plan), "bare", lambda: bare(dag), rounds)
    disk_ratio = _ratio("on disk", lambda: on_disk(dag, plan), "durable", lambda: durable(dag), rounds)
    told("engine in memory / bare asyncio loop, 10,000 nodes", memory_ratio, 11)
    told("engine on SQLite / bare loop with two rows a node", disk_ratio, 2.2)
    for shape in (chain(MIDDLE), ladder(MIDDLE)):
        narrow = plan_of(shape)
        name = shape.name.partition("-")[0]
        ratio = _ratio(f"{name} in memory", partial(in_memory, shape, narrow), "bare", partial(bare, shape), rounds)
        told(f"the same in memory, a {name}", ratio, 13)


Measure: TypeAlias = "Callable[[], Coroutine[None, None, float]]"


def _ratio(name: str, ours: Measure, floor_name: str, floor: Measure, rounds: int) -> float:
    """The median ratio of *ours* to *floor*, which is repeated in each round until it took about as long."""
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        us = asyncio.run(ours())
        floors = [asyncio.run(floor())]
        while sum(floors) < us:
            floors.append(asyncio.run(floor()))
        found.append((us, statistics.mean(floors)))
    print(f"microseconds a node, {name}: " + ", ".join(f"{us:.0f}/{low:.1f}" for us, low in found) + f" {floor_name}")
    return statistics.median(us / low for us, low in found)


def growth(rounds: int) -> None:
    """Cost for each node of a small graph and of a large one."""
    dags = {nodes: layered(nodes) for nodes in (SMALL, LARGE)}
    plans = {nodes: plan_of(dag) for nodes, dag in dags.items()}
    ours = dict.fromkeys(dags, float("inf"))
    floor = dict.fromkeys(dags, float("inf"))
    for _ in range(max(3, rounds // 2)):
        for nodes, dag in dags.items():
            ours[nodes] = min(ours[nodes], asyncio.run(in_memory(dag, plans[nodes])))
            floor[nodes] = min(floor[nodes], asyncio.run(bare(dag)))
    print("microseconds a node: " + ", ".join(f"{nodes} nodes {us:.1f}" for nodes, us in ours.items()))
    told("cost of a node in 100,000 / in 1,000", ours[LARGE] / ours[SMALL], 1.5)
    told("the same of the bare loop, for comparison", floor[LARGE] / floor[SMALL], None)


def memory() -> None:
    """Peak memory of a run, in a process of its own."""
    child = [sys.executable, "-m", "benchmarks.engine_overhead", "--peak"]
    done = subprocess.run([*child, str(LARGE)], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    told("peak memory of a run of 100,000, its plan included", float(done.stdout), None, unit="KB a node")


def peak(nodes: int) -> None:
    """Print by how much one run and its plan raise the peak of this process, in kilobytes a node."""
    before = _resident("VmRSS")
    dag = layered(nodes)
    asyncio.run(in_memory(dag, plan_of(dag)))
    print((_resident("VmHWM") - before) / nodes)


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.peak)
        return
    compare(options.rounds)
    growth(options.rounds)
    memory()


if __name__ == "__main__":
    main()
