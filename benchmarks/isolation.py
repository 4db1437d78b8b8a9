"""What a worktree of its own costs an attempt in a repository of 2,000 files, beside what git takes for one alone.

Effects: makes a repository in a temporary folder, starts git, and agents that are programs, alone and ten at once. The
ratio tells what is ours; the milliseconds are the disk's, on which git writes every file.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from engine.executors.process import ProcessExecutor  # noqa: E402
from engine.executors.worktrees.isolated import IsolatedExecutor  # noqa: E402
from tests.support.orders import Beats, order_for  # noqa: E402
from tests.support.repositories import editor, git, make_repository, write_files  # noqa: E402

FILES = 2000
SIDE_BY_SIDE = 10


def repository(folder: Path, files: int) -> Path:
    """A repository of *files* files of some 2 KB in 40 folders, all packed."""
    text = "".join(f"a line of the file, number {line}\n" for line in range(60))
    names = [f"part-{number % 40}/file-{number}.txt" for number in range(files)]
    project = make_repository(folder / "project")
    git(project, "config", "gc.auto", "0")
    write_files(project, {name: f"{name}\n{text}" for name in names})
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=All")
    git(project, "gc", "--quiet")
    return project


def bare(project: Path) -> float:
    """Seconds that git takes to make a worktree and to remove it."""
    begun = perf_counter()
    git(project, "worktree", "add", "--quiet", "--detach", "../bare")
    git(project, "worktree", "remove", "../bare")
    return perf_counter() - begun


async def attempt(project: Path, number: int, *, isolated: bool) -> float:
    """Seconds that an attempt takes whose agent writes two files."""
    agent = editor(project, isolation="worktree" if isolated else None)
    task = f"write('new-{number}.txt', 'x'); write('part-{number % 40}/file-{number}.txt', 'y')"
    order = order_for(agent, project=project, outputs=(), task=task, number=number, node=f"node-{isolated}".lower())
    executor = IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None)
    begun = perf_counter()
    outcome = await executor.execute(order, Beats())
    if outcome.failure is not None:
        sys.exit(str(outcome.failure))
    return perf_counter() - begun


async def measure(project: Path, repeats: int) -> None:
    """Take turns, so that a busy machine is busy for all."""
    alone: dict[bool, list[float]] = {False: [], True: []}
    yardstick = []
    for number in range(repeats):
        yardstick.append(await asyncio.to_thread(bare, project))
        for isolated in (False, True):
            alone[isolated].append(await attempt(project, number, isolated=isolated))
    cost = statistics.median(alone[True]) - statistics.median(alone[False])
    told("an attempt's worktree, made, merged and removed", 1000 * cost, None, unit="ms")
    told("the same / git's own worktree add and remove", cost / statistics.median(yardstick), None)
    together: dict[bool, float] = {}
    for isolated in (False, True):
        begun = perf_counter()
        first = repeats + SIDE_BY_SIDE * isolated
        await asyncio.gather(*(attempt(project, first + n, isolated=isolated) for n in range(SIDE_BY_SIDE)))
        together[isolated] = perf_counter() - begun
    told("the same, ten at once, each", 1000 * (together[True] - together[False]) / SIDE_BY_SIDE, None, unit="ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--repeats", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(repository(Path(folder), given.files), given.repeats))


if __name__ == "__main__":
    main()
