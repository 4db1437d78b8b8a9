"""What a fleet costs for each attempt: the same programs on a worker of this machine, and by the local executor.

Effects: starts the development server and a worker; runs graphs of process agents in turn here and there, prints the
ratio of their times, processor seconds of all who take part, and, with `--large`, whether 1,000 nodes with 200 at once
complete and the memory of the coordinator. The median of the rounds' ratios counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import psutil

from benchmarks.report import told
from engine.executors.fleet.wire import queue_of
from engine.model.agent import AgentKind
from engine.run.events import Limits, RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.fleet import Server, Yard, command, node

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT = """---
name: idle
description: Does nothing
executor: process
command: ["/bin/sh", "-c", "read -r order; echo '{{\\"outputs\\": {{\\"made\\": 1}}}}'"]
---
"""
NODES, SLOTS = 200, 24
LARGE, AT_ONCE = 1000, 200


def processors(server: int, worker: int) -> dict[str, float]:
    """Processor seconds so far of the coordinator, which is this process, the server and the worker."""
    now = psutil.Process().cpu_times()
    found = {"coordinator": now.user + now.system + now.children_user + now.children_system}
    for name, number in (("server", server), ("worker", worker)):
        every = [psutil.Process(number), *psutil.Process(number).children(recursive=True)]
        times = [one.cpu_times() for one in every]
        found[name] = sum(one.user + one.system + one.children_user + one.children_system for one in times)
    return found


async def seconds(yard: Yard, count: int, at_once: int) -> float:
    """Time of a run of *count* nodes."""
    async with open_project(yard.project, home=yard.home) as project:
        engine = await project.engine()
        nodes = [{**node(f"n{number}", "Work"), "agentId": "idle"} for number in range(count)]
        begun = perf_counter()
        limits = Limits(max_parallelism=at_once)
        run = await project.start(RunRequest(source=command(*nodes), limits=limits))
        while not (seen := (await engine.view(run)).run).ended:
            await engine.wait(run, 60)
        taken = perf_counter() - begun
    if seen.status is not RunStatus.COMPLETED:
        raise SystemExit(f"the run ended as {seen.status}: {seen.message}")
    lost = [one.plan.id for one in seen.nodes.values() for attempt in one.attempts if attempt.lost]
    if lost:
        print(f"attempts lost, and made again: {', '.join(lost)}")
    return taken


def here(*, yes: bool) -> None:
    """Have programs run by the local executor, or by the fleet."""
    os.environ["ORCHESTRATION_FLEET__AGENTS"] = '["claude"]' if yes else '["process"]'


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Milliseconds of processor time for each attempt."""
    return ", ".join(f"{name} {(after[name] - before[name]) / NODES * 1e3:.1f}" for name in before)


async def measure(rounds: int, *, large: bool) -> None:
    """Compare in turn."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Server(Path(folder) / "fleet.sqlite3")) as server,
        closing(Yard(Path(folder) / "yard", server.address)) as yard,
    ):
        (yard.project / ".claude" / "agents" / "idle.md").write_text(AGENT.format())
        yard.trust()
        worker = yard.start_worker("w1", "--slots", str(SLOTS)).process.pid
        found = []
        for _ in range(rounds):
            states = [processors(server.process.pid, worker)]
            here(yes=True)
            local = await seconds(yard, NODES, SLOTS)
            states.append(processors(server.process.pid, worker))
            here(yes=False)
            far = await seconds(yard, NODES, SLOTS)
            states.append(processors(server.process.pid, worker))
            print(f"ms of processor an attempt: here {spent(*states[:2])}; by the fleet {spent(*states[1:])}")
            found.append((far, local))
        print("seconds: " + ", ".join(f"{far:.2f}/{local:.2f}" for far, local in found))
        told(
            f"{NODES} programs on {queue_of(AgentKind.PROCESS)} / here",
            statistics.median(a / b for a, b in found),
            1.8,
        )
        if large:
            taken = await seconds(yard, LARGE, AT_ONCE)
            print(f"{LARGE} nodes, {AT_ONCE} at once: {taken:.1f} s")
            told("the coordinator", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 130, unit="MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    asyncio.run(measure(asked.rounds, large=asked.large))


if __name__ == "__main__":
    main()
