"""A project whose `.claude` is a link to a configuration that several projects share."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from tests.support.definitions import command, node, phase
from tests.support.repositories import git, make_repository
from tests.support.state import contents

WORKS = """import json, pathlib, sys
pathlib.Path("marker").write_text("it ran")
print(json.dumps({"outputs": {"greeting": "hello"}}))
"""
AGENT = """---
name: greeter
description: Greets
executor: process
command: ["python3", "-c", {words}]
{fields}
---
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (SESSION_VARIABLE, ATTEMPT_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "configuration"
    (folder / "commands" / "v2").mkdir(parents=True)
    (folder / "agents").mkdir()
    raw = command(
        phase("work", node("greet", agent="greeter", context={"outputs": [{"key": "greeting"}]})), name="/greet"
    )
    (folder / "commands" / "v2" / "greet.json").write_text(json.dumps(raw), encoding="utf-8")
    set_agent(folder)
    return folder


def set_agent(folder: Path, fields: str = "") -> None:
    text = AGENT.format(words=json.dumps(WORKS), fields=fields)
    (folder / "agents" / "greeter.md").write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, shared: Path) -> Path:
    root = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    (root / ".claude").symlink_to(shared)
    return root


def orchestrate(root: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["--project", str(root), *words])
    assert result.exit_code == code, result.output
    return result.output


def states() -> list[Path]:
    return sorted((Path(os.environ["XDG_STATE_HOME"]) / "orchestration").glob("*"))


def test_it_runs_after_a_yes_and_keeps_its_state_in_the_users_own_folder(project: Path, shared: Path) -> None:
    before = contents(shared)
    assert "`orchestrate trust`" in orchestrate(project, "run", "/greet", code=2)
    orchestrate(project, "trust", "--yes")
    orchestrate(project, "run", "/greet")
    assert (project / "marker").read_text() == "it ran"
    assert json.loads(orchestrate(project, "runs", "--json"))[0]["state"] == "completed"
    [state] = states()
    assert (state / "journal.sqlite3").exists()
    assert contents(shared) == before


def test_one_yes_shows_the_link_first_and_then_the_programs_behind_it(project: Path) -> None:
    shown = orchestrate(project, "trust", "--yes")
    assert shown.index("link:.claude") < shown.index("agent:greeter")
    assert orchestrate(project, "trust", "--list").count("accepted") == 2


def test_a_moved_project_asks_again_whether_its_link_may_be_followed(project: Path, tmp_path: Path) -> None:
    orchestrate(project, "trust", "--yes")
    moved = Path(shutil.move(project, tmp_path / "moved"))
    assert "new" in orchestrate(moved, "trust", "--list", code=1)
    assert "is a link to" in orchestrate(moved, "run", "/greet", code=2)


def test_a_run_in_the_background_has_its_log_beside_its_state(project: Path, shared: Path) -> None:
    before = contents(shared)
    orchestrate(project, "trust", "--yes")
    run = json.loads(orchestrate(project, "run", "/greet", "--detach", "--json"))["runId"]
    orchestrate(project, "status", run, "--watch")
    [state] = states()
    assert [path.name for path in (state / "logs").iterdir()] == [f"{run}.log"]
    assert contents(shared) == before


def test_an_isolated_agent_works_in_a_worktree_beside_the_state_and_is_merged_back(project: Path, shared: Path) -> None:
    set_agent(shared, "isolation: worktree")
    before = contents(shared)
    orchestrate(project, "trust", "--yes")
    orchestrate(project, "run", "/greet")
    assert (project / "marker").read_text() == "it ran"
    assert "marker" in git(project, "status", "--porcelain")
    assert git(project, "worktree", "list").count("\n") <= 1
    [state] = states()
    assert not [path for path in (state / "trees").iterdir() if path.is_dir()]
    assert contents(shared) == before


def test_no_skill_is_written_for_all_projects_that_share_the_configuration(project: Path, shared: Path) -> None:
    orchestrate(project, "trust", "--yes")
    before = contents(shared)
    assert "every project that shares it" in orchestrate(project, "sync", code=2)
    assert contents(shared) == before
