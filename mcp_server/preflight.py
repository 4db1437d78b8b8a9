"""What the model agents of a plan will lack, found out before anything is spent on them.

Effects: reads the settings of Claude Code in the project and in the user's home, and its lists of MCP servers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.executors.claude_tools import Permissions, closed, lacking
from engine.executors.servers import named_servers
from engine.model.agent import AgentKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.plan import Plan

LARGEST_FILE = 1_000_000
MOST_TOLD = 10
"""Sentences that one run begins with."""


def preflight(plan: Plan, project: Path, *, home: Path | None = None) -> tuple[str, ...]:
    """A sentence for each thing that a model agent of *plan* will lack, for runs whose agents are our processes."""
    permissions = _permissions(project, home or Path.home())
    told: list[str] = []
    without: dict[tuple[str, ...], list[str]] = {}
    for agent in plan.agents.values():
        if agent.kind is AgentKind.CLAUDE:
            found, _ = named_servers(agent, project)
            told += lacking(agent, permissions, found.keys())
            without.setdefault(closed(agent, permissions), []).append(agent.id)
    for tools, agents in without.items():
        if tools:
            told.append(
                f"{', '.join(agents)}: no tools in the agent's file, so {', '.join(tools)} will be denied, "
                "since nobody can be asked"
            )
    rest = len(told) - MOST_TOLD
    return tuple([*told[:MOST_TOLD], f"and {rest} more"] if rest > 0 else told)


def _permissions(project: Path, home: Path) -> Permissions:
    """All rules that hold for the project: a tool that any file allows may be used, unless one denies it."""
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    user = Path(configured) if configured else home / ".claude"
    files = (user / "settings.json", project / ".claude/settings.json", project / ".claude/settings.local.json")
    rules = [_mapping(_json(file).get("permissions")) for file in files]
    return Permissions(
        allow=frozenset(rule for each in rules for rule in _texts(each.get("allow"))),
        deny=frozenset(rule for each in rules for rule in _texts(each.get("deny"))),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        return _mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else ():
        if isinstance(item, str):
            yield item
