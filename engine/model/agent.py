"""An agent as frozen at plan time: who does a node's work, and how it is started.

Pure. Reading agent files is `registry/agents/load.py`'s; running them is the executors'.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTraits:
    """All that is asked about a kind of agent, beside which executor does its work."""

    needs_model: bool = False
    """A model does the work: by Claude Code here, or by the client where it runs a command's agents itself."""
    field: str | None = None
    """The field of an agent file that says what runs, which is code: it needs the user's yes in a project."""
    in_files: bool = True
    """An agent file may say `executor:` with this name."""
    shows_life: bool = True
    """It is a process whose output is a heartbeat, so that it can be idle for too long."""


class AgentKind(StrEnum):
    """Which executor does the agent's work. A new kind has a row in the table below, and a place in `opening.py`."""

    traits: KindTraits

    CLAUDE = "claude"
    """A model agent: Claude Code headless, or the host client."""
    PROCESS = "process"
    """A program: one JSON object in on stdin, one out on stdout."""
    PYTHON = "python"
    """A Python callable of the project or of a package."""
    CUSTOM = "custom"
    """Done by an executor that the Python API registered for this agent id."""


AgentKind.CLAUDE.traits = KindTraits(needs_model=True)
AgentKind.PROCESS.traits = KindTraits(field="command")
AgentKind.PYTHON.traits = KindTraits(field="callable")
AgentKind.CUSTOM.traits = KindTraits(in_files=False, shows_life=False)


class AgentSource(StrEnum):
    """Where the agent was found; decides precedence and trust."""

    PROJECT = "project"
    USER = "user"
    PLUGIN = "plugin"
    """Of a plugin of Claude Code that the user has installed; its id is `plugin:name`."""
    PACKAGED = "packaged"
    BUILTIN = "builtin"
    """Known to Claude Code by name; it has no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent, closed: nothing about it is looked up after the plan is made."""

    id: str
    kind: AgentKind = AgentKind.CLAUDE
    source: AgentSource = AgentSource.PROJECT
    description: str = ""
    prompt: str = ""
    """The body of the agent file: the system prompt of a model agent."""
    path: str | None = None
    """The agent file, absolute, or None where there is none."""
    model: str | None = None
    tools: tuple[str, ...] | None = None
    """Tools the agent may use; None where the file does not say (Claude Code: all)."""
    disallowed_tools: tuple[str, ...] = ()
    permission_mode: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    effort: str | None = None
    isolation: str | None = None
    mcp_servers: tuple[str, ...] = ()
    """All that the file names, those that it defines itself too."""
    inline_servers: dict[str, Any] = field(default_factory=dict)
    """Definitions of MCP servers in the file itself, by name: programs or addresses."""
    skills: tuple[str, ...] = ()
    hooks: dict[str, Any] = field(default_factory=dict)
    """Claude Code's hooks, by event, as it takes them: programs."""
    handed_on: dict[str, Any] = field(default_factory=dict)
    """Further fields of Claude Code's own, by its names, as it takes them: `memory`, `initialPrompt` …"""
    command: tuple[str, ...] = ()
    """argv of a process agent."""
    callable: str | None = None
    """`module:function` of a python agent."""
    timeout: timedelta | None = None
    """`timeoutMs` of the agent file: a limit of its own, below the node's."""
    idle_timeout: timedelta | None = None
    keep_processes: bool = False
    known_to_claude_code: bool = True
    """Claude Code finds the agent under this id by itself, so `--agent` and `subagent_type` may name it.

    Else its prompt has to be handed over: packaged agents, and files that only we can read.
    """
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDefaults:
    """What model agents get whose file does not say; a built-in agent has the tools of its own."""

    model: str | None = None
    effort: str | None = None
    permission_mode: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    isolation: str | None = None
    mcp_servers: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None

    def fill(self, agent: Agent) -> Agent:
        """*agent* with these where its file says nothing; no other than a model agent is changed."""
        if not agent.kind.traits.needs_model:
            return agent
        tools = None if agent.source is AgentSource.BUILTIN else self.tools
        return replace(
            agent,
            model=agent.model or self.model,
            effort=agent.effort or self.effort,
            permission_mode=agent.permission_mode or self.permission_mode,
            max_turns=agent.max_turns or self.max_turns,
            max_budget_usd=agent.max_budget_usd or self.max_budget_usd,
            isolation=agent.isolation or self.isolation,
            mcp_servers=agent.mcp_servers or self.mcp_servers,
            tools=tools if agent.tools is None else agent.tools,
        )


def tool_name(rule: str) -> str:
    """The tool that *rule* is about: `Bash` of `Bash(git diff:*)`."""
    return rule.partition("(")[0].strip()
