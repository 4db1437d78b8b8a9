"""What a status line costs, beside a Python that opens the database and reads the newest run.

Effects: makes a project with one run; starts both many times, in turn; prints the processor time of each and the ratio
of their medians. The promise is 1.5 at most.
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

PROMISED = 1.5
PROGRAM = Path(sys.executable).parent / "orchestrate"
OPENS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT * FROM runs ORDER BY created_at DESC LIMIT 1").fetchone()
db.close()
"""
COMMAND = """
version: 2.0.0
name: /tiny
description: One step
phases: [{id: only, name: Only, agents: [{id: step, agentId: general-assistant, task: Do it, estimatedTime: 1000}]}]
"""


def seconds(command: list[str], project: Path) -> float:
    """The processor time of *command*, with that of its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {"PATH": os.defpath, "HOME": str(project.parent / "home"), "LANG": "C.UTF-8"}
    subprocess.run(command, cwd=project, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, print, and fail where the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        commands = project / ".claude" / "commands" / "v2"
        commands.mkdir(parents=True)
        (commands / "tiny.yaml").write_text(COMMAND, encoding="utf-8")
        seconds([str(PROGRAM), "run", "/tiny", "--executor", "simulate"], project)
        journal = project / ".claude" / "orchestration" / "journal.sqlite3"
        programs = {
            "a Python that opens the database": [sys.executable, "-c", OPENS, str(journal)],
            "orchestrate status --line": [str(PROGRAM), "status", "--line"],
        }
        taken: dict[str, list[float]] = {name: [] for name in programs}
        for number in range(rounds + 1):
            for name, command in programs.items():
                found = seconds(command, project)
                if number:  # the first round fills the caches
                    taken[name].append(found)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, value in medians.items():
        print(f"{name:34} {value * 1000:5.1f} ms")
    opens, line = medians.values()
    told("status --line / a Python that opens the database, CPU", line / opens, PROMISED)
    sys.exit(line / opens > PROMISED)


if __name__ == "__main__":
    main()
