"""Programs of ours are the machine's, whatever a search path leads to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from engine.executors.environment import Environment, open_environment
from engine.model.agent import Agent
from engine.statefolder.executables import find_outside, rooted, search_path
from tests.support.orders import order_for

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("folder", ["", ".", "bin", "{project}", "{project}/bin", "{link}/bin"])
def test_no_program_of_the_project_is_found_by_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    project, link = tmp_path / "project", tmp_path / "link"
    program(project / "git")
    program(project / "bin" / "git")
    ours = program(tmp_path / "machine" / "git")
    link.symlink_to(project)
    monkeypatch.chdir(project)
    named = folder.format(project=project, link=link)
    monkeypatch.setenv("PATH", os.pathsep.join([named, str(tmp_path / "machine"), named]))
    assert find_outside("git", project) == find_outside("git", link) == str(ours)
    assert search_path(project) == str(tmp_path / "machine")
    assert find_outside("other", project) is None


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    own = program(tmp_path / "project" / "git")
    assert find_outside(str(own), tmp_path / "project") == str(own)


SYSTEMS = os.pathsep.join(part for part in os.defpath.split(os.pathsep) if part)


@pytest.mark.parametrize("given", ["", ".", "bin:.", "{project}"])
def test_where_no_folder_is_left_the_search_path_is_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("PATH", given.format(project=tmp_path))
    assert search_path(tmp_path) == SYSTEMS


def test_a_rooted_search_path_has_no_relative_folder() -> None:
    assert (
        rooted(os.pathsep.join(["", "/usr/bin", ".", "node_modules/.bin", "/bin", ""])) == f"/usr/bin{os.pathsep}/bin"
    )
    assert rooted(".") == SYSTEMS


def test_claude_code_gets_no_relative_folder_to_look_for_programs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([".", "/usr/bin", "bin"]))
    order = order_for(Agent(id="a"), project=tmp_path)
    opened = open_environment(order, "", {}, whole=True)
    assert isinstance(opened, Environment)
    assert opened.variables["PATH"] == "/usr/bin"
