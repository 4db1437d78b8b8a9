"""Prints the files of the pure rooms, as coverage takes them: what touches neither disk nor clock is tested whole."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = "Pure rooms touch no clock, disk, loop, randomness, process, log or protocol"


def files() -> list[str]:
    """A pattern for each module and each package of the contract of that name."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (rooms,) = [contract["source_modules"] for contract in contracts if contract["name"] == CONTRACT]
    places = [room.replace(".", "/") for room in rooms]
    return [f"{place}/*" if (ROOT / place).is_dir() else f"{place}.py" for place in places]


if __name__ == "__main__":
    print(",".join(files()))  # noqa: T201 -- for the shell
