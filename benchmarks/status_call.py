"""How long a `status` call takes through a real client over stdio, for a run that has ended and for a live one.

Effects: makes a project in a temporary folder, starts the server, prints medians. The promise is 5 ms at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from mcp import Client, StdioServerParameters

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from tests.support.trust import trust_all  # noqa: E402

PROMISED_MS = 5.0
AGENT = """---
name: {name}
description: a program
executor: process
command: {command}
---
"""
SLOW = "import time; time.sleep(600)"


def command(name: str, agent: str, nodes: int) -> dict[str, Any]:
    """A command of one phase."""
    agents = [{"id": f"node-number-{number}", "agentId": agent, "task": f"Do task {number}"} for number in range(nodes)]
    phases = [{"id": "work", "name": "Work", "agents": agents}]
    return {"version": "2.0.0", "name": name, "description": "A benchmark", "phases": phases}


def make_project(root: Path) -> None:
    """Two agents: one that ends at once, one that does not."""
    folder = root / ".claude" / "agents"
    folder.mkdir(parents=True)
    for name, code in (("quick", "print('{\"outputs\": {}}')"), ("slow", SLOW)):
        argv = json.dumps([sys.executable, "-c", code])
        (folder / f"{name}.md").write_text(AGENT.format(name=name, command=argv), encoding="utf-8")


async def median_ms(client: Client, run_id: str, calls: int) -> float:
    """Milliseconds of one call, the median of *calls*."""
    taken = []
    for _ in range(calls):
        started = perf_counter()
        result = await client.call_tool("status", {"run_id": run_id})
        taken.append((perf_counter() - started) * 1000)
        if result.is_error:
            sys.exit(str(result.content))
    return statistics.median(taken)


async def started(client: Client, definition: dict[str, Any], **options: object) -> str:
    """Start a run; its id."""
    result = await client.call_tool("run", {"command": definition, **options})
    if result.is_error or result.structured_content is None:
        sys.exit(str(result.content))
    return str(result.structured_content["runId"])


async def measure(nodes: int, calls: int) -> bool:
    """Print both medians; whether the promise is kept."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make_project(project)
        arguments = ["-m", "mcp_server", "--project", folder]
        trust_all(project, project / "home")
        environment = {"PYTHONPATH": str(ROOT), "HOME": str(project / "home")}
        server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
        async with Client(server, read_timeout_seconds=120) as client:
            ended = await started(client, command("/ended", "quick", nodes), wait_seconds=100)
            live = await started(client, command("/live", "slow", nodes), max_parallelism=4)
            medians = {"ended": await median_ms(client, ended, calls), "live": await median_ms(client, live, calls)}
            await client.call_tool("cancel", {"run_id": live})
    for name, taken in medians.items():
        print(f"{name:6} {taken:6.2f} ms  ({nodes} nodes)")
    slowest = max(medians.values())
    told("a status call over stdio", slowest, PROMISED_MS, unit="ms")
    return slowest <= PROMISED_MS


def main() -> None:
    """Measure, print, and fail where the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    sys.exit(not asyncio.run(measure(options.nodes, options.calls)))


if __name__ == "__main__":
    main()
