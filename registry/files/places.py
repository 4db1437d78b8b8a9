"""The places of command and agent files: `.claude` of the project, of the user, and of a library, in this order.

Effects: none. A file of the same name hides those of later places. It imports nothing, since the server looks at these
places before its first answer.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias, TypeVar

    Owner: TypeAlias = Literal["project", "user", "packaged"]
    Root = TypeVar("Root")

BASE = ".claude"
COMMANDS = f"{BASE}/commands"
AGENTS = f"{BASE}/agents"


def roots(project: Root, home: Root | None, library: Root | None) -> list[tuple[Owner, Root]]:
    """The roots that have such a folder, in order of precedence; a *library* counts as packaged."""
    found: list[tuple[Owner, Root | None]] = [("project", project), ("user", home), ("packaged", library)]
    return [(owner, root) for owner, root in found if root is not None]
