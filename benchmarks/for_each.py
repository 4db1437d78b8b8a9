"""What an item of a forEach and an iteration of a loop cost, against the same nodes written out.

Effects: runs commands of nodes that do nothing, in memory and on disk, in turn; prints ratios of medians.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from benchmarks.ours import NO_LIMIT, WORKER, do_nothing, engine_at, run_to_end
from benchmarks.report import told
from engine.executors.inline import InlineExecutor
from engine.graph import compile_plan
from engine.model.command import CommandDefinition
from engine.model.plan import Bundle

if TYPE_CHECKING:
    from engine.model.plan import Plan

ITEMS = 10_000
FEWER = 1_000
ITERATIONS = 100


def plan_of(*nodes: dict[str, Any], **initial: object) -> Plan:
    """A command of one phase with *initial* values."""
    raw = {
        "version": "2.0.0",
        "name": "/benchmark",
        "description": "Nodes that do nothing",
        "globalContext": {"initial": initial},
        "phases": [{"id": "work", "name": "Work", "agents": list(nodes)}],
    }
    command = CommandDefinition.model_validate(raw)
    return compile_plan(Bundle(command=command, agents={WORKER.id: WORKER}))


def node(name: str, *needs: str, **fields: object) -> dict[str, Any]:
    """A node that does nothing."""
    return {"id": name, "agentId": WORKER.id, "task": "Work", "dependencies": list(needs), **fields}


def written_out(count: int) -> Plan:
    """*count* nodes that read as much as an item does."""
    initial = {f"thing{number}": f"thing {number}" for number in range(count)}
    reads = ({"inputs": [{"key": f"thing{number}"}, {"key": "number"}]} for number in range(count))
    return plan_of(*(node(f"n{at}", context=context) for at, context in enumerate(reads)), number=1, **initial)


def unfolded(count: int) -> Plan:
    """One node for each of *count* items."""
    shape = {"items": "things", "maxItems": 10_000}
    things = [f"thing {number}" for number in range(count)]
    return plan_of(node("each", context={"inputs": [{"key": "things"}]}, forEach=shape), things=things)


def chain(count: int) -> Plan:
    """*count* nodes one after the other."""
    return plan_of(*(node(f"n{number}", *([f"n{number - 1}"] if number else [])) for number in range(count)))


def repeated(count: int) -> Plan:
    """One node *count* times."""
    return plan_of(node("again", repeat={"until": f"iteration == {count}", "maxIterations": count}))


def seconds(plan: Plan, *, disk: bool) -> float:
    """The processor time that a run of *plan* takes: other programs of the machine do not disturb it."""

    async def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            engine = engine_at(Path(folder) if disk else None, InlineExecutor({WORKER.id: do_nothing}))
            async with engine.serving():
                started = process_time()
                await run_to_end(engine, plan, NO_LIMIT)
                return process_time() - started

    return asyncio.run(run())


def ratio(one: Plan, other: Plan, rounds: int, *, disk: bool) -> float:
    """The median of the ratios of *one* to *other*, each measured beside the other."""
    found = [(seconds(one, disk=disk), seconds(other, disk=disk)) for _ in range(rounds)]
    print(", ".join(f"{mine * 1000:.0f}/{its * 1000:.0f} ms" for mine, its in found))
    return statistics.median(mine / its for mine, its in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for disk in (False, True):
        where = "on disk" if disk else "in memory"
        told(
            f"10,000 items / 10,000 nodes, {where}", ratio(unfolded(ITEMS), written_out(ITEMS), rounds, disk=disk), 1.15
        )
    told("10,000 items / 1,000 items", ratio(unfolded(ITEMS), unfolded(FEWER), rounds, disk=False), 12)
    for disk in (False, True):
        where = "on disk" if disk else "in memory"
        told(f"an iteration / a node of a chain, {where}", ratio(repeated(100), chain(100), rounds * 3, disk=disk), 1.2)


if __name__ == "__main__":
    main()
