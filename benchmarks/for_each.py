"""What an item of a forEach and an iteration of a loop cost, against the same nodes written out.

Effects: runs commands of nodes that do nothing, in memory and on disk, in turn; prints ratios of medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from benchmarks.ours import DONE, NO_LIMIT, WORKER, engine_at, run_to_end
from benchmarks.report import told
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.graph import compile_plan
from engine.model.command import CommandDefinition
from engine.model.plan import Bundle
from mcp_server.answers.status import VIEWS, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.executors.port import WorkOrder
    from engine.model.plan import Plan

ITEMS = 10_000
FEWER = 1_000
STATUS_CALLS = 200


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


def unfolded(count: int, **more: object) -> Plan:
    """One node for each of *count* items."""
    shape = {"items": "things", "maxItems": 10_000, **more}
    things = [f"thing {number}" for number in range(count)]
    return plan_of(node("each", context={"inputs": [{"key": "things"}]}, forEach=shape), things=things)


RESULT = {"schema": {"type": "object"}}


def chain(count: int) -> Plan:
    """*count* nodes one after the other, each of which writes a value and reads that of the one before."""

    def one(number: int) -> dict[str, Any]:
        before = [number - 1] if number else []
        context = {"inputs": [{"key": f"r{at}"} for at in before], "outputs": [{"key": f"r{number}", **RESULT}]}
        return node(f"n{number}", *(f"n{at}" for at in before), context=context)

    return plan_of(*(one(number) for number in range(count)))


def repeated(count: int) -> Plan:
    """One node *count* times, whose condition reads what each iteration writes."""
    shape = {"until": f"iteration == {count} && result.done", "maxIterations": count}
    return plan_of(node("again", repeat=shape, context={"outputs": [{"key": "result", **RESULT}]}))


async def answer(order: WorkOrder) -> Outcome:
    """Every output that is asked for."""
    return Outcome(outputs={spec.key: {"done": True} for spec in order.outputs})


def seconds(plan: Plan, *, disk: bool) -> float:
    """The processor time that a run of *plan* takes: other programs of the machine do not disturb it."""

    async def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            engine = engine_at(Path(folder) if disk else None, InlineExecutor({WORKER.id: answer}))
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


class Halfway:
    """Lets the first half of a list go through, and the rest wait."""

    def __init__(self, count: int) -> None:
        """For *count* items, four at a time."""
        self._left = count // 2
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def work(self, _order: WorkOrder) -> Outcome:
        """Do nothing, or wait."""
        self._left -= 1
        if self._left < 0:
            self.reached.set()
            await self.go_on.wait()
        return DONE


def status_of_items(counts: Sequence[int]) -> list[tuple[float, int]]:
    """Processor time of a status in the middle of lists of *counts* items, measured in turn, and its characters."""

    async def run() -> list[tuple[float, int]]:
        halves = [Halfway(count) for count in counts]
        engines = [engine_at(None, InlineExecutor({WORKER.id: half.work})) for half in halves]
        async with contextlib.AsyncExitStack() as stack:
            for engine in engines:
                await stack.enter_async_context(engine.serving())
            runs = [
                await engine.start(unfolded(count, maxParallelism=4, continueOnError=True), limits=NO_LIMIT)
                for engine, count in zip(engines, counts, strict=True)
            ]
            for half in halves:
                await half.reached.wait()
            views = [await engine.view(run) for engine, run in zip(engines, runs, strict=True)]
            taken: list[list[float]] = [[] for _ in views]
            for _ in range(STATUS_CALLS):
                for view, times in zip(views, taken, strict=True):
                    started = process_time()
                    status_of(view, values=None).text()
                    times.append(process_time() - started)
            for half in halves:
                half.go_on.set()
            for engine, run in zip(engines, runs, strict=True):
                await engine.cancel(run)
        lengths = (max(len(status_of(view, view_name=name, values=None).text()) for name in VIEWS) for view in views)
        return [(statistics.median(times), length) for times, length in zip(taken, lengths, strict=True)]

    return asyncio.run(run())


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
    (few, _), (many, length) = status_of_items((100, ITEMS))
    told("a status with 10,000 items / with 100", many / few, 1.5)
    told("its longest view with 10,000 items", length / 1000, 40, unit="thousand characters")
    for disk in (False, True):
        where = "on disk" if disk else "in memory"
        told(f"an iteration / a node of a chain, {where}", ratio(repeated(100), chain(100), rounds * 3, disk=disk), 1.2)


if __name__ == "__main__":
    main()
