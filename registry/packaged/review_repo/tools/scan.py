"""How every scanner is run: by full path, on files by name, within a time, without settings of anyone.

Effects: starts programs, and writes copies of odd files into a scratch folder.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from registry.packaged.review_repo.answer import Refusal
from registry.packaged.review_repo.files import read_bytes
from registry.packaged.review_repo.programs import Deadline, Finished, batches, run
from registry.packaged.scanners import program_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from registry.packaged.review_repo.files import Listing, Source
    from registry.packaged.review_repo.findings import Hit

FILES = 2_000
CHARACTERS = 100_000
"""Names on one command line; below the limit of macOS, which has the smaller one."""
_WITHHELD = (
    *(
        "RUFF_",
        "OXLINT_",
        "OXC_",
        "AST_GREP",
        "ZIZMOR_",
        "SHELLCHECK_",
        "ACTIONLINT_",
        "GIT_",
        "GH_",
        "GITHUB_",
        "NODE_",
        "NPM_",
    ),
    *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "RUST_", "XDG_", "HTTP", "http", "ALL_PROXY"),
)


@dataclass(slots=True)
class Scan:
    """The work of one scanner."""

    tool: str
    files: int = 0
    """Files it was given."""
    hits: list[Hit] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Files it could not read."""
    problem: str = ""
    """Why it did not run or finish; empty if it did."""


class Workshop:
    """The listing, a scratch folder, and copies of files that scanners could not read: shared in one review."""

    def __init__(self, listing: Listing, scratch: Path, odd: Iterable[str] = ()) -> None:
        """*odd* are files that are no UTF-8: scanners get a copy in which the odd bytes are replaced."""
        self.listing = listing
        self.scratch = scratch
        self._odd = set(odd)
        self._copies: dict[str, str] = {}
        (scratch / "home").mkdir(exist_ok=True)

    def names(self, files: Iterable[Source], suffix: str = "") -> list[str]:
        """How a scanner is given *files*; *suffix* is the ending by which it knows a script without one."""
        return [self._name(file, suffix) for file in files]

    def original(self, name: str) -> str:
        """The path in the repository of a file that a scanner names."""
        if name in self._copies:
            return self._copies[name]
        if name.startswith("/"):
            name = os.path.relpath(name, self.listing.root)
        return name.removeprefix("./")

    def _name(self, file: Source, suffix: str) -> str:
        bare = bool(suffix) and "." not in file.path.rpartition("/")[2]
        if not bare and file.path not in self._odd:
            return f"./{file.path}"
        folder = Path(tempfile.mkdtemp(dir=self.scratch))  # several scanners make copies at the same time
        copy = folder / (f"script{suffix}" if bare else f"copy{os.path.splitext(file.path)[1]}")  # noqa: PTH122
        copy.write_bytes((read_bytes(self.listing.root, file) or b"").decode("utf-8", "replace").encode())
        self._copies[str(copy)] = file.path
        return str(copy)

    def environment(self) -> dict[str, str]:
        """No settings of the user or the repository, no token, and a home of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_WITHHELD)}
        return kept | {"HOME": str(self.scratch / "home"), "NO_COLOR": "1", "PYTHONSAFEPATH": "1"}


def scan(
    shop: Workshop,
    tool: str,
    argv: Sequence[str],
    names: Sequence[str],
    read: Callable[[Finished], list[Hit] | None],
    *,
    seconds: float,
    files: int = FILES,
    workers: int = 1,
) -> Scan:
    """Run *tool* on *names*; *read* takes the hits from its output, or None if there is no sense in it.

    A batch without sense is halved until the file is found at which the tool breaks.
    """
    done = Scan(tool=tool, files=len(names))
    deadline = Deadline(seconds)
    lists = list(batches(names, files=files, characters=CHARACTERS))
    runner = _Runner(shop, argv, read, done, deadline)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(runner.batch, lists))
    return done


def locate(package: str, program: str) -> str:
    """The full path of an installed scanner. Raises `Refusal` TOOL_MISSING."""
    found = program_of(package, program)
    if found is None:
        raise Refusal("TOOL_MISSING", "not installed")
    return str(found)


def guarded(tool: str, work: Callable[[], Scan]) -> Scan:
    """*work*, whose failure is a line of the report and not the end of the review."""
    try:
        return work()
    except Refusal as refusal:
        return Scan(tool=tool, problem=refusal.message)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        return Scan(tool=tool, problem=f"its output was not understood ({type(error).__name__}: {str(error)[:100]})")


class _Runner(msgspec.Struct, frozen=True):
    """Runs the batches of one scan."""

    shop: Workshop
    argv: Sequence[str]
    read: Callable[[Finished], list[Hit] | None]
    done: Scan
    deadline: Deadline

    def batch(self, names: Sequence[str]) -> None:
        """Scan *names*, or say why they were not read."""
        shop, done = self.shop, self.done
        if self.deadline.passed:
            done.problem = done.problem or "its time was up before the last files"
            done.unread += [shop.original(name) for name in names]
            return
        finished = run([*self.argv, *names], cwd=shop.listing.root, seconds=self.deadline.left, env=shop.environment())
        hits = None if finished.timed_out or finished.truncated else self.read(finished)
        if hits is not None:
            done.hits += hits
        elif finished.timed_out or len(names) == 1:
            done.unread += [shop.original(name) for name in names]
            reason = "its time was up" if finished.timed_out else f"it failed: {finished.complaint}"
            done.problem = done.problem or reason
        else:
            middle = len(names) // 2
            self.batch(names[:middle])
            self.batch(names[middle:])
