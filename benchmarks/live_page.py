"""How much more a node of a run costs while a page follows the run: processor time of the run's own process.

Effects: makes projects in a temporary folder, starts `orchestrate view` and runs. Pairs of runs with and without a page
take turns, and the median of their ratios is told, so that a machine that is busy or slows down does not decide.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.executors.port import Outcome, WorkOrder
    from engine.run.state import Run

PROMISED = 1.05
PROGRAM = "from mcp_server.cli.app import main; main()"


async def run_here(project: Path, nodes: int) -> None:
    """Run a graph in *project* once a line comes; prints the run's id, and at its end the processor time in seconds."""
    from benchmarks.ours import WORKER, do_nothing, plan_of, run_to_end  # noqa: PLC0415 - for this process only
    from benchmarks.yardsticks.dags import layered  # noqa: PLC0415
    from engine.executors.inline import InlineExecutor  # noqa: PLC0415
    from engine.model.agent import AgentKind  # noqa: PLC0415
    from engine.opening import open_engine  # noqa: PLC0415

    async with open_engine(project) as engine:

        async def work(order: WorkOrder) -> Outcome:
            await asyncio.sleep(0.3)
            return await do_nothing(order)

        engine.executors[AgentKind.CUSTOM] = InlineExecutor({WORKER.id: work})
        named: list[str] = []

        def tell(run: Run, events: object) -> None:  # noqa: ARG001 - as listeners are called
            if not named:
                named.append(run.id)
                print(run.id, flush=True)

        engine.live_runs.listeners.append(tell)
        sys.stdin.readline()
        began = resource.getrusage(resource.RUSAGE_SELF)
        await run_to_end(engine, plan_of(layered(nodes)))
        ended = resource.getrusage(resource.RUSAGE_SELF)
    print(ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime)


@contextlib.contextmanager
def page(project: Path, environ: dict[str, str]) -> Iterator[str]:
    """The address of a live page of *project*."""
    words = [sys.executable, "-c", PROGRAM, "--project", str(project), "view", "--no-open"]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603
        try:
            if process.stdout is None:
                sys.exit("the page has no stdout")
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def follow(address: str, run: str, heard: list[int]) -> None:
    """Read what the page is sent of *run* until it has ended; the bytes of each message are added to *heard*."""
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("GET", f"{url.path}api/runs/{run}/events?{url.query}")
    answer = connection.getresponse()
    while line := answer.readline():
        if line.startswith(b"event: "):
            sys.exit(f"the page cannot follow the run: {answer.readline().decode()}")
        if line.startswith(b"data: "):
            heard.append(len(line))
            if b'"ended":true' in line:
                return


def measured(folder: Path, nodes: int, *, shown: bool) -> tuple[float, int]:
    """Processor seconds of the process of one run, and the number of messages that a page was sent."""
    (folder / ".claude").mkdir(parents=True)
    heard: list[int] = []
    environ = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    words = [sys.executable, "-m", "benchmarks.live_page", "--run", str(folder), "--nodes", str(nodes)]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(words, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        )
        address = stack.enter_context(page(folder, environ)) if shown else ""
        if process.stdin is None or process.stdout is None:
            sys.exit("the run has no pipes")
        process.stdin.write("go\n")
        process.stdin.flush()
        run = process.stdout.readline().strip()
        reader = threading.Thread(target=follow, args=(address, run, heard), daemon=True)
        if shown:
            reader.start()
        seconds = float(process.stdout.readline())
        if shown:
            reader.join(timeout=60)
    return seconds, len(heard)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--run", type=Path, help="run a graph here: what the benchmark starts")
    given = parser.parse_args()
    if given.run is not None:
        asyncio.run(run_here(given.run, given.nodes))
        return
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(given.pairs):
            both = {}
            for shown in (True, False) if pair % 2 else (False, True):
                both[shown], messages = measured(Path(folder) / f"{pair}-{shown}", given.nodes, shown=shown)
                if shown:
                    print(f"{messages} messages in pair {pair + 1}, {1000 * both[shown] / given.nodes:.3f} ms a node")
            ratios.append(both[True] / both[False])
    told("a node of a run that a page follows", statistics.median(ratios), PROMISED)


if __name__ == "__main__":
    main()
