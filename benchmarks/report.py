"""How benchmarks say what they measured: a line each, and a row of the table that `.ci/bench` prints at its end.

Effects: prints; appends to the file that BENCHMARK_TABLE names.
"""

from __future__ import annotations

import os
from pathlib import Path

TABLE = "BENCHMARK_TABLE"


def told(name: str, value: float, target: float | None, *, unit: str = "x") -> None:
    """Tell that *name* measured *value*; *target* is what it should be at most."""
    promise = "-" if target is None else f"{target:g} {unit}"
    row = (name, f"{value:.4g} {unit}", promise, "" if target is None or value <= target else "missed")
    print("{:<58} {:>12} {:>12}  {}".format(*row).rstrip(), flush=True)
    if path := os.environ.get(TABLE):
        with Path(path).open("a", encoding="utf-8") as table:
            table.write("\t".join(row) + "\n")
