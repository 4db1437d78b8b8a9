"""The MCP Inspector, in both eras: each tool, each kind of resource, prompts and completions."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interaction.projects import environment, make_project
from tests.support.inspector import ERAS, Connection, Era, connections, inspect
from tests.support.uv import uv_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
OURS = [sys.executable, "-m", "mcp_server"]
SERVER = """
from mcp.server import MCPServer

server = MCPServer("greeter")


@server.tool()
async def greet(name: str) -> str:
    return f"Hello, {name}"


server.run()
"""


def environ_of(project: Path) -> dict[str, str]:
    return {**environment(project), "PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def connected(ours: Path) -> Iterator[dict[Era, Connection]]:
    with connections(OURS, project=ours, environ=environ_of(ours)) as found:
        yield found


@pytest.fixture(params=ERAS)
def ask(connected: dict[Era, Connection], request: pytest.FixtureRequest) -> Connection:
    return connected[request.param]


@pytest.fixture(scope="module")
def run_id(connected: dict[Era, Connection]) -> str:
    """A run that has ended."""
    status = connected["legacy"].call("run", command="/hello", wait_seconds=30)["structuredContent"]
    assert status["state"] == "completed"
    found: str = status["runId"]
    return found


def test_the_inspector_calls_a_tool_of_a_stdio_server(tmp_path: Path, environ: dict[str, str]) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    answer = inspect(
        [sys.executable, str(script)],
        method="tools/call",
        project=tmp_path,
        environ=environ,
        options=["--tool-name", "greet", "--tool-arg", "name=Ada"],
    )
    assert answer["content"] == [{"type": "text", "text": "Hello, Ada"}]


def test_a_server_that_does_not_start_is_an_error_with_what_it_said(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Inspector ended with"):
        inspect([sys.executable, "-c", "raise SystemExit(3)"], method="tools/list", project=tmp_path, environ=environ)


@pytest.mark.parametrize("program", ["mcp-inspector", "mcp-inspector-cli"])
def test_the_line_that_the_readme_shows_works_with_the_inspector_of_each_node(tmp_path: Path, program: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"^npx @modelcontextprotocol/inspector --cli ((?:[^\n]*\\\n)*[^\n]*)$", readme, re.MULTILINE)
    words = shlex.split(shown.replace("\\\n", ""))
    place = words.index("--method")
    passed = [word for name, value in uv_environment().items() for word in ("-e", f"{name}={value}")]
    answer = inspect(
        [*passed, *words[:place]],
        method=words[place + 1],
        project=ROOT,
        environ={**environ_of(tmp_path), "CLAUDE_PROJECT_DIR": str(ROOT)},
        options=words[place + 2 :],
        program=program,
    )
    assert answer["structuredContent"]["name"] == "/review-code"


@pytest.mark.parametrize("era", ERAS)
def test_a_strict_inspector_finds_nothing_in_the_schemas_of_our_tools(ours: Path, era: Era) -> None:
    options = ["--strict", "--protocol-era", era]
    answer = inspect(OURS, method="tools/list", project=ours, environ=environ_of(ours), options=options)
    assert {tool["name"] for tool in answer["tools"]} == {tool for tool, _, _ in CALLS} | set(ABOUT_RUNS)


CALLS: tuple[tuple[str, dict[str, object], str], ...] = (
    ("load_command", {"source": "/hello"}, "name"),
    ("validate", {"source": "/unknown-agent", "strict": True}, "errors"),
    ("run", {"command": "/hello", "wait_seconds": 30}, "outputs"),
    ("run", {"command": "/hello", "arguments": "to all of you", "dry_run": True}, "timeline"),
)
ABOUT_RUNS = {"status": None, "report": None, "cancel": None, "resume": "NOT_RESUMABLE", "live": None}
"""Tools that are told a run, and the code with which they refuse one that has completed."""


@pytest.mark.parametrize(("tool", "given", "field"), CALLS)
def test_the_inspector_calls_a_tool_of_ours(ask: Connection, tool: str, given: dict[str, object], field: str) -> None:
    answer = ask.call(tool, **given)
    assert not answer.get("isError"), answer
    assert field in answer["structuredContent"]


@pytest.mark.parametrize("tool", ABOUT_RUNS)
def test_the_inspector_calls_a_tool_that_is_told_a_run(ask: Connection, run_id: str, tool: str) -> None:
    code = ABOUT_RUNS[tool]
    if code is None:
        found = ask.call(tool, run_id=run_id)["structuredContent"]
        assert run_id in {found.get("runId"), found.get("snapshot", {}).get("run", {}).get("id")}
    else:
        with pytest.raises(ValueError, match=code):
            ask.call(tool, run_id=run_id)


def test_the_inspector_takes_a_task_and_answers_what_it_asks(connected: dict[Era, Connection]) -> None:
    modern = connected["modern"]
    pending = modern.call("run", command="/ask", wait_seconds=30)["elicitationPending"]
    assert (pending["origin"], pending["message"]) == ("task-input-required", "careful-node: Really?")
    answer = modern.ask("elicitation/respond", pending["elicitationId"], "answer:=yes")
    assert answer["structuredContent"]["state"] == "completed"


def test_the_inspector_finds_a_run_as_a_task_and_cancels_it(connected: dict[Era, Connection]) -> None:
    modern = connected["modern"]
    run_id = modern.call("run", command="/wait")["structuredContent"]["runId"]
    assert modern.ask("tasks/get", run_id)["task"]["status"] == "working"
    modern.ask("tasks/cancel", run_id)
    modern.call("cancel", run_id=run_id)  # waits until no agent runs
    assert modern.ask("tasks/get", run_id)["task"]["status"] == "cancelled"


def test_the_inspector_lists_and_reads_resources(ask: Connection, run_id: str) -> None:
    listed = {found["uri"] for found in ask.ask("resources/list")["resources"]}
    assert {"orchestration://commands/hello", f"orchestration://runs/{run_id}"} <= listed
    templates = {found["uriTemplate"] for found in ask.ask("resources/templates/list")["resourceTemplates"]}
    for template in ("orchestration://commands/{name}", "orchestration://runs/{id}/outputs/{key}"):
        assert template in templates
        uri = template.format(name="hello", id=run_id, key="greeting")
        [content] = ask.ask("resources/read", uri)["contents"]
        assert (content["uri"], bool(content["text"])) == (uri, True)
    with pytest.raises(ValueError, match="RUN_NOT_FOUND"):
        ask.ask("resources/read", "orchestration://runs/r-nothing")


def test_the_inspector_gets_a_prompt_and_completes_an_address(ask: Connection) -> None:
    assert "hello" in {found["name"] for found in ask.ask("prompts/list")["prompts"]}
    prompt = ask.ask("prompts/get", "hello", "--prompt-args", "arguments=to all of you")
    assert '"arguments": "to all of you"' in prompt["messages"][0]["content"]["text"]
    assert completed(ask, "ref/resource", "orchestration://commands/{name}", "name", "hel") == ["hello"]
    assert completed(ask, "ref/prompt", "hello", "arguments", "to") == []


def completed(ask: Connection, kind: str, reference: str, name: str, value: str) -> list[str]:
    """What the server completes *value* to."""
    words = ["--complete-ref-type", kind, "--complete-ref", reference]
    words += ["--complete-arg-name", name, "--complete-arg-value", value]
    answer: dict[str, Any] = ask.ask("prompts/complete", *words)
    values: list[str] = answer["values"]
    return values
