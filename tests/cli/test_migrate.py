"""`migrate` and `validate` on workflows of other programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mcp_server.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

FLOW = """\
name: Two Steps
description: Count, and say it
worktree: {enabled: false}
nodes:
  - {id: count, bash: ls | wc -l}
  - {id: say, prompt: Say $count.output, depends_on: [count]}
"""


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / ".archon/workflows").mkdir(parents=True)
    (root / ".archon/workflows/two.yaml").write_text(FLOW, encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return root


def test_a_workflow_is_validated_where_it_is(project: Path) -> None:
    result = orchestrate(project, "validate", ".archon/workflows/two.yaml")
    assert result.exit_code == 0
    assert "/two-steps is valid: 0 errors" in result.stdout
    found = json.loads(orchestrate(project, "validate", ".archon/workflows/two.yaml", "--json").stdout)
    assert (found["valid"], {one["code"] for one in found["warnings"]}) == (True, {"PEER_DIFFERS"})


def test_a_workflow_is_converted_with_its_agents(project: Path) -> None:
    words = ("migrate", ".archon/workflows/two.yaml", "--output", ".claude/commands/v2/two-steps.json")
    assert orchestrate(project, *words).exit_code == 0
    assert sorted(path.name for path in (project / ".claude/agents").iterdir()) == [
        "two-steps-count.md",
        "two-steps-say.md",
    ]
    result = orchestrate(project, "validate", "/two-steps")
    assert "/two-steps is valid: 0 errors" in result.stdout


def test_the_command_alone_is_printed(project: Path) -> None:
    result = orchestrate(project, "migrate", ".archon/workflows/two.yaml")
    assert json.loads(result.stdout)["name"] == "/two-steps"
    assert "with --output, 2 agent files would be written too" in result.stderr
    assert not (project / ".claude").exists()


def test_nothing_is_written_if_one_of_the_files_exists(project: Path) -> None:
    agent = project / ".claude/agents/two-steps-say.md"
    agent.parent.mkdir(parents=True)
    agent.write_text("mine", encoding="utf-8")
    result = orchestrate(project, "migrate", ".archon/workflows/two.yaml", "--output", "two.json")
    assert result.exit_code != 0
    assert "FILE_EXISTS" in result.stderr
    assert [path.name for path in agent.parent.iterdir()] == ["two-steps-say.md"]
    assert not (project / "two.json").exists()


def test_a_workflow_with_a_part_that_cannot_be_converted_is_not_written(project: Path) -> None:
    path = project / ".archon/workflows/two.yaml"
    path.write_text(FLOW.replace("prompt: Say", "hooks: {}, prompt: Say"), encoding="utf-8")
    result = orchestrate(project, "migrate", ".archon/workflows/two.yaml", "--output", "two.json")
    assert result.exit_code == 2
    assert "PEER_NOT_CARRIED: hooks cannot be converted" in result.stderr
    assert ".archon/workflows/two.yaml:6:15" in result.stderr
    assert result.stdout == ""
    assert not (project / "two.json").exists()
    assert not (project / ".claude").exists()


@pytest.mark.parametrize("nodes", ["", "- {id: a, bash: x, depends_on: [a]}"])
def test_a_refused_workflow_without_agents_is_not_written_either(project: Path, nodes: str) -> None:
    path = project / ".archon/workflows/two.yaml"
    path.write_text(f"name: two\ndescription: d\nnodes:\n  {nodes}\n", encoding="utf-8")
    result = orchestrate(project, "migrate", ".archon/workflows/two.yaml", "--output", "two.json")
    assert result.exit_code == 2
    assert "PEER_NOT_CARRIED" in result.stderr
    assert not (project / "two.json").exists()
    assert orchestrate(project, "migrate", ".archon/workflows/two.yaml").stdout == ""


@pytest.mark.parametrize("words", [("validate",), ("plan",), ("run", "--executor", "simulate"), ("migrate",)])
def test_a_file_is_found_from_a_folder_of_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    deep = project / "src" / "deep"
    deep.mkdir(parents=True)
    (project / "src" / "old.md").write_text("# /old\n\nDo it.\n\n1. Do things (1 minute)\n", encoding="utf-8")
    monkeypatch.chdir(deep)
    for path in ("../old.md", "src/old.md"):
        found = orchestrate(project, *words, path)
        assert (found.exit_code, "error" in found.stderr) == (0, False), (path, found.stderr)
    other = project.parent / "other.md"
    other.write_text("# /other\n", encoding="utf-8")
    refused = orchestrate(project, *words, "../../../other.md")
    assert (refused.exit_code, "PATH_OUTSIDE_PROJECT" in refused.stderr) == (2, True)


def test_a_file_of_the_root_comes_before_one_of_the_working_directory(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, title in ((project, "root"), (project / "src", "folder")):
        folder.mkdir(exist_ok=True)
        (folder / "old.md").write_text(f"# /{title}\n\nDo it.\n\n1. Do things\n", encoding="utf-8")
    monkeypatch.chdir(project / "src")
    assert "/root is valid" in orchestrate(project, "validate", "old.md").stdout
