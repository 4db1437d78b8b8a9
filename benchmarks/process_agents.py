"""What the engine costs for each agent that is a program, against a bare warden that runs the same programs.

Effects: runs a graph of process agents on disk, in turn with the yardstick; prints ratios and the memory of what holds
the agents. The median of the rounds' ratios counts.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks.ours import engine_at, plan_of, run_to_end
from benchmarks.report import told
from benchmarks.yardsticks.dags import Dag
from benchmarks.yardsticks.wardens import run_all
from engine.executors.inline import InlineExecutor
from engine.executors.process import ProcessExecutor
from engine.executors.subprocesses.process_tags import environment_of, tag_of
from engine.executors.subprocesses.search import GRACE
from engine.executors.subprocesses.wardens import Request, Wardens, wardens_for
from engine.ids import AttemptId
from engine.model.agent import Agent, AgentKind
from engine.run.events import Limits
from engine.runtime.attempt_logs import AttemptLogs
from engine.runtime.clock import SystemClock
from engine.statefolder.links import state_of

AGENTS, AT_ONCE = 300, 16
PROGRAM = ("/bin/sh", "-c", "read -r order; echo '{\"outputs\": {}}'")
WORKER = Agent(id="worker", kind=AgentKind.PROCESS, command=PROGRAM)


def bare(wardens: Wardens, folder: Path) -> float:
    """Seconds of all agents below bare wardens."""
    attempt = AttemptId("r-1:n#1")
    environment = environment_of(attempt, tag_of(attempt, folder), {})
    request = Request(argv=PROGRAM, cwd=folder, environment=environment, grace=GRACE, keep=False)
    started = perf_counter()
    answers = run_all(wardens, [(request, b"{}\n")] * AGENTS, at_once=AT_ONCE)
    taken = perf_counter() - started
    if answers != [b'{"outputs": {}}\n'] * AGENTS:
        raise SystemExit("the bare wardens did something else")
    return taken


async def ours(folder: Path) -> float:
    """Seconds of a run of the same agents."""
    dag = Dag("agents", ((),) * AGENTS, (1.0,) * AGENTS)
    plan = plan_of(dag)
    plan.agents[WORKER.id] = WORKER
    engine = engine_at(folder, InlineExecutor({}), logs=AttemptLogs(state_of(folder), SystemClock()))
    engine.executors[AgentKind.PROCESS] = ProcessExecutor()
    async with engine.serving():
        started = perf_counter()
        run = await run_to_end(engine, plan, Limits(max_parallelism=AT_ONCE))
        taken = perf_counter() - started
        if (await engine.view(run)).run.status != "completed":
            raise SystemExit("the run did not complete")
    return taken


async def measure(rounds: int) -> None:
    """Compare, and look at the memory."""
    wardens = await wardens_for(keep=False)
    if wardens is None:
        raise SystemExit("this system has no wardens")
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            floor = await asyncio.to_thread(bare, wardens, Path(folder))
            found.append((await ours(Path(folder)), floor))
    print("milliseconds an agent: " + ", ".join(f"{a / AGENTS * 1e3:.2f}/{b / AGENTS * 1e3:.2f}" for a, b in found))
    told(f"{AGENTS} process agents, {AT_ONCE} at once / bare wardens", statistics.median(a / b for a, b in found), 1.3)
    told("memory of what forks wardens", psutil.Process(wardens.pid).memory_info().rss / 1e6, None, unit="MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
