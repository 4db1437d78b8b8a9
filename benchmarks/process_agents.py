"""What the engine costs for each agent that is a program, against a bare warden that runs the same programs.

A third run is beside idle processes, which a search at the end of each attempt would look through.

Effects: runs a graph of process agents on disk, in turn with the yardstick; prints ratios and the memory of what holds
the agents. The median of the rounds' ratios counts. The CPU is that of this process, of the wardens and of the agents.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS, AT_ONCE, IDLE = 300, 16, 400
PROGRAM = ("/bin/sh", "-c", "read -r order; echo '{\"outputs\": {}}'")
ATTEMPT = AttemptId("r-luoq3mn7qtx6:n150#1")
ORDER = b'{"runId": "r-luoq3mn7qtx6", "node": "n150", "attempt": "%s", "task": "Work", "inputs": {}, "outputs": []}\n'
"""An order as the engine sends it: the shell reads it byte by byte, which is the time of the program."""
WORKER = Agent(id="worker", kind=AgentKind.PROCESS, command=PROGRAM)


def bare(wardens: Wardens, folder: Path) -> tuple[float, float]:
    """Seconds of all agents below bare wardens, and of CPU."""
    environment = environment_of(ATTEMPT, tag_of(ATTEMPT, folder), {})
    request = Request(argv=PROGRAM, cwd=folder, environment=environment, grace=GRACE, keep=False)
    before, started = used(wardens), perf_counter()
    answers = run_all(wardens, [(request, ORDER % ATTEMPT.encode())] * AGENTS, at_once=AT_ONCE)
    taken = perf_counter() - started, used(wardens) - before
    if answers != [b'{"outputs": {}}\n'] * AGENTS:
        raise SystemExit("the bare wardens did something else")
    return taken


async def ours(wardens: Wardens, folder: Path) -> tuple[float, float]:
    """Seconds of a run of the same agents, and of CPU."""
    dag = Dag("agents", ((),) * AGENTS, (1.0,) * AGENTS)
    plan = plan_of(dag)
    plan.agents[WORKER.id] = WORKER
    engine = engine_at(folder, InlineExecutor({}), logs=AttemptLogs(state_of(folder), SystemClock()))
    engine.executors[AgentKind.PROCESS] = ProcessExecutor()
    async with engine.serving():
        before, started = used(wardens), perf_counter()
        run = await run_to_end(engine, plan, Limits(max_parallelism=AT_ONCE))
        taken = perf_counter() - started, used(wardens) - before
        if (await engine.view(run)).run.status != "completed":
            raise SystemExit("the run did not complete")
    return taken


@contextlib.contextmanager
def idle_ones(count: int) -> Iterator[None]:
    """So many processes that do nothing."""
    started = [subprocess.Popen(["/bin/sleep", "600"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in started:
            one.kill()
        for one in started:
            one.wait()


def used(wardens: Wardens) -> float:
    """Seconds of CPU of this process, of what forks wardens, and of all that has ended below that, once all has."""
    while psutil.Process(wardens.pid).children():
        sleep(0.001)
    times = [psutil.Process().cpu_times(), psutil.Process(wardens.pid).cpu_times()]
    return sum(one.user + one.system for one in times) + times[1].children_user + times[1].children_system


async def measure(rounds: int) -> None:
    """Compare, and look at the memory."""
    wardens = await wardens_for(keep=False)
    if wardens is None:
        raise SystemExit("this system has no wardens")
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": [], "beside": []}
    for number in range(rounds):
        for case in sorted(found, reverse=bool(number % 2)):
            with tempfile.TemporaryDirectory() as folder, idle_ones(IDLE if case == "beside" else 0):
                bare_one = asyncio.to_thread(bare, wardens, Path(folder)) if case == "bare" else None
                found[case].append(await (bare_one or ours(wardens, Path(folder))))
    for case, taken_of_case in found.items():
        print(
            f"milliseconds an agent, {case}: " + ", ".join(f"{taken / AGENTS * 1e3:.2f}" for taken, _ in taken_of_case)
        )
    for unit, place in (("time", 0), ("CPU", 1)):
        ratios = [a[place] / b[place] for a, b in zip(found["ours"], found["bare"], strict=True)]
        told(f"{AGENTS} process agents, {AT_ONCE} at once / bare wardens, {unit}", statistics.median(ratios), 1.3)
        ratios = [a[place] / b[place] for a, b in zip(found["beside"], found["ours"], strict=True)]
        told(f"the same beside {IDLE} idle processes / without, {unit}", statistics.median(ratios), 1.1)
    told("memory of what forks wardens", psutil.Process(wardens.pid).memory_info().rss / 1e6, None, unit="MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
