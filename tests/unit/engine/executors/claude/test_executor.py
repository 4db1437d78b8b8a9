from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.executors.claude.executor import ClaudeExecutor, find_program
from engine.executors.claude.mcp_servers import named_servers
from engine.model.agent import Agent
from tests.support.orders import Beats, order_for


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


async def test_a_missing_program_is_told_with_the_way_to_get_it(tmp_path: Path) -> None:
    outcome = await ClaudeExecutor("no-such-claude").execute(order_for(Agent(id="a"), project=tmp_path), Beats())
    failure = outcome.failure
    assert failure is not None
    assert (failure.code, outcome.begun) == ("EXECUTOR_UNAVAILABLE", False)
    assert failure.hint is not None
    assert "npm install" in failure.hint


def test_the_program_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "claude"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_program(tmp_path / "project", str(program)) == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program(tmp_path / "project") == str(program)
    assert find_program(tmp_path / "project", "other") is None


def wants(*names: str) -> Agent:
    return Agent(id="a", mcp_servers=names)


def test_only_the_servers_that_an_agent_names_are_handed_on(tmp_path: Path, home: Path) -> None:
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": {"db": {"command": "db"}, "other": {}}}))
    user = {"mcpServers": {"mine": {"command": "m"}, "db": {}}, "projects": {str(tmp_path): {"mcpServers": {"l": {}}}}}
    (home / ".claude.json").write_text(json.dumps(user))
    servers, missing = named_servers(wants("db", "mine", "l", "nobody"), tmp_path)
    assert servers == {"db": {"command": "db"}, "mine": {"command": "m"}, "l": {}}
    assert missing == ["nobody"]
    own = Agent(id="a", mcp_servers=("db", "o"), inline_servers={"db": {"command": "own"}, "o": {"url": "x"}})
    assert named_servers(own, tmp_path) == ({"db": {"command": "own"}, "o": {"url": "x"}}, [])


@pytest.mark.usefixtures("home")
def test_broken_configuration_defines_no_server(tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text("[not json")
    assert named_servers(wants("db"), tmp_path) == ({}, ["db"])
    (tmp_path / ".mcp.json").write_text('{"mcpServers": [1]}')
    assert named_servers(wants("db"), tmp_path) == ({}, ["db"])


@pytest.mark.usefixtures("home")
async def test_an_agent_whose_server_is_not_configured_is_not_started(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    order = order_for(Agent(id="a", mcp_servers=("db",)), project=tmp_path)
    outcome = await ClaudeExecutor(str(program)).execute(order, Beats())
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.begun) == ("MCP_SERVER_NOT_FOUND", False)
    assert not (tmp_path / "started").exists()
