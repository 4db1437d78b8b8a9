"""The engine as benchmarks run it: the whole of it, with work that takes no time or a given time.

Effects: those of the engine; its journal is in memory, or in a folder that is given.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.model.plan import NodePlan, PhasePlan, Plan
from engine.run.events import Limits
from engine.runtime.clock import SystemClock
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from engine.storage.sqlite import SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.yardsticks.dags import Dag
    from engine.executors.port import WorkOrder
    from engine.ids import RunId
    from engine.runtime.attempt_logs import AttemptLogs

WORKER = Agent(id="worker", kind=AgentKind.CUSTOM)
DONE = Outcome()
NO_LIMIT = Limits(max_parallelism=1_000_000)


def plan_of(dag: Dag, estimates: Sequence[float] | None = None) -> Plan:
    """*dag* as one phase; *estimates* in seconds where they differ from what nodes take."""
    seconds = dag.seconds if estimates is None else estimates
    ids = [NodeId(f"n{number}") for number in range(len(dag))]
    rank = [0.0] * len(dag)
    for number in reversed(range(len(dag))):
        rank[number] = seconds[number] + max((rank[user] for user in dag.users[number]), default=0.0)
    nodes = tuple(
        NodePlan(
            id=ids[number],
            index=number,
            phase=0,
            agent=WORKER.id,
            task="Work",
            depends_on=tuple(ids[need] for need in dag.needs[number]),
            dependents=tuple(ids[user] for user in dag.users[number]),
            estimate=timedelta(seconds=seconds[number]),
            timeout=timedelta(days=1),
            rank=timedelta(seconds=rank[number]),
        )
        for number in range(len(dag))
    )
    phase = PhasePlan(id="work", name="Work", index=0, nodes=tuple(ids))
    return Plan(command="/benchmark", phases=(phase,), nodes=nodes, agents={WORKER.id: WORKER})


def engine_at(folder: Path | None, executor: InlineExecutor, *, logs: AttemptLogs | None = None) -> Engine:
    """An engine whose journal is in *folder*, or in memory; *logs* keeps what agents print."""
    return Engine(
        folder or Path(),
        storage=MemoryStorage() if folder is None else SqliteStorage(folder),
        owner=None,
        clock=SystemClock(),
        executors={AgentKind.CUSTOM: executor},
        logs=logs,
    )


async def do_nothing(_order: WorkOrder) -> Outcome:
    """The work of a node that costs nothing."""
    return DONE


async def run_to_end(engine: Engine, plan: Plan, limits: Limits = NO_LIMIT) -> RunId:
    """Run *plan*; its end is durable when this returns."""
    ended = asyncio.Event()
    engine.live_runs.listeners.append(lambda run, _events: ended.set() if run.ended else None)
    run_id = await engine.start(plan, limits=limits)
    await ended.wait()
    return run_id
