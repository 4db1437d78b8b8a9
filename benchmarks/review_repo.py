"""How long `/review-repo` takes on a repository of 100 files, against its slowest scanner alone.

Effects: makes a repository of 100 files of this one in a scratch folder, or takes the given ones, and runs the command
line `orchestrate run /review-repo` there as a user does, in turn with each program that its scanners start, started
alone and exactly as the review starts it: same files, same rules, same environment. Prints medians and their ratio:
seconds on the wall from the start of the program to its end, and of CPU, all processes included. A scanner that is
started several times, for many files, counts with the sum. The same once more for a call of the tool `run` of a server
that runs already, as in a session of Claude Code, after a first call.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.report import told
from benchmarks.status_call import Server
from registry.packaged.review_repo import structure
from registry.packaged.review_repo.files import relist
from registry.packaged.review_repo.programs import Finished, run
from registry.packaged.review_repo.tools import actionlint, ast_grep, lizard, oxlint, ruff, scan, shellcheck, zizmor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FILES = 100
_SUBREAPER = 36
_FINDERS = {
    "ruff": ruff.find,
    "ast-grep": ast_grep.find,
    "oxlint": oxlint.find,
    "zizmor": zizmor.find,
    "shellcheck": shellcheck.find,
    "actionlint": actionlint.find,
}


@dataclass(frozen=True, slots=True)
class Start:
    """How a program is started."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    succeeds: bool = False
    """Whether another exit code than 0 means that it did not do its work."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds that programs took."""

    wall: float
    cpu: float


