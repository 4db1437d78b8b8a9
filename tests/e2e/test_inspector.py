from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.interaction.projects import environment, make_project
from tests.support.inspector import inspect

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
from mcp.server import MCPServer

server = MCPServer("greeter")


@server.tool()
async def greet(name: str) -> str:
    return f"Hello, {name}"


server.run()
"""


def test_the_inspector_calls_a_tool_of_a_stdio_server(tmp_path: Path, environ: dict[str, str]) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    server = [sys.executable, str(script)]
    answer = inspect(
        server, method="tools/call", project=tmp_path, environ=environ, tool="greet", arguments={"name": "Ada"}
    )
    assert answer["content"] == [{"type": "text", "text": "Hello, Ada"}]


def test_a_server_that_does_not_start_is_an_error_with_what_it_said(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Inspector ended with"):
        inspect([sys.executable, "-c", "raise SystemExit(3)"], method="tools/list", project=tmp_path, environ=environ)


CALLS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("load_command", {"source": "/hello"}, "name"),
    ("validate", {"source": "/unknown-agent", "strict": "true"}, "errors"),
    ("run", {"command": "/hello", "wait_seconds": "30"}, "outputs"),
    ("run", {"command": "/hello", "arguments": "to all of you", "dry_run": "true"}, "timeline"),
)
ABOUT_RUNS = {"status": None, "report": None, "cancel": None, "resume": "NOT_RESUMABLE"}
"""Tools that are told a run, and the code with which they refuse one that was simulated."""


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    root = tmp_path / "ours"
    root.mkdir()
    return make_project(root)


def asked(project: Path, method: str, **options: str | dict[str, str]) -> dict[str, Any]:
    """What the Inspector says that our server answers."""
    environ = {**environment(project), "PATH": os.environ["PATH"]}
    server = [sys.executable, "-m", "mcp_server"]
    return inspect(server, method=method, project=project, environ=environ, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tool", "given", "field"), CALLS)
def test_the_inspector_calls_a_tool_of_ours(ours: Path, tool: str, given: dict[str, str], field: str) -> None:
    answer = asked(ours, "tools/call", tool=tool, arguments=given)
    assert not answer.get("isError"), answer
    assert field in answer["structuredContent"]


@pytest.mark.parametrize("tool", ABOUT_RUNS)
def test_the_inspector_calls_a_tool_that_is_told_a_run(ours: Path, tool: str) -> None:
    given = {"command": "/model", "executor": "simulate"}
    run_id = asked(ours, "tools/call", tool="run", arguments=given)["structuredContent"]["runId"]
    answer = asked(ours, "tools/call", tool=tool, arguments={"run_id": run_id})
    code = ABOUT_RUNS[tool]
    if code is None:
        assert answer["structuredContent"]["runId"] == run_id
    else:
        assert answer["isError"]
        assert answer["content"][0]["text"].startswith(code)


def test_no_tool_is_left_out(ours: Path) -> None:
    called = {tool for tool, _, _ in CALLS} | set(ABOUT_RUNS)
    assert {tool["name"] for tool in asked(ours, "tools/list")["tools"]} == called


def test_the_inspector_lists_resources_and_prompts_of_ours(ours: Path) -> None:
    resources = asked(ours, "resources/list")["resources"]
    assert "orchestration://commands/hello" in {found["uri"] for found in resources}
    prompts = asked(ours, "prompts/list")["prompts"]
    assert "hello" in {found["name"] for found in prompts}
