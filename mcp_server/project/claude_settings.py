"""Whether Claude Code may use all that a project configures for it, or what waits for the user's yes.

Effects: those of `registry.trust.claude_settings`, which reads the project and Claude Code's own record.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from registry.trust.claude_settings import accepted_in_claude_code, claude_item, folders_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.ids import RunId
    from engine.model.trust import TrustItem

_RUNS_KEPT = 8


def claude_items(root: Path) -> Iterator[TrustItem]:
    """The item for the project's configuration of Claude Code, unless the folder was accepted in Claude Code itself."""
    if not accepted_in_claude_code(root):
        item = claude_item(root, folders_inside(root))
        if item is not None:
            yield item


class ClaudeSettings:
    """Decides that for one project and its runs; its folders are searched once per run."""

    def __init__(self, root: Path, accepts: Callable[[TrustItem | None], bool]) -> None:
        """*accepts* says whether the user has agreed to an item as it is now."""
        self._root = root
        self._accepts = accepts
        self._inside = lru_cache(_RUNS_KEPT)(lambda _run: folders_inside(root))

    def waiting(self, run: RunId | None = None) -> TrustItem | None:
        """The item that is withheld from Claude Code, since the user has not agreed to it; None if it may use all."""
        if accepted_in_claude_code(self._root):
            return None
        item = claude_item(self._root, folders_inside(self._root) if run is None else self._inside(run))
        return None if self._accepts(item) else item

    def whole(self, run: RunId) -> bool:
        """Whether agents of *run* may use all, as of this call."""
        return self.waiting(run) is None
