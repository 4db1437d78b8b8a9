"""The tools of a model agent's file that it will not have because no one can be asked, known before it starts.

Pure. The names are those of Claude Code 2.1.330; tools that need no permission follow its rules for `-p`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

import msgspec

from engine.model.agent import Agent, AgentSource, tool_name

FREE = frozenset(
    {"Agent", "Glob", "Grep", "ListAgents", "Read", "ReportFindings", "Skill", "Task", "TaskStop", "ToolSearch"}
)
"""Tools that need no permission."""
EDITS = frozenset({"Edit", "NotebookEdit", "Write"})
"""Tools that the permission mode `acceptEdits` allows."""
ASKING = EDITS | {"Bash", "WebFetch", "WebSearch"}
"""Tools that need a person's permission, and are denied if no one can give it."""
LEAVING = "EnterWorktree"
"""The tool with which an agent leaves its folder, without a permission: what it changes then stays behind elsewhere."""
KNOWN = (
    FREE
    | ASKING
    | {
        "CronCreate", "CronDelete", "CronList", "EnterWorktree", "ExitWorktree", "Monitor", "PowerShell",
        "ScheduleWakeup", "SendMessage", "StructuredOutput", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate",
        "TodoWrite", "Workflow",
    }
)  # fmt: skip
"""All tools that an agent's file may name."""


class Permissions(msgspec.Struct, frozen=True):
    """Rules of Claude Code's settings that allow and deny: `Bash(git diff:*)`, `Edit`."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()


def lacking(agent: Agent, permissions: Permissions, servers: Collection[str]) -> Iterator[str]:
    """Warnings about what *agent* will lack; *servers* are the defined MCP servers."""
    name = f'agent "{agent.id}"'
    undefined = [server for server in agent.mcp_servers if server not in servers]
    if undefined:
        yield f"{name} needs the MCP server {', '.join(undefined)}, which is not configured: its work will fail"
    for tool in agent.tools or ():
        missing = _missing(agent, tool_name(tool))
        if missing is not None:
            yield f"{name} names the tool {tool}, which it will not have: {missing}"
    yield from _not_taken_away(agent, name)
    denied = [tool for tool in agent.tools or () if tool_name(tool) in permissions.deny]
    if denied:
        yield f"{name} names {', '.join(denied)}, which Claude Code's settings deny"


def closed(agent: Agent, permissions: Permissions) -> tuple[str, ...]:
    """The tools that *agent* is denied although its file names none, because no one can be asked."""
    if agent.tools is not None or agent.source is AgentSource.BUILTIN:
        return ()
    return tuple(sorted(ASKING - _allowed(agent, permissions) - {*map(tool_name, agent.disallowed_tools)}))


def withheld(agent: Agent) -> tuple[str, ...]:
    """The tools that Claude Code takes away from *agent*: those of its file, and the one that its file must name."""
    return agent.disallowed_tools if agent.tools is not None else (*agent.disallowed_tools, LEAVING)


def _allowed(agent: Agent, permissions: Permissions) -> set[str]:
    """Tools with at least some use allowed without a permission."""
    found = {tool_name(rule) for rule in permissions.allow}
    return found | EDITS if agent.permission_mode == "acceptEdits" else found


def _missing(agent: Agent, tool: str) -> str | None:
    """Why *agent* will not have *tool*; None if it will."""
    if tool.startswith("mcp__"):
        server = tool.removeprefix("mcp__").partition("__")[0]
        return None if server in agent.mcp_servers else f"its file does not name {server} in `mcpServers`"
    if tool in map(tool_name, agent.disallowed_tools):
        return "its file disallows it"
    return None if tool in KNOWN else _unknown(tool)


def _not_taken_away(agent: Agent, name: str) -> Iterator[str]:
    for tool in map(tool_name, agent.disallowed_tools):
        if tool not in KNOWN and not tool.startswith("mcp__"):
            yield f"{name} disallows the tool {tool}, which has no effect: {_unknown(tool)}"


def _unknown(tool: str) -> str:
    near = get_close_matches(tool, KNOWN, n=1, cutoff=0.6)
    return "Claude Code has no tool of this name" + (f"; did you mean {near[0]}?" if near else "")
