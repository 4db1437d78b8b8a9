"""Filters and merge drivers of a repository's own are items that wait for a yes, with the files that they run."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from engine.git_rules import Driver
from engine.model.trust import ItemKind
from registry.trust.git_drivers import driver_item, git_items
from tests.support.repositories import configure_user, git, make_repository, write_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = make_repository(tmp_path / "project", {"tools/clean.sh": "cat\n", "part/a.txt": "a"})
    git(project, "config", "filter.lfs.clean", "sh tools/clean.sh -- %f")
    git(project, "config", "filter.lfs.required", "true")
    git(project, "config", "merge.odd.driver", "odd 'unclosed %A")
    return project


def test_each_driver_is_an_item_with_all_that_a_person_decides_on(project: Path) -> None:
    lfs, odd = git_items(project / "part")
    assert (lfs.id, lfs.kind, lfs.summary) == ("git:filter.lfs", ItemKind.GIT, "sh tools/clean.sh -- %f")
    assert lfs.lines == (
        "filter.lfs.clean = sh tools/clean.sh -- %f",
        "filter.lfs.required = true",
        f"filter in the configuration of the repository {project}",
    )
    assert "tools/clean.sh" in lfs.files
    assert (odd.id, odd.summary) == ("git:merge.odd", "odd 'unclosed %A")
    assert git_items(project) == [lfs, odd], "the same from anywhere in the repository"


def test_a_changed_program_setting_or_file_is_another_item_and_a_copy_the_same(project: Path, tmp_path: Path) -> None:
    before = git_items(project)[0]
    shutil.copytree(project, tmp_path / "copy")
    copied = git_items(tmp_path / "copy")[0]
    assert (copied.content, copied.place == before.place) == (before.content, False)
    write_files(project, {"tools/clean.sh": "tr a b\n"})
    changed = git_items(project)[0]
    git(project, "config", "filter.lfs.required", "false")
    assert changed.files != before.files
    assert git_items(project)[0].content != changed.content


def test_what_the_user_configures_is_no_item(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(project, "config", "--remove-section", "filter.lfs")
    git(project, "config", "--remove-section", "merge.odd")
    configure_user(monkeypatch, tmp_path, **{"filter.lfs.clean": "git-lfs clean"})
    assert git_items(project) == []


def test_no_repository_and_no_git_are_no_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "empty").mkdir()
    assert git_items(tmp_path / "empty") == []
    assert git_items(tmp_path / "missing") == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_items(tmp_path / "empty") == []


def test_a_driver_without_files_is_an_item_too(tmp_path: Path) -> None:
    item = driver_item(Driver("merge", "m", (("driver", "true"),)), tmp_path)
    assert item.lines == ("merge.m.driver = true", f"merge driver in the configuration of the repository {tmp_path}")
