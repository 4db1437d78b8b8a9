"""How much the check of what a yes covers costs a run of an unchanged project, next to an lstat walk of the same files.

Effects: writes a project of 10,000 modules into a temporary folder, says yes to it, and measures both in turn. Both are
this process's, warm, and the medians of many rounds. The promise is 1.2 at most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from mcp_server.project.project import open_catalog  # noqa: E402
from mcp_server.project.settings import load_settings  # noqa: E402
from mcp_server.project.trusted import open_trust  # noqa: E402
from registry.trust.digests import RACY  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

PROMISED = 1.2
FOLDERS, FILES = 100, 100
AGENT = "---\nname: worker\ndescription: Works\nexecutor: python\ncallable: package_0.folder_0.module_0:work\n---\n"


def make_project(root: Path) -> None:
    """A project of FOLDERS times FILES modules, and an agent that can import them all."""
    (root / ".claude" / "agents").mkdir(parents=True)
    (root / ".claude" / "agents" / "worker.md").write_text(AGENT, encoding="utf-8")
    for number in range(FOLDERS):
        folder = root / f"package_{number // 10}" / f"folder_{number}"
        folder.mkdir(parents=True)
        for file in range(FILES):
            (folder / f"module_{file}.py").write_text(f"x = {number * FILES + file}\n", encoding="utf-8")


def walk(root: Path) -> int:
    """The state of every file below *root*, as cheaply as Python's own library walks."""
    count = 0
    for place, _, files in os.walk(root):
        for name in files:
            os.lstat(os.path.join(place, name))  # noqa: PTH118 - as a walk is written for speed
            count += 1
    return count


def seconds(work: Callable[[], object]) -> float:
    """How long *work* takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def main() -> None:
    """Measure, print, and fail where the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "project", Path(folder) / "home"
        make_project(root)
        settings = load_settings(root)
        catalog = open_catalog(root, settings, home=home)
        trust = open_trust(catalog, settings, home=home)
        agents = [agent for agent in catalog.agents().agents.values() if agent.id == "worker"]
        trust.remember(trust.items())
        time.sleep(RACY + 0.5)  # what was changed a moment ago is read again
        trust.check(agents)
        pairs = [(seconds(lambda: walk(root)), seconds(lambda: trust.check(agents))) for _ in range(rounds)]
    walks, checks = ([pair[side] for pair in pairs] for side in (0, 1))
    told("check of 10,000 covered files", statistics.median(checks) * 1000, None, unit="ms")
    told("lstat walk of them", statistics.median(walks) * 1000, None, unit="ms")
    ratio = statistics.median(check / base for base, check in pairs)
    told("check of 10,000 covered files / lstat walk", ratio, PROMISED)
    sys.exit(ratio > PROMISED)


if __name__ == "__main__":
    main()
