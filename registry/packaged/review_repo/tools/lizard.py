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
from registry.packaged.review_repo.programs import run
from registry.packaged.scanners import is_installed

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def most_complex(root: Path, paths: Sequence[str], scratch: Path) -> dict[str, Function]:
    """The most complex function of each of *paths* that has one. Raises `Refusal`: TOOL_MISSING, TIMEOUT."""
    paths = [path for path in paths if not path.lower().endswith(_NO_FUNCTIONS)]
    if not paths:
        return {}
    if not is_installed("lizard"):
        raise Refusal("TOOL_MISSING", "not installed")
    names = {str(root / path): path for path in paths}
    argv = [sys.executable, "-P", "-m", "lizard", "--csv", *names]
    done = run(argv, cwd=scratch, seconds=SECONDS)
    if done.timed_out:
        raise Refusal("TIMEOUT", "its time was up")
    found: dict[str, Function] = {}
    for row in csv.reader(io.StringIO(done.stdout.decode("utf-8", "replace"))):
        path = names.get(row[6]) if len(row) == _FIELDS and row[1].isdigit() else None
        if path is None or row[7].rpartition("::")[2] in _BLOCKS:
            continue
        function = Function(name=row[7], line=int(row[9]), lines=int(row[0]), complexity=int(row[1]))
        if path not in found or function.complexity > found[path].complexity:
            found[path] = function
    return found
