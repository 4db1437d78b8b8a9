"""How long a `status` call of a client over stdio takes, for a run that has ended and for a live one.

Effects: makes a project in a temporary folder, starts the server, prints medians. The promise is 5 ms at most.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

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


def make_project(root: Path, **programs: str) -> None:
    """Two agents, one that ends at once, and one that does not; and one more for each of *programs*."""
    folder = root / ".claude" / "agents"
    folder.mkdir(parents=True)
    for name, code in {"quick": "print('{\"outputs\": {}}')", "slow": SLOW, **programs}.items():
        argv = json.dumps([sys.executable, "-c", code])
        (folder / f"{name}.md").write_text(AGENT.format(name=name, command=argv), encoding="utf-8")


class Server:
    """The real server behind its pipes; the client only writes and reads lines, so that its time is not counted."""

    def __init__(self, project: Path, **environment: str) -> None:
        """Start it with these variables more, and shake hands."""
        self._process = subprocess.Popen(  # noqa: S603 - our own server
            [sys.executable, "-P", "-m", "mcp_server", "--project", str(project)],
            cwd=project,
            env={"PYTHONPATH": str(ROOT), "HOME": str(project / "home"), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._last = 0
        client = {"name": "benchmark", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        self._write({"method": "notifications/initialized"})

    def _write(self, message: dict[str, Any]) -> None:
        if self._process.stdin is None:
            sys.exit("the server has no stdin")
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one request."""
        self._last += 1
        self._write({"id": self._last, "method": method, "params": params})
        for line in self._process.stdout or ():
            answer = json.loads(line)
            if answer.get("id") == self._last:
                if "result" not in answer or answer["result"].get("isError"):
                    sys.exit(f"{method} answered {line}")
                result: dict[str, Any] = answer["result"]
                return result
        return sys.exit("the server has ended")

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The structured answer of a tool."""
        answer: dict[str, Any] = self.ask("tools/call", {"name": tool, "arguments": arguments})["structuredContent"]
        return answer

    def close(self) -> None:
        """End it by closing its stdin."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=30)


def median_ms(server: Server, run_id: str, calls: int) -> float:
    """Milliseconds from a request to its answer, the median of *calls*."""
    taken = []
    for _ in range(calls):
        started = perf_counter()
        server.call("status", run_id=run_id)
        taken.append((perf_counter() - started) * 1000)
    return statistics.median(taken)


def measure(nodes: int, calls: int) -> bool:
    """Print both medians; whether the promise is kept."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make_project(project)
        trust_all(project, project / "home")
        server = Server(project)
        ended = server.call("run", command=command("/ended", "quick", nodes), wait_seconds=100)["runId"]
        live = server.call("run", command=command("/live", "slow", nodes), max_parallelism=4)["runId"]
        medians = {"ended": median_ms(server, ended, calls), "live": median_ms(server, live, calls)}
        server.call("cancel", run_id=live)
        server.close()
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
    sys.exit(not measure(options.nodes, options.calls))


if __name__ == "__main__":
    main()
