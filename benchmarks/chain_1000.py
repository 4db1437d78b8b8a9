"""A chain of a thousand nodes on disk, where every node waits for the commits before it.

Effects: runs the engine and a bare loop with two commits a node in turn; prints the ratio of their best rounds.
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.engine_overhead import durable, on_disk
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
    for _ in range(rounds):
        floor = min(floor, asyncio.run(durable(dag)))
        ours = min(ours, asyncio.run(on_disk(dag, plan)))
    print(f"microseconds a node: bare {floor:.0f}, engine {ours:.0f}")
    told("durable chain of 1,000 / bare loop, two commits a node", ours / floor, 1.5)


if __name__ == "__main__":
    main()
