"""A chain of a thousand nodes on disk, where every node waits for the commits before it.

Effects: runs the engine and two bare loops in turn, one with two commits a node and one with a single commit, made
without leaving the loop; prints the ratios of their best rounds, and of the medians for the second.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

from benchmarks.engine_overhead import durable, fused, on_disk
from benchmarks.ours import plan_of
from benchmarks.report import told
from benchmarks.yardsticks.dags import chain

NODES = 1_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    dag = chain(NODES)
    plan = plan_of(dag)
    ours, floor = float("inf"), float("inf")
    ratios = []
    for _ in range(rounds):
        floor = min(floor, asyncio.run(durable(dag)))
        us, least = asyncio.run(on_disk(dag, plan)), asyncio.run(fused(dag))
        ours = min(ours, us)
        ratios.append(us / least)
    print(f"microseconds a node: bare {floor:.0f}, engine {ours:.0f}; engine / fused: {sorted(ratios)}")
    told("durable chain of 1,000 / bare loop, two commits a node", ours / floor, 1.5)
    told("the same / bare loop with fused commits, inline", statistics.median(ratios), 1.3)


if __name__ == "__main__":
    main()
