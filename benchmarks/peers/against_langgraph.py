"""What a node costs here and in LangGraph, on the same graph.

Effects: installs LangGraph into an environment of its own in a temporary folder, or uses the one that is given; runs
both in turn, and prints the ratio of their best rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.engine_overhead import MIDDLE, in_memory
from benchmarks.ours import plan_of
from benchmarks.report import told
from benchmarks.yardsticks.dags import Dag, layered

CHILD = Path(__file__).with_name("in_langgraph.py")


def environment(folder: Path) -> Path:
    """The Python of a new environment with LangGraph in it."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("this needs uv, which makes the environment")
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", str(folder)], check=True)  # noqa: S603
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), "langgraph"], check=True)  # noqa: S603
    return python


def theirs(python: Path, dag: Dag) -> float:
    """Microseconds a node of LangGraph."""
    done = subprocess.run(  # noqa: S603
        [str(python), str(CHILD)],
        input=json.dumps(dag.needs),
        env={"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=MIDDLE)
    parser.add_argument("--python", type=Path, help="a Python that has LangGraph")
    options = parser.parse_args()
    dag = layered(options.nodes)
    plan = plan_of(dag)
    ours, peer = float("inf"), float("inf")
    with tempfile.TemporaryDirectory() as folder:
        python = options.python or environment(Path(folder) / "environment")
        for _ in range(options.rounds):
            peer = min(peer, theirs(python, dag))
            ours = min(ours, asyncio.run(in_memory(dag, plan)))
    print(f"microseconds a node, {options.nodes} nodes: LangGraph {peer:.0f}, engine {ours:.0f}")
    told("engine in memory / LangGraph", ours / peer, 0.25)


if __name__ == "__main__":
    main()
