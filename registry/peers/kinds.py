"""Recognizes the workflow files of other programs.

Pure, and quick to import: every YAML file is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PEERS = {"archon": "Archon", "conductor": "Conductor"}
"""The programs whose files are read, by the name of their format."""
ARCHON_NODES = (
    "prompt",
    "command",
    "bash",
    "script",
    "loop",
    "loop_group",
    "approval",
    "cancel",
    "include",
    "workflow",
)
"""The fields that say what a node of Archon does."""
_NOT_THEIRS = frozenset({"phases", "$schema"})


def peer_of(raw: Mapping[str, Any]) -> str | None:
    """The format of a YAML file with the content *raw*, None if it is not another program's."""
    if raw.keys() & _NOT_THEIRS:
        return None
    workflow, nodes = raw.get("workflow"), raw.get("nodes")
    if isinstance(workflow, dict) and "entry_point" in workflow and "agents" in raw:
        return "conductor"
    if (
        isinstance(nodes, list | None)
        and {"name", "nodes"} <= raw.keys()
        and "version" not in raw
        and "agents" not in raw
    ):
        first = next((one for one in nodes or [] if isinstance(one, dict)), {})
        return "archon" if not nodes or any(kind in first for kind in ARCHON_NODES) else None
    return None
