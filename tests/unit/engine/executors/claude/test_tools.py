from __future__ import annotations

from typing import Any

import pytest

from engine.executors.claude.tools import ASKING, Permissions, closed, lacking
from engine.model.agent import Agent, AgentSource

NOTHING = Permissions()


def told(*, permissions: Permissions = NOTHING, servers: tuple[str, ...] = (), **fields: Any) -> list[str]:  # noqa: ANN401 - fields of an agent
    return list(lacking(Agent(id="rev", **fields), permissions, servers))


def test_an_agent_whose_tools_are_all_there_lacks_nothing() -> None:
    tools = ("Read", "Grep", "Bash(git diff:*)", "Edit", "Task", "mcp__db__query")
    assert told(tools=tools, mcp_servers=("db",), servers=("db",)) == []
    assert told() == []


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("MultiEdit", "Claude Code has no tool of this name; did you mean Edit?"),
        ("LS", "Claude Code has no tool of this name"),
        ("Re*", "Claude Code has no tool of this name"),
        ("mcp__db__query", "its file does not name db in `mcpServers`"),
        ("Write", "its file disallows it"),
    ],
)
def test_a_tool_that_an_agent_names_and_will_not_have_is_told(tool: str, why: str) -> None:
    assert told(tools=("Read", tool), disallowed_tools=("Write(secrets/**)",)) == [
        f'agent "rev" names the tool {tool}, which it will not have: {why}'
    ]


def test_a_tool_that_is_taken_away_under_a_wrong_name_is_told() -> None:
    assert told(disallowed_tools=("Bsh", "Write", "mcp__db")) == [
        (
            'agent "rev" disallows the tool Bsh, which has no effect: '
            "Claude Code has no tool of this name; did you mean Bash?"
        )
    ]


def test_a_server_that_nobody_defines_and_a_tool_that_settings_deny_are_told() -> None:
    assert told(mcp_servers=("db",)) == [
        'agent "rev" needs the MCP server db, which is not configured: its work will fail'
    ]
    denying = Permissions(deny=frozenset({"Bash", "Edit(secrets/**)"}))
    assert told(tools=("Bash(make)", "Edit"), permissions=denying) == [
        'agent "rev" names Bash(make), which Claude Code\'s settings deny'
    ]


def test_without_a_tool_list_what_would_be_asked_for_is_closed() -> None:
    assert set(closed(Agent(id="a"), NOTHING)) == ASKING
    assert closed(Agent(id="a", tools=()), NOTHING) == ()
    assert closed(Agent(id="a", source=AgentSource.BUILTIN), NOTHING) == ()
    allowing = Permissions(allow=frozenset({"Bash(make:*)", "WebSearch"}))
    assert closed(Agent(id="a", permission_mode="acceptEdits"), allowing) == ("WebFetch",)
    assert "Bash" not in closed(Agent(id="a", disallowed_tools=("Bash(rm *)",)), NOTHING)
