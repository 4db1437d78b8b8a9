from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine.executors.port import Outcome
from engine.executors.process import resolve


def code_of(resolved: list[str] | Outcome) -> str:
    assert isinstance(resolved, Outcome)
    assert resolved.failure is not None
    assert resolved.failure.hint
    return resolved.failure.code


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_python_entry_is_the_python_that_runs_us(tmp_path: Path) -> None:
    assert resolve(["{python}", "a.py", "{python}"], tmp_path, path="") == [sys.executable, "a.py", sys.executable]


def test_a_relative_program_is_one_of_the_project(tmp_path: Path) -> None:
    tool = program(tmp_path / "tools" / "check")
    assert resolve(["tools/check", "-x"], tmp_path, path="") == [str(tool), "-x"]
    assert resolve(["./tools/../tools/check"], tmp_path, path="") == [str(tool)]


@pytest.mark.parametrize("name", ["../evil", "tools/../../evil", "tools/..", "out/evil", "tools/"])
def test_a_relative_program_that_leaves_the_project_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    (root / "tools").mkdir(parents=True)
    program(tmp_path / "evil")
    (root / "out").symlink_to(tmp_path)
    assert code_of(resolve([name], root, path=os.environ["PATH"])) == "PATH_OUTSIDE_PROJECT"


def test_a_link_in_the_project_keeps_its_name_as_a_virtual_environment_needs(tmp_path: Path) -> None:
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    assert resolve(["bin/python"], tmp_path, path="") == [str(link)]


def test_a_bare_name_is_found_on_the_path(tmp_path: Path) -> None:
    tool = program(tmp_path / "bin" / "mytool")
    assert resolve(["mytool"], tmp_path, path=str(tool.parent)) == [str(tool)]


def test_a_search_path_that_is_relative_starts_where_the_agent_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, elsewhere = program(tmp_path / "project" / "bin" / "mytool"), tmp_path / "elsewhere"
    program(elsewhere / "bin" / "mytool")
    monkeypatch.chdir(elsewhere)
    assert resolve(["mytool"], tmp_path / "project", path=f"bin{os.pathsep}/nowhere") == [str(ours)]


def test_an_absolute_program_is_taken_as_it_is(tmp_path: Path) -> None:
    assert resolve([sys.executable], tmp_path, path="") == [sys.executable]


def test_in_a_worktree_its_own_program_comes_before_the_projects(tmp_path: Path) -> None:
    project, worktree = tmp_path / "project", tmp_path / "worktree"
    both = [program(root / "tools" / "check") for root in (project, worktree)]
    ignored = program(project / "venv" / "python")
    worktree.joinpath("venv").mkdir()
    assert resolve(["tools/check"], project, path="", worktree=worktree) == [str(both[1])]
    assert resolve(["venv/python"], project, path="", worktree=worktree) == [str(ignored)]


def test_a_worktree_cannot_lead_to_a_program_outside_of_it(tmp_path: Path) -> None:
    project, worktree = tmp_path / "project", tmp_path / "worktree"
    own = program(project / "tools" / "check")
    program(tmp_path / "evil" / "check")
    worktree.mkdir()
    (worktree / "tools").symlink_to(tmp_path / "evil")
    assert resolve(["tools/check"], project, path="", worktree=worktree) == [str(own)]


@pytest.mark.parametrize(
    "command", [[], [""], ["no-such-tool"], ["tools/missing"], ["/no/such/tool"], ["tools/folder"]]
)
def test_a_program_that_is_not_there_is_told(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "tools" / "folder").mkdir(parents=True)
    assert code_of(resolve(command, tmp_path, path=str(tmp_path))) == "PROGRAM_NOT_FOUND"


def test_an_agent_whose_program_cannot_be_found_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text("")
    for command in ([], ["../check.py"], ["no-such-tool"], ["./check.py"]):
        refused = resolve(command, tmp_path, path="")
        assert isinstance(refused, Outcome)
        assert not refused.begun


def test_a_file_that_may_not_be_executed_is_told(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text("")
    assert code_of(resolve(["./check.py"], tmp_path, path="")) == "PROGRAM_NOT_EXECUTABLE"
