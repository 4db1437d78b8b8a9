"""Finds what the model agents of a plan will lack, before anything is spent on them.

Effects: reads the settings of Claude Code in the project and in the user's home, and its lists of MCP servers.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault
from engine.executors.claude.mcp_servers import named_servers
from engine.executors.claude.settings import read_settings
from engine.executors.claude.tools import Permissions, closed, lacking
from engine.executors.worktrees.ignored_files import links_of
from engine.executors.worktrees.isolated import WORKTREE
from engine.text.redaction import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine.model.agent import Agent
    from engine.model.trust import TrustItem

MAX_FILE_BYTES = 1_000_000
MAX_NOTES = 10
"""Number of warnings that one run starts with."""
MAX_LINKS = 5
HOST = "host"
OF_SUBAGENTS = {
    "tools": "tools",
    "disallowed_tools": "disallowedTools",
    "permission_mode": "permissionMode",
    "hooks": "hooks",
    "mcp_servers": "mcpServers",
    "max_turns": "maxTurns",
    "skills": "skills",
    "model": "model",
    "effort": "effort",
}
"""Fields of an agent that apply only if Claude Code has its definition: by attribute, the names in its file."""
OF_PROCESSES = {"env": "env", "max_budget_usd": "maxBudgetUsd", "ignores_project": "ignoreProject"}
"""Fields that apply only if we start the agent's process."""


def preflight(
    agents: Collection[Agent],
    project: Path,
    waiting: Callable[[], TrustItem | None],
    *,
    executor: str,
    home: Path | None = None,
) -> tuple[str, ...]:
    """A warning for each thing that one of *agents* will lack.

    *waiting* says what of the project's own configuration of Claude Code is withheld from agents that run here.
    *executor* does the work of model agents.
    """
    models = [agent for agent in agents if agent.kind.traits.needs_model]
    ours = [agent for agent in agents if executor != HOST or not agent.kind.traits.needs_model]
    withheld = cache(waiting)
    notes = [*_of_the_client(models)] if executor == HOST else [*_of_processes(models, project, withheld, home)]
    notes += _links_withheld(ours, project, withheld)
    rest = len(notes) - MAX_NOTES
    return tuple([*notes[:MAX_NOTES], f"and {rest} more"] if rest > 0 else notes)


def _of_processes(
    agents: Sequence[Agent], project: Path, waiting: Callable[[], TrustItem | None], home: Path | None
) -> Iterator[str]:
    """Warnings about model agents that run as processes of ours."""
    if not agents:
        return
    withheld = waiting()
    if not all(agent.ignores_project for agent in agents):
        yield from _withheld(withheld)
    own: dict[str, dict[str, Any]] = {}
    try:
        own = read_settings(project)
    except EnvironmentFault as fault:
        yield f"no model agent will start: {fault.message}"
    permissions = _permissions(_user_settings(home or Path.home()), own.values(), whole=withheld is None)
    for agent in agents:
        found, _ = named_servers(agent, project)
        yield from lacking(agent, permissions, found.keys())
    for tools, names in _by(agents, lambda agent: closed(agent, permissions)).items():
        yield (
            f"{names}: no tools in the agent's file, so {', '.join(tools)} will be denied, since no one can be asked"
        )


def _of_the_client(agents: Sequence[Agent]) -> Iterator[str]:
    """Warnings about model agents whose work a client does with its own subagents."""
    strange = [agent for agent in agents if not agent.known_to_claude_code]
    for fields, names in _by(strange, lambda agent: _set(agent, OF_SUBAGENTS | OF_PROCESSES)).items():
        yield (
            f"{names}: the client does not know this agent and uses its prompt alone, so {', '.join(fields)} of its "
            "file will have no effect; use executor claude to apply all of it"
        )
    known = [agent for agent in agents if agent.known_to_claude_code]
    for fields, names in _by(known, lambda agent: _set(agent, OF_PROCESSES)).items():
        yield (
            f"{names}: the client does the agent's work, so {', '.join(fields)} of its file will have no effect; use "
            "executor claude to apply all of it"
        )


def _set(agent: Agent, fields: Mapping[str, str]) -> tuple[str, ...]:
    """The names in an agent's file of those *fields*, by attribute, that *agent* has."""
    values = {name: getattr(agent, attribute) for attribute, name in fields.items()}
    return tuple(name for name, value in values.items() if value or (name == "tools" and value is not None))


def _by(agents: Iterable[Agent], key: Callable[[Agent], tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The names of *agents*, grouped by their *key*; those with an empty key are left out."""
    found: dict[tuple[str, ...], list[str]] = {}
    for agent in agents:
        found.setdefault(key(agent), []).append(agent.id)
    return {words: ", ".join(names) for words, names in found.items() if words}


def _links_withheld(agents: Iterable[Agent], project: Path, waiting: Callable[[], TrustItem | None]) -> Iterator[str]:
    """A warning about folders that are not linked into worktrees of *agents*, since the settings wait for a yes."""
    if any(agent.isolation == WORKTREE for agent in agents):
        own = [name for name in links_of(project, whole=True) if name not in links_of(project, whole=False)]
        if own and waiting() is not None:
            yield (
                f"{', '.join(one_line(name) for name in own[:MAX_LINKS])}: worktree.symlinkDirectories in the "
                "project's settings waits for your yes; until then worktrees do not have these folders; "
                "`orchestrate trust` shows it"
            )


def _withheld(item: TrustItem | None) -> Iterator[str]:
    if item is not None:
        yield (
            f"the project's configuration of Claude Code waits for your yes ({one_line(item.summary, limit=200)}): "
            "until then agents get none of its settings, skills, commands and agents, but they do get CLAUDE.md, "
            "rules, and what it denies or asks for; `orchestrate trust` shows it"
        )


def _permissions(user: Mapping[str, Any], own: Iterable[Mapping[str, Any]], *, whole: bool) -> Permissions:
    """All rules for the project: a tool that any settings allow may be used, unless others deny it.

    What its *own* settings allow counts only if the *whole* of them is accepted.
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
        if path.stat().st_size > MAX_FILE_BYTES:
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
