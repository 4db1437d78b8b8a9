"""The real Claude Code in a folder of the project, and in a git worktree that it makes itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.interaction.projects import make_project
from tests.support.claude_code import run_claude
from tests.support.repositories import git, make_repository

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = Path(sys.executable).parent
RUN = "mcp__orchestration__run"
WORKTREE = ".claude/worktrees/feature"
STEPS = [{"tool": RUN, "input": {"command": "/hello", "wait_seconds": 50}}, {"echo_last": True}]
PROMPT = f"Say hello. <<fake {json.dumps(STEPS)}>>"


@pytest.fixture
def user(project: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user who has agreed to the project's agents and its server."""
    make_project(project)
    (project / "gate").unlink()
    (project / "home").rename(project.parent / "known")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    (project / "src").mkdir()
    (project / "src" / "x.txt").write_text("x", encoding="utf-8")
    make_repository(project)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=All")
    settings = Path(environ["CLAUDE_CONFIG_DIR"]) / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"enableAllProjectMcpServers": True}), encoding="utf-8")
    return {**environ, "XDG_CONFIG_HOME": str(project.parent / "known" / ".config")}


def told(folder: Path, user: Mapping[str, str], *options: str) -> dict[str, Any]:
    """What the model in *folder* is told of the run that it starts."""
    done = run_claude(PROMPT, project=folder, environ=user, arguments=("--allowedTools", RUN, *options))
    assert done.exit_code == 0, done.stderr
    (result,) = done.tool_results
    assert not result.get("is_error"), result
    status: dict[str, Any] = json.loads(result["content"])
    return status


def runs(project: Path, user: Mapping[str, str]) -> list[dict[str, Any]]:
    command = [str(PROGRAMS / "orchestrate"), "--project", str(project), "runs", "--json"]
    done = subprocess.run(command, env=dict(user), capture_output=True, text=True, timeout=30, check=True)
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def test_a_session_in_a_folder_of_the_project_works_in_the_project(project: Path, user: Mapping[str, str]) -> None:
    status = told(project / "src", user)
    assert status["state"] == "completed"
    assert [run["runId"] for run in runs(project, user)] == [status["runId"]]
    assert not (project / "src" / ".claude").exists()


def test_the_run_of_a_session_in_a_worktree_is_kept_with_the_project(project: Path, user: Mapping[str, str]) -> None:
    status = told(project, user, "--worktree", "feature")
    assert status["state"] == "completed"
    assert (project / WORKTREE).is_dir()
    git(project, "worktree", "remove", "--force", "--force", WORKTREE)
    (run,) = runs(project, user)
    assert run["runId"] == status["runId"]
    assert run["worktree"] == str(project / WORKTREE)
