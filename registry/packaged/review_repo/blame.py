"""Asks git when lines were last changed.

Effects: runs `git blame` on single lines, several at a time, within a time for all.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from registry.packaged.review_repo.git import git
from registry.packaged.review_repo.programs import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECONDS = 1.0
WORKERS = 4


def ages_of(root: Path, lines: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """When each of *lines*, a path and a number, was last changed, since the epoch, while the time allows."""
    deadline = Deadline(SECONDS)
    wanted = list(dict.fromkeys(lines))

    def one(place: tuple[str, int]) -> int | None:
        return None if deadline.passed else _age(root, *place, deadline.left)

    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(one, wanted))
    return {place: at for place, at in zip(wanted, found, strict=True) if at is not None}


def _age(root: Path, path: str, line: int, seconds: float) -> int | None:
    done = git(
        root,
        "blame",
        "--porcelain",
        "-w",
        "--no-textconv",
        f"-L{line},{line}",
        "HEAD",
        "--",
        path,
        seconds=seconds,
        limit=100_000,
    )
    if done.code != 0:
        return None  # a new file, or a line that is not committed yet
    for row in done.stdout.split(b"\n"):
        if row.startswith(b"committer-time ") and row[15:].isdigit():
            return int(row[15:])
    return None
