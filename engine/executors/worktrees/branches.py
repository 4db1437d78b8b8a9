"""Names of the branches and folders that hold an isolated agent's changes.

Pure. A node's id may contain characters that git, or a file system, does not accept; it then gets a digest, so that two
nodes never share a branch.
"""

from __future__ import annotations

import hashlib
import re

from engine.ids import NodeId, RunId

ROOT = "orchestration"
_LONGEST = 60


def branches_of(run: RunId) -> str:
    """The prefix of all branches of *run*."""
    return f"{ROOT}/{run}/"


def branch_of(run: RunId, node: NodeId, number: int) -> str:
    """The branch for the changes of attempt *number* of *node* that are not merged."""
    return f"{branches_of(run)}{_plain(node)}/{number}"


def folder_of(run: RunId, node: NodeId, number: int) -> str:
    """The name of the attempt's worktree."""
    return f"{run}-{_plain(node)}-{number}"


def _plain(node: str) -> str:
    """*node* in lower-case letters, digits, `_` and `-`, which git and every file system accept."""
    plain = re.sub(r"[^a-z0-9_-]", "-", node.lower())[:_LONGEST].lstrip("-")
    return plain if plain == node else f"{plain}-{hashlib.sha256(node.encode()).hexdigest()[:8]}"
