"""How long after the start of the first agent the first answer of `run` comes, over stdio.

Effects: makes a project in a temporary folder, starts the server, runs a command many times, prints the median. The
agent is a program that writes down when it began, by the clock that all processes of the machine share.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from benchmarks.status_call import Server, command, make_project  # noqa: E402
from tests.support.trust import trust_all  # noqa: E402

PROMISED_MS = 100.0
BEGAN = "import time; open('began', 'w').write(str(time.monotonic())); print('{\"outputs\": {}}')"


def answered_after(server: Server, project: Path) -> float:
    """Milliseconds from the start of the agent's program to the answer of `run`; below 0 where the answer is first."""
    began = project / "began"
    began.unlink(missing_ok=True)
    run_id = server.call("run", command=command("/one", "first", 1))["runId"]
    answer = monotonic()
    while server.call("status", run_id=run_id, wait_seconds=20)["state"] == "running":
        pass
    return 1000 * (answer - float(began.read_text(encoding="utf-8")))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make_project(project, first=BEGAN)
        trust_all(project, project / "home")
        server = Server(project)
        first = answered_after(server, project)
        later = statistics.median(answered_after(server, project) for _ in range(rounds))
        server.close()
    told("the answer of run after the start of the first agent", later, PROMISED_MS, unit="ms")
    told("the same, first call of a server", first, PROMISED_MS, unit="ms")


if __name__ == "__main__":
    main()
