"""The CPU time of traces and metrics that go nowhere: a run of programs with them and without, in turn.

Effects: runs `orchestrate` in a project of its own; prints ratios. Nothing listens at the address that is exported to,
so everything is made, encoded and sent in vain. The cost of a program is the difference between a large run and a small
one, which leaves out what the process takes to start; what the libraries add to that is a number of its own. The last
one is that of nodes that do nothing, which cost less than anything that could be said about them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import process_time

from benchmarks.ours import WORKER, do_nothing, engine_at, plan_of, run_to_end
from benchmarks.report import told
from benchmarks.yardsticks.dags import layered
from engine.executors.inline import InlineExecutor
from mcp_server.project.otel import Telemetry
from mcp_server.project.telemetry import Wanted
from tests.support.trust import trust_all

SMALL, LARGE, NODES = 20, 220, 3_000
NOWHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
PROGRAM = "import json, sys; json.load(sys.stdin); print(json.dumps({'outputs': {}}))"


def project(root: Path) -> None:
    """Commands of programs that start Python and answer."""
    commands, agents = root / ".claude" / "commands" / "v2", root / ".claude" / "agents"
    commands.mkdir(parents=True)
    agents.mkdir(parents=True)
    argv = json.dumps(["{python}", "-S", "-c", PROGRAM])
    head = f"---\nname: worker\ndescription: Works\nexecutor: process\ncommand: {argv}\n---\n"
    (agents / "worker.md").write_text(head, encoding="utf-8")
    for count in (SMALL, LARGE):
        nodes = [{"id": f"n{number}", "agentId": "worker", "task": "Work"} for number in range(count)]
        phases = [{"id": "work", "name": "Work", "agents": nodes, "maxParallelism": 4}]
        raw = {"version": "2.0.0", "name": f"/work-{count}", "description": "Works", "phases": phases}
        (commands / f"work-{count}.json").write_text(json.dumps(raw), encoding="utf-8")


def seconds(root: Path, home: Path, count: int, **variables: str) -> float:
    """CPU seconds of one run of *count* programs and all its processes."""
    words = [str(Path(sys.executable).parent / "orchestrate"), "run", f"/work-{count}", "--json"]
    env = os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")} | variables
    nowhere = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, number) for number in (0, 1, 2)]
    os.chdir(root)
    _pid, status, used = os.wait4(os.posix_spawn(words[0], words, env, file_actions=actions), 0)
    os.close(nowhere)
    if status:
        raise SystemExit(f"the run failed: {status}")
    return used.ru_utime + used.ru_stime


async def microseconds(*, traced: bool) -> float:
    """CPU microseconds a node of the engine in memory."""
    plan = plan_of(layered(NODES))
    engine = engine_at(None, InlineExecutor({WORKER.id: do_nothing}))
    async with engine.serving():
        telemetry = Telemetry(Wanted(traces=True, metrics=True)) if traced else None
        if telemetry is not None:
            telemetry.attach(engine)
        before = process_time()
        await run_to_end(engine, plan)
        if telemetry is not None:
            await telemetry.close()
        return (process_time() - before) / NODES * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    os.environ |= {**NOWHERE, "OTEL_BSP_MAX_QUEUE_SIZE": str(4 * NODES)}
    added = [asyncio.run(microseconds(traced=True)) - asyncio.run(microseconds(traced=False)) for _ in range(rounds)]
    for name in (*NOWHERE, "OTEL_BSP_MAX_QUEUE_SIZE"):
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "project", Path(folder) / "home"
        project(root)
        trust_all(root, home)
        measured = [
            [seconds(root, home, count, **variables) for count in (SMALL, LARGE) for variables in (NOWHERE, {})]
            for _ in range(rounds)
        ]
        os.chdir("/")
    small, small_without, large, large_without = (statistics.median(column) for column in zip(*measured, strict=True))
    print("CPU seconds a run: " + ", ".join("/".join(f"{one:.2f}" for one in row) for row in measured))
    told(
        "a program with traces and metrics to nowhere / without, CPU",
        (large - small) / (large_without - small_without),
        1.15,
    )
    told("start with traces and metrics, beside one without, CPU", small - small_without, None, unit="s")
    told("two spans and their metrics, encoded, CPU", statistics.median(added), None, unit="us a node")


if __name__ == "__main__":
    main()
