"""Cleans up after attempts of dead servers: orphaned processes, and worktrees with changes.

Effects: ends processes, commits to branches of the engine's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.executors.subprocesses.search import end_orphans
from engine.executors.worktrees.git import Allows, nothing
from engine.executors.worktrees.leftover import keep_abandoned

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from engine.ids import AttemptId


async def end_left(project: Path, *, lost: Collection[AttemptId] = (), allows: Allows = nothing) -> int:
    """See `port.EndOrphans`; changes in worktrees are kept once no process can alter them.

    *allows* says which filters of the repository's own git may start for it.
    """
    ended = await end_orphans(project, lost=lost)
    await keep_abandoned(project, allows=allows)
    return ended
