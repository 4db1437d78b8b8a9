"""What a simulation costs for each node, by the size of the command, and as a whole command of the command line.

Effects: simulates graphs in this process and in processes of their own, in turn; prints ratios of medians.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks.engine_overhead import durable
from benchmarks.ours import plan_of
from benchmarks.report import told
from benchmarks.yardsticks.dags import layered
from engine.simulation import Scenario, simulate

if TYPE_CHECKING:
    from benchmarks.yardsticks.dags import Dag
    from engine.model.plan import Plan

FEW, MANY, COMMAND = 1_000, 32_000, 4_000


def microseconds(plan: Plan) -> float:
    """Processor time of a simulation for each node of *plan*."""
    gc.collect()
    started = process_time()
    simulate(plan, Scenario())
    return (process_time() - started) / len(plan.nodes) * 1e6


def growth(rounds: int) -> None:
    """A large command against a small one."""
    plans = {nodes: plan_of(layered(nodes)) for nodes in (FEW, MANY)}
    found = [(microseconds(plans[MANY]), microseconds(plans[FEW])) for _ in range(rounds)]
    print("microseconds a node: " + ", ".join(f"{many:.0f}/{few:.0f}" for many, few in found))
    told("simulate: a node of 32,000 / of 1,000", statistics.median(many / few for many, few in found), 1.1)


def write(dag: Dag, project: Path) -> None:
    """A command of *dag* in *project*."""
    nodes = [
        {"id": f"n{number}", "agentId": "worker", "task": "Work", "dependencies": [f"n{need}" for need in needs]}
        for number, needs in enumerate(dag.needs)
    ]
    phase = {"id": "work", "name": "Work", "agents": nodes}
    raw = {"version": "2.0.0", "name": "/graph", "description": "A graph", "phases": [phase]}
    agents, commands = project / ".claude" / "agents", project / ".claude" / "commands" / "v2"
    for folder in (agents, commands):
        folder.mkdir(parents=True)
    (agents / "worker.md").write_text("---\nname: worker\ndescription: Works.\n---\nWork.\n", encoding="utf-8")
    (commands / "graph.json").write_text(json.dumps(raw), encoding="utf-8")


def command(rounds: int) -> None:
    """The whole of `orchestrate run --executor simulate`, from start to exit, against the durable bare loop."""
    dag = layered(COMMAND)
    program = Path(sys.executable).with_name("orchestrate")
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder) / "project"
            write(dag, project)
            line = [str(program), "run", "/graph", "--executor", "simulate"]
            env = {**os.environ, "HOME": folder}
            started = perf_counter()
            done = subprocess.run(line, cwd=project, env=env, capture_output=True, text=True, check=False)  # noqa: S603
            taken = perf_counter() - started
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        found.append((taken, asyncio.run(durable(dag)) * len(dag) / 1e6))
    print("seconds: " + ", ".join(f"{ours:.2f}/{floor:.2f}" for ours, floor in found))
    told("run --executor simulate of 4,000 nodes / durable bare loop", statistics.median(a / b for a, b in found), 11)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    growth(rounds)
    command(rounds)


if __name__ == "__main__":
    main()
