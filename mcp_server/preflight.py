"""What the model agents of a plan will lack, found out before anything is spent on them.

Effects: reads the settings of Claude Code in the project and in the user's home, and its lists of MCP servers.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault
from engine.executors.claude_settings import read_settings
from engine.executors.claude_tools import Permissions, closed, lacking
from engine.executors.servers import named_servers
from engine.model.agent import AgentKind
from engine.redaction import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from engine.model.plan import Plan
    from engine.model.trust import TrustItem

LARGEST_FILE = 1_000_000
MOST_TOLD = 10
"""Sentences that one run begins with."""


def preflight(
    plan: Plan, project: Path, waiting: Callable[[], TrustItem | None], *, home: Path | None = None
) -> tuple[str, ...]:
    """A sentence for each thing that a model agent of *plan* will lack, for runs whose agents are our processes.

    *waiting* says what of the project's own configuration of Claude Code is not given to them.
    """
    if not any(agent.kind is AgentKind.CLAUDE for agent in plan.agents.values()):
        return ()
    withheld = waiting()
    told = list(_withheld(withheld))
    own: dict[str, dict[str, Any]] = {}
    try:
        own = read_settings(project)
    except EnvironmentFault as fault:
        told.append(f"no model agent will start: {fault.message}")
    permissions = _permissions(_user_settings(home or Path.home()), own.values(), whole=withheld is None)
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


def _withheld(item: TrustItem | None) -> Iterator[str]:
    if item is not None:
        yield (
            f"what the project configures for Claude Code waits for your yes ({one_line(item.summary, limit=200)}): "
            "until then the agents get nothing of its settings, skills, commands and agents, but CLAUDE.md, rules, and "
            "what it denies or asks for; `orchestrate trust` shows it"
        )


def _permissions(user: Mapping[str, Any], own: Iterable[Mapping[str, Any]], *, whole: bool) -> Permissions:
    """All rules that hold for the project: a tool that any settings allow may be used, unless others deny it.

    What its *own* settings allow counts where the *whole* of them is accepted.
    """
    rules = [_mapping(each.get("permissions")) for each in (user, *own)]
    return Permissions(
        allow=frozenset(rule for each in (rules if whole else rules[:1]) for rule in _texts(each.get("allow"))),
        deny=frozenset(rule for each in rules for rule in _texts(each.get("deny"))),
    )


def _user_settings(home: Path) -> dict[str, Any]:
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    return _json((Path(configured) if configured else home / ".claude") / "settings.json")


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
