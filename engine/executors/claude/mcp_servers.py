"""The definitions of the MCP servers that an agent names, for Claude Code.

Effects: reads `.mcp.json` of the project and Claude Code's own file in the user's home; starts none of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.model.agent import Agent


def named_servers(agent: Agent, project: Path) -> tuple[dict[str, Any], list[str]]:
    """The definitions of the MCP servers that *agent* names, and the names without a definition.

    Only these are started for an agent: not the project's other servers, and our own server only if it is asked
    for. The agent's file takes precedence over the user's servers for this project, these over the project's
    `.mcp.json`, and that over the user's servers for all projects.
    """
    names = agent.mcp_servers
    if not names:
        return {}, []
    user, local = _of_user(project)
    known = {**user, **_of_project(project), **local, **agent.inline_servers}
    return {name: known[name] for name in names if name in known}, [name for name in names if name not in known]


def project_servers(agent: Agent, project: Path) -> dict[str, Any]:
    """The servers that *agent* names and the project itself defines, in a file that came with it."""
    names = [name for name in agent.mcp_servers if name not in agent.inline_servers]
    if not names:
        return {}
    own, (_, local) = _of_project(project), _of_user(project)
    return {name: own[name] for name in names if name in own and name not in local}


def configured_servers(project: Path) -> Mapping[str, Any]:
    """The definitions of all servers that a session of Claude Code in *project* is asked to start, by name."""
    user, local = _of_user(project)
    return {**user, **_of_project(project), **local}


def _of_project(project: Path) -> Mapping[str, Any]:
    return _mapping(_json_file(project / ".mcp.json").get("mcpServers"))


def _of_user(project: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The user's servers for all projects, and those for this one."""
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    data = _json_file((Path(configured) if configured else Path.home()) / ".claude.json")
    local = _mapping(_mapping(data.get("projects")).get(str(project)))
    return _mapping(data.get("mcpServers")), _mapping(local.get("mcpServers"))


def _json_file(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
