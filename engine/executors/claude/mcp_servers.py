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
    from collections.abc import Iterator

    from engine.model.agent import Agent


MCP_FILE = ".mcp.json"


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
    """The definitions of all servers that a session of Claude Code in *project* is asked to start, by name.

    Those that the user has switched off are left out: any with `/mcp disable`, the project's own also in settings.
    """
    user, local = _of_user(project)
    refused = {name for place in (project / ".claude", _home()) for name in _refused(place)}
    own = {name: one for name, one in _of_project(project).items() if name not in refused}
    off = _strings(_entry(project).get("disabledMcpServers"))
    return {name: one for name, one in {**user, **own, **local}.items() if name not in off}


def is_readable(project: Path) -> bool:
    """Whether Claude Code can read the project's `.mcp.json`, if there is one."""
    try:
        return isinstance(json.loads((project / MCP_FILE).read_bytes()), Mapping)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError):
        return False


def _of_project(project: Path) -> Mapping[str, Any]:
    return _mapping(_json_file(project / MCP_FILE).get("mcpServers"))


def _of_user(project: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The user's servers for all projects, and those for this one."""
    return _mapping(_own_file().get("mcpServers")), _mapping(_entry(project).get("mcpServers"))


def _entry(project: Path) -> Mapping[str, Any]:
    """The entry of *project* in Claude Code's own file."""
    return _mapping(_mapping(_own_file().get("projects")).get(str(project)))


def _own_file() -> Mapping[str, Any]:
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    return _json_file((Path(configured) if configured else Path.home()) / ".claude.json")


def _home() -> Path:
    """The folder of the user's settings."""
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")


def _refused(folder: Path) -> Iterator[str]:
    """The servers of `.mcp.json` files that the settings in *folder* switch off."""
    for name in ("settings.json", "settings.local.json"):
        yield from _strings(_json_file(folder / name).get("disabledMcpjsonServers"))


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _json_file(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
