"""What a look at a run costs as the run grows: the answer of `status`, and the CPU of a node while a client waits.

Effects: runs nodes that do nothing, in memory; prints ratios of medians over interleaved rounds. Between two looks a
node ends, so that each look has something new to see.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.ours import DONE, WORKER, do_nothing, engine_at, plan_of  # noqa: E402 - benchmarks are run as files
from benchmarks.report import told  # noqa: E402
from benchmarks.yardsticks.dags import Dag, layered  # noqa: E402
from engine.executors.inline import InlineExecutor  # noqa: E402
from engine.graph import compile_plan  # noqa: E402
from engine.model.command import CommandDefinition  # noqa: E402
from engine.model.plan import Bundle  # noqa: E402
from engine.run.events import Limits  # noqa: E402
from engine.views.known import Known  # noqa: E402
from mcp_server.answers.follow import Seen, follow  # noqa: E402
from mcp_server.answers.status import status_of  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.executors.port import Outcome, WorkOrder
    from engine.ids import RunId
    from engine.model.plan import Plan
    from engine.service import Engine

PROMISED_LOOK = 4.0
PROMISED_WAIT = 1.1
AT_ONCE = Limits(max_parallelism=4)
LOOKS = 12
"""Looks in one round."""
BATCH_SECONDS = 0.5
"""The shortest time between two progress messages, as it is by default."""


def apart(nodes: int) -> Plan:
    """*nodes* that do not depend on each other."""
    return plan_of(Dag("apart", ((),) * nodes, (60.0,) * nodes))


def in_layers(nodes: int) -> Plan:
    """*nodes* of one phase in random layers."""
    return plan_of(layered(nodes))


def in_phases(nodes: int) -> Plan:
    """*nodes* in phases of ten."""
    phases = [
        {
            "id": f"phase-{start}",
            "name": f"Phase from {start}",
            "agents": [
                {"id": f"n{number}", "agentId": WORKER.id, "task": f"Do task {number}"}
                for number in range(start, min(start + 10, nodes))
            ],
        }
        for start in range(0, nodes, 10)
    ]
    raw = {"version": "2.0.0", "name": "/phases", "description": "Phases of ten", "phases": phases}
    return compile_plan(Bundle(command=CommandDefinition.model_validate(raw), agents={WORKER.id: WORKER}))


class Watched:
    """A run under way of which nodes end one by one, and a client that looks at it."""

    def __init__(self, plan: Plan) -> None:
        """Nothing runs yet."""
        self._engine = engine_at(None, InlineExecutor({WORKER.id: self._work}))
        self._plan = plan
        self._run: RunId | None = None
        self._known = Known()
        self._doors: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def _work(self, _order: WorkOrder) -> Outcome:
        door = asyncio.Event()
        self._doors.put_nowait(door)
        await door.wait()
        return DONE

    @contextlib.asynccontextmanager
    async def under_way(self) -> Any:  # noqa: ANN401 - an iterator of itself
        """A third of its nodes have ended, and the client has looked."""
        async with self._engine.serving():
            self._run = await self._engine.start(self._plan, limits=AT_ONCE)
            for _ in range(len(self._plan.nodes) // 3):
                await self.end_one()
            await self.look()
            yield self

    async def end_one(self) -> None:
        """Let one node end."""
        async with asyncio.timeout(60):
            door = await self._doors.get()
        door.set()
        await self._engine.live_runs.committed()

    async def look(self) -> float:
        """Milliseconds of CPU of one answer."""
        started = process_time()
        await self._engine.read(self._run, lambda view: status_of(view, values=None, known=self._known).text())
        return (process_time() - started) * 1000


async def looks(make: Callable[[int], Plan], sizes: tuple[int, ...], rounds: int) -> list[float]:
    """Milliseconds of a look at a run of each of *sizes*: medians of the rounds' medians."""
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            async with Watched(make(size)).under_way() as one:
                taken = []
                for _ in range(LOOKS):
                    await one.end_one()
                    taken.append(await one.look())
                found[size].append(statistics.median(taken))
    return [statistics.median(found[size]) for size in sizes]


async def _say_nothing(progress: float, total: float | None = None, message: str | None = None) -> None:
    """A client that reads its progress messages and does nothing with them."""


async def waited_for(nodes: int) -> float:
    """Microseconds of CPU a node, in a run of *nodes* for which a client waits."""
    engine = engine_at(None, InlineExecutor({WORKER.id: do_nothing}))
    todos = SimpleNamespace(batch_delay_ms=BATCH_SECONDS * 1000)
    project: Any = SimpleNamespace(reader=lambda: _ready(engine), settings=SimpleNamespace(todos=todos))
    plan = apart(nodes)
    async with engine.serving():
        started = process_time()
        run = await engine.start(plan, limits=AT_ONCE)
        await follow(project, run, _say_nothing, seconds=600, seen=Seen(events=0, phases=()))
        return (process_time() - started) / nodes * 1e6


async def _ready(engine: Engine) -> Engine:
    return engine


async def measure(options: argparse.Namespace) -> None:
    """Print both figures."""
    sizes = (20, options.nodes)
    for make in (apart, in_layers, in_phases):
        few, many = await looks(make, sizes, options.rounds)
        name = make.__name__.replace("_", " ")
        print(f"{name}: {few:.2f} ms with 20 nodes, {many:.2f} ms with {options.nodes}")
        told(f"a status of {options.nodes} nodes / of 20, {name}", many / few, PROMISED_LOOK)
    taken: dict[int, list[float]] = {100: [], 1200: []}
    for _ in range(options.rounds):
        for nodes, times in taken.items():
            times.append(await waited_for(nodes))
    few, many = (statistics.median(times) for times in taken.values())
    print(f"a client waits: {few:.0f} µs a node of 100, {many:.0f} µs of 1200")
    told("CPU a node with a waiting client, 1,200 / 100 nodes", many / few, PROMISED_WAIT)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
