"""What `orchestrate sync` sets up in Claude Code beside skills: a status line, permissions, a monitor."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_review_code import PROGRAMS, calling
from tests.e2e.test_session import PROMPT, enter
from tests.e2e.test_typed import ours
from tests.interaction.projects import open_gate
from tests.support.claude_code import run_claude
from tests.support.terminal import accept_first_screens, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.fake_messages_api import FakeMessagesApi
    from tests.support.terminal import Terminal

__all__ = ["ours"]

STATUS, REPORT = "mcp__orchestration__status", "mcp__orchestration__report"


def orchestrate(project: Path, environ: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(
        [str(PROGRAMS / "orchestrate"), *words],
        cwd=project,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def times(api: FakeMessagesApi, text: str) -> int:
    """How often the model was told *text*."""
    return json.dumps(api.turns[-1].messages).count(text)


@pytest.fixture
def session(ours: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    """Claude Code with what sync set up, in a project with a run under way."""
    accept_first_screens(Path(environ["HOME"]), ours)
    orchestrate(ours, environ, "sync", "--status-line", "--monitor", "--yes")
    program = shutil.which("claude", path=environ["PATH"])
    assert program is not None
    with terminal([program, "--strict-mcp-config"], folder=ours, environ=environ) as found:
        found.wait_for(PROMPT)
        yield found


def test_the_status_line_shows_a_run_of_another_process(ours: Path, environ: dict[str, str], session: Terminal) -> None:
    orchestrate(ours, environ, "run", "/wait", "--detach")
    screen = session.wait_for(lambda seen: "/wait " in seen and " left" in seen)
    assert "1/2 · ~" in screen
    open_gate(ours)
    session.wait_for(lambda seen: "/wait " in seen and "2/2" in seen)


def test_the_monitor_wakes_claude_once_when_a_run_of_another_process_asks_and_ends(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str], session: Terminal
) -> None:
    enter(session, "hello there")
    api.wait_until(lambda: bool(api.turns_with("hello there")))
    run = orchestrate(ours, environ, "run", "/ask", "--detach").strip()
    api.wait_until(lambda: times(api, f"(run {run}) waits for the user") > 0, timeout=60)
    orchestrate(ours, environ, "decide", run, "careful-node", "yes")
    api.wait_until(lambda: times(api, f"(run {run}) has ended: completed, 1/1") > 0, timeout=60)
    assert times(api, f"(run {run}) waits for the user") == 1
    assert times(api, f"(run {run}) has ended") == 1


def test_permissions_allow_what_changes_nothing_and_not_report(ours: Path, environ: dict[str, str]) -> None:
    run = json.loads(orchestrate(ours, environ, "run", "/hello", "--json"))["runId"]
    orchestrate(ours, environ, "sync", "--permissions", "--yes")
    steps = [
        {"tool": STATUS, "input": {"run_id": run}},
        {"tool": REPORT, "input": {"run_id": run, "decisions": [{"node": "first-greeting", "answer": "yes"}]}},
    ]
    options = ["--mcp-config", str(ours / ".mcp.json"), "--strict-mcp-config"]
    done = run_claude(calling(*steps), project=ours, environ=environ, arguments=options)
    assert json.loads(done.tool_results[0]["content"])["state"] == "completed"
    assert [denied["tool_name"] for denied in done.result["permission_denials"]] == [REPORT]
