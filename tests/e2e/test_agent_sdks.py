"""The Agent SDKs, for Python and for TypeScript, as clients: they take our server as any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

from tests.interaction.projects import environment, make_project
from tests.support.claude_code import program
from tests.support.node_tools import TOOLS, node

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER = Path(sys.executable).parent / "orchestration-mcp"
RUN = "mcp__orchestration__run"
STEPS = [{"tool": RUN, "input": {"command": "/hello", "wait_seconds": 50}}, {"echo_last": True}]
PROMPT = f"Say hello. <<fake {json.dumps(STEPS)}>>"


@pytest.fixture
def asked(project: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """What both SDKs are given: a project that its user has agreed to, and our server."""
    make_project(project)
    trusting = {name: value for name, value in environment(project).items() if name.startswith("XDG_")}
    return {
        "servers": {"orchestration": {"type": "stdio", "command": str(SERVER), "args": []}},
        "cwd": str(project),
        "env": {**environ, **trusting},
    }


def state_told(answer: str | None) -> str:
    """The state of the run in the model's last words, which are what the tool told it."""
    (result,) = json.loads(answer or "[]")
    return str(json.loads(result["content"])["state"])


async def test_the_sdk_for_python_runs_a_command(asked: Mapping[str, Any]) -> None:
    options = ClaudeAgentOptions(
        mcp_servers=asked["servers"],
        allowed_tools=[RUN],
        setting_sources=[],
        cli_path=program(),
        cwd=asked["cwd"],
        env=asked["env"],
    )
    messages = [message async for message in query(prompt=PROMPT, options=options)]
    (result,) = (message for message in messages if isinstance(message, ResultMessage))
    assert not result.is_error
    assert state_told(result.result) == "completed"


def test_the_sdk_for_typescript_runs_a_command(asked: Mapping[str, Any]) -> None:
    options = {
        "mcpServers": asked["servers"],
        "allowedTools": [RUN],
        "settingSources": [],
        "cwd": asked["cwd"],
        "env": asked["env"],
    }
    done = subprocess.run(
        [node(), Path(__file__).parent / "agent_sdk.mjs", TOOLS / "@anthropic-ai/claude-agent-sdk/sdk.mjs", PROMPT],
        env=asked["env"],
        input=json.dumps(options),
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    messages: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    (result,) = (message for message in messages if message["type"] == "result")
    assert not result["is_error"]
    assert state_told(result["result"]) == "completed"
