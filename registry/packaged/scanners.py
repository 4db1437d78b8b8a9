"""The scanners of `/review-repo`, which are in the extra `review`: the missing ones, and how to add them.

Effects: looks up installed packages, and reads the source that this one was installed from.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGE = "orchestration-mcp"
EXTRA = "review"
SCANNERS = {"repo-linter": "ruff", "repo-security": "bandit", "repo-secrets": "detect_secrets"}
"""The scanner module of each agent. pyproject.toml lists their packages as the extra."""

_CREDENTIALS = re.compile(r"^(https?://)[^/@]*@")
"""Credentials in a recorded URL; never repeated in a message."""


def missing_for(agents: Iterable[str]) -> list[str]:
    """The scanners that *agents* of this package start and that are not installed beside this program."""
    needed = (SCANNERS[agent] for agent in agents if agent in SCANNERS)
    return sorted(module.replace("_", "-") for module in needed if not is_installed(module))


def is_installed(module: str) -> bool:
    """Whether the running interpreter would find *module*; it is not imported."""
    return importlib.util.find_spec(module) is not None


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
