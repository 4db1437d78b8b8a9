"""An agent as frozen at plan time: its executor, its prompt or program, and its settings.

Pure. `registry/agents/load.py` reads agent files; the executors run them.
"""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import structs

LABEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,30}")
"""A word that a worker of a fleet says of itself."""
MAX_LABELS = 6
"""A worker serves a queue for each set of its labels."""


class KindTraits(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a kind of agent, beside its executor."""

    needs_model: bool = False
    """A model does the work: through Claude Code here, or the client if it runs the command's agents itself."""
    field: str | None = None
    """The field of an agent file that names the code to run, which needs the user's trust in a project."""
    in_files: bool = True
    """Whether an agent file may name it as `executor:`."""
    sends_heartbeats: bool = True
    """Whether it is a process whose output counts as heartbeats, so that it can be idle for too long."""


class AgentKind(StrEnum):
    """The executor of the agent. A new kind gets a row in the table below, and a place in `opening.py`."""

    traits: KindTraits

    CLAUDE = "claude"
    """A model agent: Claude Code headless, or the host client."""
    PROCESS = "process"
    """A program: one JSON object on stdin, one on stdout."""
    PYTHON = "python"
    """A Python callable of the project or of a package."""
    CUSTOM = "custom"
    """An executor that the Python API registered for this agent id."""


AgentKind.CLAUDE.traits = KindTraits(needs_model=True)
AgentKind.PROCESS.traits = KindTraits(field="command")
AgentKind.PYTHON.traits = KindTraits(field="callable")
AgentKind.CUSTOM.traits = KindTraits(in_files=False, sends_heartbeats=False)


class AgentSource(StrEnum):
    """The place where the agent was found; decides precedence and trust."""

    PROJECT = "project"
    USER = "user"
    PLUGIN = "plugin"
    """From a Claude Code plugin that the user has installed; its id is `plugin:name`."""
    PACKAGED = "packaged"
    BUILTIN = "builtin"
    """Known to Claude Code by name, without a file."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """One agent, closed: nothing about it is looked up after the plan is made."""

    id: str
    kind: AgentKind = AgentKind.CLAUDE
    source: AgentSource = AgentSource.PROJECT
    description: str = ""
    prompt: str = ""
    """The body of the agent file: the system prompt of a model agent."""
    path: str | None = None
    """The agent file, absolute; None if there is none."""
    model: str | None = None
    tools: tuple[str, ...] | None = None
    """Tools the agent may use; None if the file does not say (Claude Code: all)."""
    disallowed_tools: tuple[str, ...] = ()
    permission_mode: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    effort: str | None = None
    isolation: str | None = None
    mcp_servers: tuple[str, ...] = ()
    """All servers that the file names, including those that it defines itself."""
    inline_servers: dict[str, Any] = msgspec.field(default_factory=dict)
    """Definitions of MCP servers in the file itself, by name: programs or URLs."""
    skills: tuple[str, ...] = ()
    hooks: dict[str, Any] = msgspec.field(default_factory=dict)
    """Claude Code's hooks, by event, as it takes them: programs."""
    handed_on: dict[str, Any] = msgspec.field(default_factory=dict)
    """Other fields of Claude Code, by its names, as it takes them: `memory`, `initialPrompt` …"""
    command: tuple[str, ...] = ()
    """argv of a process agent."""
    callable: str | None = None
    """`module:function` of a python agent."""
    timeout: timedelta | None = None
    """`timeoutMs` of the agent file: an upper limit of the node's timeout."""
    idle_timeout: timedelta | None = None
    keep_processes: bool = False
    ignores_project: bool = False
    """A model agent that judges the project: nothing of the project instructs it or adds to what it has."""
    known_to_claude_code: bool = True
    """Claude Code finds the agent under this id by itself, so `--agent` and `subagent_type` may name it.

    Else its prompt has to be passed: packaged agents, and files that only we can read.
    """
    env: dict[str, str] = msgspec.field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """Words that a worker of a fleet must say of itself to get the agent: `gpu`, `linux`."""


class AgentDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults for model agents whose file does not say; a built-in agent keeps its own tools."""

    model: str | None = None
    effort: str | None = None
    permission_mode: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    isolation: str | None = None
    mcp_servers: tuple[str, ...] = ()
    tools: tuple[str, ...] | None = None

    def fill(self, agent: Agent) -> Agent:
        """*agent* with these defaults where its file says nothing; only model agents are changed.

        Not those that ignore the project, whose settings these are.
        """
        if not agent.kind.traits.needs_model or agent.ignores_project:
            return agent
        tools = None if agent.source is AgentSource.BUILTIN else self.tools
        return structs.replace(
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