def hundred_files(root: Path) -> None:
    """Make *root* a repository of the code, tests and workflows that this one has, evenly chosen, with two commits."""
    ours = Path(__file__).parents[1]
    listed = _git(ours, "ls-files", "-z")
    names = [name for name in listed.split("\0") if name and not (ours / name).is_symlink()]
    always = [name for name in names if name.startswith((".github/", ".ci/"))]
    others = [name for name in names if name not in always and name.endswith((".py", ".ts", ".tsx", ".mjs", ".sh"))]
    wanted = FILES - len(always)
    chosen = [*always, *(others[number * len(others) // wanted] for number in range(wanted))]
    for name in chosen:
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((ours / name).read_bytes())
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        _git(root, *words)


def _git(root: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603 - a list


def programs_in(scratch: Path) -> dict[str, list[Start]]:
    """The programs that the scanners start in the working directory, by scanner; their inputs are in *scratch*."""
    answer = structure.review({"inputs": {"path": "."}})["outputs"]
    listing, found = relist(answer)
    starts: dict[str, list[Start]] = defaultdict(list)

    def recording(argv: Sequence[str], *, cwd: Path, **options: Any) -> Finished:  # noqa: ANN401 - those of `run`
        starts[tool].append(Start(list(argv), cwd, options.get("env") or dict(os.environ)))
        return run(argv, cwd=cwd, **options)

    with mock.patch.object(scan, "run", recording), mock.patch.object(lizard, "run", recording):
        for tool, find in _FINDERS.items():
            place = scratch / tool
            place.mkdir()
            scan.guarded(tool, lambda find=find, place=place: find(scan.Workshop(listing, place, found["not_utf8"])))  # type: ignore[misc]
        tool = "lizard"
        code = [file.path for file in listing.files if file.language == "Python" or file.path.endswith((".js", ".ts"))]
        lizard.most_complex(listing.root, code[:10], scratch)
    return {tool: each for tool, each in starts.items() if _has_files(each)}


def _has_files(starts: Sequence[Start]) -> bool:
    return any(start.argv[-1] != "--" for start in starts)


def take(start: Start, *, alone: bool = False) -> Taken:
    """Run a program to its end; unless *alone*, with all that it leaves behind, of which this process is the reaper."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, number) for number in (0, 1, 2)]
    os.chdir(start.cwd)
    before, began = _cpu(), perf_counter()
    pid = os.posix_spawn(start.argv[0], list(start.argv), start.env, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    wall = perf_counter() - began
    if status and start.succeeds:
        raise SystemExit(f"{' '.join(start.argv)} failed: {os.waitstatus_to_exitcode(status)}")
    os.close(nowhere)
    try:
        while not alone:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
    return Taken(wall, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summed(starts: Sequence[Start], *, alone: bool = False) -> Taken:
    """Run programs one after the other."""
    each = [take(start, alone=alone) for start in starts]
    return Taken(sum(one.wall for one in each), sum(one.cpu for one in each))


def rounds_of(count: int, whole: Start, scanners: Mapping[str, Sequence[Start]]) -> Iterator[dict[str, Taken]]:
    """Take everything in turn, *count* times, after one turn that warms the caches of files."""
    for number in range(count + 1):
        taken = {"": take(whole)} | {tool: summed(starts) for tool, starts in scanners.items()}
        if number:
            yield taken


def measure(root: Path, program: Path, rounds: int, name: str) -> None:
    """Compare in the repository *root*, shown as *name*."""
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as home:
        os.chdir(root)
        scanners = programs_in(Path(scratch).resolve())
        env = os.environ | {"HOME": home, "XDG_CONFIG_HOME": f"{home}/.config"}
        whole = Start([str(program), "run", "/review-repo"], root, env, succeeds=True)
        taken = list(rounds_of(rounds, whole, scanners))
        called = calls(root, home, rounds, scanners)
    walls = {tool: statistics.median(each[tool].wall for each in taken) for tool in taken[0]}
    cpus = {tool: statistics.median(each[tool].cpu for each in taken) for tool in taken[0]}
    slowest = max(scanners, key=lambda tool: walls[tool])
    print(f"{name}: seconds on the wall (CPU), medians of {rounds}")
    for tool in sorted(walls, key=lambda tool: -walls[tool]):
        print(f"    {tool or 'the whole command':<20} {walls[tool]:.3f} ({cpus[tool]:.3f})")
    ratio = statistics.median(each[""].wall / each[slowest].wall for each in taken)
    told(f"{name}: /review-repo / its slowest scanner ({slowest}), wall", ratio, 3)
    told(f"{name}: the same, CPU of all processes", cpus[""] / cpus[slowest], None)
    slowest = max(scanners, key=lambda tool: statistics.median(each[tool] for each in called))
    print(f"    in a running server   {statistics.median(each[''] for each in called):.3f}")
    ratio = statistics.median(each[""] / each[slowest] for each in called)
    told(f"{name}: a call in a running server / its slowest scanner ({slowest})", ratio, 3)


def calls(root: Path, home: str, rounds: int, scanners: Mapping[str, Sequence[Start]]) -> list[dict[str, float]]:
    """Seconds of a call of the tool `run` and of each scanner, in turn, *rounds* times, after one that warms all."""
    server = Server(root, HOME=home, XDG_CONFIG_HOME=f"{home}/.config", PATH=os.environ["PATH"])
    taken: list[dict[str, float]] = []
    try:
        for _ in range(rounds + 1):
            began = perf_counter()
            answer = server.call("run", command="/review-repo", wait_seconds=50)
            while answer["state"] == "running":
                answer = server.call("status", run_id=answer["runId"], wait_seconds=50)
            taken.append({"": perf_counter() - began})
            if answer["state"] != "completed":
                raise SystemExit(f"the run is {answer['state']}")
            taken[-1] |= {tool: summed(starts, alone=True).wall for tool, starts in scanners.items()}
    finally:
        server.close()
    return taken[1:]


def main() -> None:
    """Measure each repository."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="*", type=Path, help="work trees; 100 files of this one by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--program", type=Path, default=Path(sys.executable).parent / "orchestrate", help="another build"
    )
    options = parser.parse_args()
    if sys.platform == "linux":  # the CPU of programs that outlive their parents is ours to count
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    for given in options.repositories or [None]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve() / "files"
            if given is None:
                root.mkdir()
                hundred_files(root)
            else:  # a clone, for the state of a project is that of its user
                _git(root.parent, "clone", "-q", str(given.resolve()), str(root))
            name = f"{FILES} files" if given is None else given.resolve().name
            measure(root, options.program, options.rounds, name)


if __name__ == "__main__":
    main()
