"""How long `orchestrate validate` of one command takes beside 999 others: processor time, in a fresh process.

Effects: makes two projects in a temporary folder and starts programs in them, in turn; prints the ratio of medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.command_line import OURS, cpu  # noqa: E402 - benchmarks are run as files
from benchmarks.report import told  # noqa: E402
from benchmarks.status_call import command, make_project  # noqa: E402

PROMISED = 1.3
NODES = 4


def project_of(root: Path, commands: int) -> Path:
    """A project with that many commands."""
    make_project(root)
    folder = root / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    for number in range(commands):
        raw = command(f"/command-{number}", "quick", NODES)
        (folder / f"command-{number}.json").write_text(json.dumps(raw, indent=2), encoding="utf-8")
    return root


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        projects = [project_of(Path(folder) / str(count), count) for count in (1, options.commands)]
        taken: list[list[float]] = [[], []]
        for _ in range(options.rounds):
            for project, times in zip(projects, taken, strict=True):
                times.append(cpu(project, OURS, "validate", "/command-0"))
    few, many = map(statistics.median, taken)
    print(f"one command: {few * 1000:.0f} ms, {options.commands} commands: {many * 1000:.0f} ms")
    told(f"cold validate with {options.commands} commands / with one, CPU", many / few, PROMISED)


if __name__ == "__main__":
    main()
