"""How much longer our server takes to answer its first request than an empty one on the same SDK.

Effects: starts both servers in turn, several times, and prints medians and their ratio. The promise is 1.25 at most.
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

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files

PROMISED = 1.25
EMPTY = "from mcp.server.mcpserver import MCPServer; MCPServer('empty').run()"
SERVERS = {"empty": ["-c", EMPTY], "ours": ["-m", "mcp_server"]}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": MODERN}}


def first_answer(arguments: list[str], project: Path) -> float:
    """Seconds from starting the server to its answer to `server/discover`."""
    started = perf_counter()
    with subprocess.Popen(  # noqa: S603 - the arguments stand above
        [sys.executable, *arguments],
        cwd=project,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(project)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None  # noqa: S101 - by the arguments
        assert server.stdout is not None  # noqa: S101
        server.stdin.write(json.dumps(REQUEST) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        seconds = perf_counter() - started
        if "result" not in answer:
            sys.exit(f"{arguments} answered {answer}")
        server.stdin.close()
        server.wait(timeout=20)
    return seconds


def main() -> None:
    """Measure, print, and fail where the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds: int = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, arguments in SERVERS.items():
                seconds = first_answer(arguments, Path(folder))
                if number:  # the first round fills the caches
                    taken[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratio = medians["ours"] / medians["empty"]
    for name, seconds in medians.items():
        print(f"{name:6} {seconds * 1000:6.0f} ms")
    told("start to first answer / an empty server on the same SDK", ratio, PROMISED)
    sys.exit(ratio > PROMISED)


if __name__ == "__main__":
    main()
