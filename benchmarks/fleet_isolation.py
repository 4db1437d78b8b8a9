"""What a fleet costs isolated agents: eight at once that edit files, on two workers, against the same here.

Effects: starts the development server of a fleet (on disk, with the settings of `fleet up`), two workers with folders
of their own, and agents that are programs; makes repositories in a temporary folder. All of it is on this machine, so
the cores are shared by both sides. Rounds take turns; the median of their ratios counts. The agents sleep for two
seconds, since one with a model takes at least that; and for none, for the bare cost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from engine.run.events import RunStatus  # noqa: E402
from mcp_server.project.project import Project, RunRequest, open_project  # noqa: E402
from tests.support.fleet import Server, command  # noqa: E402
from tests.support.fleet_files import FilesYard, node  # noqa: E402
from tests.support.real_agents import ended  # noqa: E402
from tests.support.repositories import git, write_files  # noqa: E402
from tests.support.trust import trust_all  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

AGENTS, FILES = 8, 200
TARGET = 1.1


def agents(round_number: int, seconds: float) -> list[dict[str, Any]]:
    """Agents that sleep, change a line of a file and make another one."""
    return [
        node(
            f"n{number}",
            f"time.sleep({seconds}); replace('part/{number}.txt', 'line', 'a line');"
            f" write('new/{round_number}-{number}.txt', 'x')",
        )
        for number in range(AGENTS)
    ]


async def once(project: Project, nodes: list[dict[str, Any]]) -> float:
    """Seconds of one run."""
    engine = await project.engine()
    begun = perf_counter()
    seen = await ended(engine, await project.start(RunRequest(source=command(*nodes))))
    taken = perf_counter() - begun
    if seen.status is not RunStatus.COMPLETED:
        sys.exit(f"{seen.message} {[one.failure for one in seen.nodes.values()]}")
    return taken


async def measure(yard: FilesYard, here: Path, seconds: float, rounds: int, first: int) -> None:
    """Take turns, so that a busy machine is busy for both."""
    times: dict[str, list[float]] = {"fleet": [], "here": []}
    async with (
        open_project(yard.project, home=yard.home) as far,
        open_project(here, home=yard.home) as near,
    ):
        sides = {"fleet": far, "here": near}
        for number in range(-1, rounds):  # the first round sends all files, and imports
            order = list(sides.items()) if number % 2 else list(sides.items())[::-1]
            for name, project in order:
                taken = await once(project, agents(first + number, seconds))
                if number >= 0:
                    times[name].append(taken)
    ratios = [fleet / own for fleet, own in zip(times["fleet"], times["here"], strict=True)]
    what = f"{AGENTS} isolated agents of {seconds:g} s on a fleet / here"
    told(what, statistics.median(ratios), TARGET if seconds else None)
    print(f"  fleet {[round(one, 2) for one in times['fleet']]} s, here {[round(one, 2) for one in times['here']]} s")


def prepared(folder: Path, server: Server) -> tuple[FilesYard, Path]:
    """A project with a fleet, and a copy of it without one."""
    yard = FilesYard(folder, server.address)
    write_files(yard.project, {f"part/{number}.txt": f"line of {number}\n" * 60 for number in range(FILES)})
    yard.commit()
    yard.trust()
    here = folder / "here"
    shutil.copytree(yard.project, here)
    (here / ".claude" / "orchestration.toml").unlink()
    git(here, "commit", "--quiet", "--all", "--message=Without a fleet")
    trust_all(here, yard.home)
    return yard, here


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = Server(folder / "fleet.sqlite3")
        yard, here = prepared(folder, server)
        os.environ["TRACE"] = str(yard.trace)
        try:
            for name in ("w1", "w2"):
                yard.start_worker(name, "--slots", str(AGENTS // 2))
            asyncio.run(measure(yard, here, 2, given.rounds, 0))
            asyncio.run(measure(yard, here, 0, given.rounds, 1000))
        finally:
            yard.close()
            server.close()


if __name__ == "__main__":
    main()
