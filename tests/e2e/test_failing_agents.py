"""Agents that fail in all the ways in which real ones do, in one run of the real program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_review_code import arguments, calling, newest_status
from tests.support.claude_code import run_claude, wait_until_gone
from tests.support.definitions import command, node, phase
from tests.support.fake_messages_api import FakeMessagesApi, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(sys.executable).parent
MARK = "ORCHESTRATION_E2E"
DONE: dict[str, Any] = {
    "structured": {"outputs": dict.fromkeys(("asks-for-a-shell", "is-limited", "has-no-credit", "works"), "Done.")}
}
NO_CREDIT = "Your credit balance is too low to access the Anthropic API."
SHELL = {"tool": "Bash", "input": {"command": "touch made", "description": "Make a file"}}


@pytest.fixture
def failing(project: Path) -> Path:
    """A project with one node for each way to fail; a failure keeps nobody else from working."""
    nodes = [
        node("talks"),
        node("asks-for-a-shell"),
        node("is-limited", retryPolicy={"maxAttempts": 1, "strategy": "immediate"}),
        node("has-no-credit"),
        node("hangs", minutes=1 / 60, timeout=6000),
        node("hears-nonsense"),
        node("works"),
    ]
    raw = command(phase("work", *nodes, continueOnError=True, maxParallelism=3), name="/fail")
    folder = project / ".claude"
    (folder / "commands" / "v2").mkdir(parents=True)
    (folder / "commands" / "v2" / "fail.json").write_text(json.dumps(raw), encoding="utf-8")
    (folder / "agents").mkdir()
    (folder / "agents" / "worker.md").write_text("---\nname: worker\ndescription: Works\n---\nWork.", encoding="utf-8")
    settings = "[breakers.claude]\nreset_timeout_ms = 500\n"
    (folder / "orchestration.toml").write_text(settings, encoding="utf-8")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    return project


def route(name: str, *attempts: list[Mapping[str, Any]]) -> Route:
    return Route(match=f"Do {name}", attempts=attempts)


def test_each_failure_has_its_code_and_harms_nobody_else(
    api: FakeMessagesApi, failing: Path, environ: dict[str, str]
) -> None:
    api.routes = [
        route("talks", [{"text": "All is well, I think."}]),
        route("asks-for-a-shell", [SHELL, DONE]),
        route("is-limited", [{"error": 429, "type": "rate_limit_error"}], [DONE]),
        route("has-no-credit", [{"error": 400, "type": "invalid_request_error", "message": NO_CREDIT}], [DONE]),
        route("hangs", [{"hang": True}]),
        route("hears-nonsense", [{"garbage": "<html>busy</html>"}]),
        route("works", [DONE]),
    ]
    marked = {**environ, MARK: failing.as_posix()}
    call = {"tool": "mcp__orchestration__run", "input": {"command": "/fail", "wait_seconds": 100}}
    done = run_claude(calling(call), project=failing, environ=marked, arguments=arguments(failing), timeout=120)
    told = json.loads(done.tool_results[-1]["content"])
    failures = {failure["node"]: failure["code"] for failure in told["failures"]}
    assert failures == {
        "talks": "NO_STRUCTURED_OUTPUT",
        "asks-for-a-shell": "PERMISSION_DENIED",
        "hangs": "TIMEOUT",
        "hears-nonsense": "AGENT_ERROR",
    }
    assert told["state"] == "degraded"
    [warned] = told["warnings"]
    assert warned.startswith("worker: no tools in the agent's file, so Bash, Edit, ")
    nodes = {one["id"]: (one["state"], one["attempts"]) for one in newest_status(failing, marked)["nodes"]}
    assert [nodes[name] for name in ("is-limited", "has-no-credit", "works")] == [
        ("completed", 2),
        ("completed", 2),
        ("completed", 1),
    ]
    assert not (failing / "made").exists()
    assert wait_until_gone(MARK, marked[MARK]) == []
