"""Lizard: the most complex function of a file, in many languages.

Effects: starts lizard with the running interpreter, outside the repository, where it would read a list of exceptions.
"""

from __future__ import annotations

import csv
import io
import sys
from typing import TYPE_CHECKING

import msgspec

from registry.packaged.review_repo.answer import Refusal
from registry.packaged.review_repo.programs import Deadline, run
from registry.packaged.scanners import is_installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SECONDS = 8.0
_FIELDS = 11
_NO_FUNCTIONS = (".css", ".scss", ".sass", ".less")
"""Files of a language without functions: lizard takes an `@media (…)` for one."""
_BLOCKS = frozenset({"using", "if", "for", "foreach", "while", "switch", "catch", "synchronized"})
"""Words that lizard takes for the name of a function, where a block stands outside of one."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One function of a file."""

    name: str
    line: int
    lines: int
    complexity: int
    """Number of independent paths, after McCabe."""


def most_complex(root: Path, paths: Sequence[str], scratch: Path) -> tuple[dict[str, Function], list[str]]:
    """The most complex function of each of *paths* that has one, and the files that lizard breaks at.

    Raises `Refusal`: TOOL_MISSING, TIMEOUT.
    """
    paths = [path for path in paths if not path.lower().endswith(_NO_FUNCTIONS)]
    if not paths:
        return {}, []
    if not is_installed("lizard"):
        raise Refusal("TOOL_MISSING", "not installed")
    return _halved(root, paths, scratch, Deadline(SECONDS))


def _halved(
    root: Path, paths: Sequence[str], scratch: Path, deadline: Deadline
) -> tuple[dict[str, Function], list[str]]:
    """Those of *paths*: where lizard breaks at a file it says nothing about the others, so each half is asked for."""
    names = {str(root / path): path for path in paths}
    done = run([sys.executable, "-P", "-m", "lizard", "--csv", *names], cwd=scratch, seconds=deadline.left)
    if done.timed_out:
        raise Refusal("TIMEOUT", "its time was up")
    if not done.code or done.stdout:  # it has a code where a function is very complex, too
        return _read(done.stdout, names), []
    if len(paths) == 1:
        return {}, [*paths]
    middle = len(paths) // 2
    first, unread = _halved(root, paths[:middle], scratch, deadline)
    second, unread_too = _halved(root, paths[middle:], scratch, deadline)
    return first | second, unread + unread_too


def _read(stdout: bytes, names: Mapping[str, str]) -> dict[str, Function]:
    found: dict[str, Function] = {}
    for row in csv.reader(io.StringIO(stdout.decode("utf-8", "replace"))):
        path = names.get(row[6]) if len(row) == _FIELDS and row[1].isdigit() else None
        if path is None or row[7].rpartition("::")[2] in _BLOCKS:
            continue
        function = Function(name=row[7], line=int(row[9]), lines=int(row[0]), complexity=int(row[1]))
        if path not in found or function.complexity > found[path].complexity:
            found[path] = function
    return found
