"""How the branches and folders are called that hold what an isolated agent changed.

Pure. A node's name may hold what git, or a file system, takes for something else; it then gets a digest, so that two
nodes never share a branch.
"""

from __future__ import annotations

import hashlib
import re

from engine.ids import NodeId, RunId

ROOT = "orchestration"
_LONGEST = 60


def branches_of(run: RunId) -> str:
    """What the names of all branches of *run* begin with."""
    return f"{ROOT}/{run}/"


def branch_of(run: RunId, node: NodeId, number: int) -> str:
    """The branch for what attempt *number* of *node* changed, where it is not merged."""
    return f"{branches_of(run)}{_plain(node)}/{number}"


def folder_of(run: RunId, node: NodeId, number: int) -> str:
    """The name of the attempt's worktree."""
    return f"{run}-{_plain(node)}-{number}"


def _plain(node: str) -> str:
    """*node* in lower-case letters, digits, `_` and `-`, which every file system and git take as they are."""
    plain = re.sub(r"[^a-z0-9_-]", "-", node.lower())[:_LONGEST].lstrip("-")
    return plain if plain == node else f"{plain}-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
