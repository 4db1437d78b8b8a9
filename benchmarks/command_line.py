"""What `orchestrate runs`, `status` and other short commands cost: processor time beside an empty typer program.

Effects: makes a project with a simulated run in a temporary folder, and starts programs in it, in turn; prints ratios
of medians.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from benchmarks.status_call import make_project  # noqa: E402
from tests.support.trust import trust_all  # noqa: E402

EMPTY = "import typer\napp = typer.Typer()\n@app.command()\ndef main() -> None: ...\napp()"
OURS = "from mcp_server.entry import orchestrate; orchestrate()"
PROMISED = {"--help": 1.3, "runs": 1.6, "status": 1.6, "report": None, "output": None}
COMMAND = """{"version": "2.0.0", "name": "/short", "description": "A run", "phases": [{"id": "work", "name": "Work",
"agents": [{"id": "first", "agentId": "quick", "task": "Do the first task"}, {"id": "second", "agentId": "quick",
"task": "Do the second task", "dependencies": ["first"]}]}]}"""


def cpu(project: Path, program: str, *words: str) -> float:
    """Seconds of processor time of one program."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(project / "home"), "PYTHONSAFEPATH": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program, *words], cwd=project, env=env, capture_output=True, check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make_project(project)
        trust_all(project, project / "home")
        (project / "short.json").write_text(COMMAND, encoding="utf-8")
        cpu(project, OURS, "run", "short.json", "--executor", "simulate")
        taken: dict[str, list[float]] = {name: [] for name in ("", *PROMISED)}
        for _ in range(options.rounds):
            for name, times in taken.items():
                times.append(cpu(project, OURS, name) if name else cpu(project, EMPTY))
    empty = statistics.median(taken.pop(""))
    print(f"an empty typer program: {empty * 1000:.0f} ms")
    for name, times in taken.items():
        told(f"orchestrate {name} / an empty typer program, CPU", statistics.median(times) / empty, PROMISED[name])


if __name__ == "__main__":
    main()
