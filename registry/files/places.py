"""The places of command and agent files: `.claude` of the project, of the user, and of a library, in this order.

Effects: none. A file of the same name hides those of later places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

BASE = Path(".claude")
COMMANDS = BASE / "commands"
AGENTS = BASE / "agents"
Owner: TypeAlias = Literal["project", "user", "packaged"]


def roots(project: Path, home: Path | None, library: Path | None) -> list[tuple[Owner, Path]]:
    """The roots that have such a folder, in order of precedence; a *library* counts as packaged."""
    found: list[tuple[Owner, Path | None]] = [("project", project), ("user", home), ("packaged", library)]
    return [(owner, root) for owner, root in found if root is not None]
