"""What a lock costs that nobody else wants.

Effects: runs chains on disk, with a lock for each node and without, in turn; prints the difference a node.
"""

from __future__ import annotations

import argparse
import asyncio

from msgspec import structs

from benchmarks.engine_overhead import on_disk
from benchmarks.ours import plan_of
from benchmarks.report import told
from benchmarks.yardsticks.dags import chain
from engine.model.policy import LockSpec, LockType

NODES = 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    dag = chain(NODES)
    free = plan_of(dag)
    lock = LockSpec("database.table", LockType.EXCLUSIVE)
    locked = structs.replace(free, nodes=tuple(structs.replace(node, locks=(lock,)) for node in free.nodes))
    without, with_lock = float("inf"), float("inf")
    for _ in range(rounds):
        without = min(without, asyncio.run(on_disk(dag, free)))
        with_lock = min(with_lock, asyncio.run(on_disk(dag, locked)))
    print(f"microseconds a node: {without:.0f} without a lock, {with_lock:.0f} with one")
    told("a lock without contention", (with_lock - without) / 1000, 1.0, unit="ms")


if __name__ == "__main__":
    main()
