"""`/review-code` as a Claude Code user runs it: the real program as client and as every agent."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.claude_code import VERSIONS, claude, run_claude, wait_until_gone
from tests.support.fake_messages_api import FakeMessagesApi, Route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
MARK = "ORCHESTRATION_E2E"
AGENTS = ("senior-reviewer", "security-specialist", "documentation-expert")
TASKS = {
    "analyzer": ("Analyze code structure, dependencies, and metrics", "code_analysis"),
    "quality-review": ("Review code quality, patterns, and best practices", "quality_issues"),
    "security-review": ("Review security vulnerabilities and best practices", "security_issues"),
    "report-generator": ("Generate comprehensive code review report", "final_report"),
}


@pytest.fixture
def review(project: Path) -> Path:
    """A project with the guide's command, its agents, and our server in `.mcp.json`."""
    command = project / ".claude" / "commands" / "v2" / "review-code.json"
    command.parent.mkdir(parents=True)
    shutil.copy(ROOT / ".claude" / "commands" / "v2" / "review-code.json", command)
    (project / ".claude" / "agents").mkdir()
    for name in AGENTS:
        shutil.copy(ROOT / ".claude" / "agents" / f"{name}.md", project / ".claude" / "agents")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    return project


@pytest.fixture
def marked(environ: dict[str, str]) -> dict[str, str]:
    """The environment with a mark that everything started below carries."""
    return {**environ, MARK: uuid4().hex}


def arguments(project: Path) -> Sequence[str]:
    tools = "mcp__orchestration__run,mcp__orchestration__status,mcp__orchestration__load_command"
    return ("--mcp-config", str(project / ".mcp.json"), "--strict-mcp-config", "--allowedTools", tools)


def calling(*steps: Mapping[str, Any]) -> str:
    """A user's prompt that makes the scripted model take *steps*, then tell what the last tool said."""
    return f"Do it. <<fake {json.dumps([*steps, {'echo_last': True}])}>>"


def route(node: str, *steps: Mapping[str, Any]) -> Route:
    return Route(match=TASKS[node][0], steps=steps)


def answer(node: str, **more: object) -> dict[str, Any]:
    return {"structured": {"outputs": {TASKS[node][1]: f"{node} says so"}}, **more}


def newest_status(project: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the command line tells about the newest run."""
    done = subprocess.run(
        [str(PROGRAMS / "orchestrate"), "--project", str(project), "status", "--json"],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    status: dict[str, Any] = json.loads(done.stdout)
    return status


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_review_code_runs_four_real_agents_with_two_reviewers_at_a_time(
    api: FakeMessagesApi, review: Path, marked: dict[str, str]
) -> None:
    api.routes = [
        route("analyzer", answer("analyzer")),
        route("quality-review", answer("quality-review", delay=2)),
        route("security-review", answer("security-review", delay=2)),
        route("report-generator", answer("report-generator")),
    ]
    call = {"tool": "mcp__orchestration__run", "input": {"command": "/review-code", "wait_seconds": 50}}
    done = run_claude(calling(call), project=review, environ=marked, arguments=arguments(review), timeout=90)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.tool_results[-1]["content"])
    assert told["state"] == "completed"
    assert [todo["status"] for todo in told["todos"]["todos"]] == ["completed"] * 4
    assert set(told["todos"]["todos"][0]) == {"content", "status", "activeForm"}
    assert told["outputs"]["final_report"] == "report-generator says so"
    nodes = {node["id"]: node for node in newest_status(review, marked)["nodes"]}
    quality, security = nodes["quality-review"], nodes["security-review"]
    assert quality["startedMs"] < security["startedMs"] + security["durationMs"]
    assert security["startedMs"] < quality["startedMs"] + quality["durationMs"]
    assert '"analyzer says so"' in next(turn.prompt for turn in api.turns if TASKS["quality-review"][0] in turn.prompt)
    assert wait_until_gone(MARK, marked[MARK]) == []


def test_an_interrupt_in_mid_run_leaves_no_process_behind(
    api: FakeMessagesApi, review: Path, marked: dict[str, str]
) -> None:
    api.routes = [route("analyzer", {"hang": True})]
    call = {"tool": "mcp__orchestration__run", "input": {"command": "/review-code", "wait_seconds": 50}}
    with claude(calling(call), project=review, environ=marked, arguments=arguments(review)) as process:
        api.wait_until(lambda: bool(api.turns_with(TASKS["analyzer"][0])))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert wait_until_gone(MARK, marked[MARK]) == []
    assert newest_status(review, marked)["state"] in {"cancelled", "interrupted"}
