"""The state of a linked worktree lives with the main one, where the repository's own record says that it is one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.statefolder.location import has_journal, locate
from tests.support.repositories import git, make_repository
from tests.support.state import plant

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "main", {"packages/a/x.txt": "x"})


@pytest.fixture
def linked(main: Path) -> Path:
    """A worktree where Claude Code makes them."""
    git(main, "worktree", "add", "--quiet", "--detach", ".claude/worktrees/linked")
    return main / ".claude" / "worktrees" / "linked"


def own(project: Path) -> bool:
    """Whether the state of *project* lives with it."""
    location = locate(project)
    assert location.project == project.resolve()
    return location.root == location.project and location.worktree == ""


def test_a_folder_without_a_repository_and_a_main_worktree_have_their_own_state(main: Path, tmp_path: Path) -> None:
    assert own(tmp_path)
    assert own(main)
    assert own(main / "packages" / "a")


def test_the_state_of_a_linked_worktree_lives_with_the_main_one(main: Path, linked: Path) -> None:
    location = locate(linked)
    assert location.root == main
    assert location.worktree == str(linked)
    assert location.folder_of("") == main
    assert location.folder_of(str(linked)) == linked
    plant(main)
    assert has_journal(linked)


def test_a_project_in_a_folder_of_the_worktree_has_its_state_in_that_of_the_main_one(main: Path, linked: Path) -> None:
    assert locate(linked / "packages" / "a").root == main / "packages" / "a"
    (linked / "new").mkdir()
    assert locate(linked / "new").root == main, "a folder that the main one does not have is not made there"


@pytest.mark.parametrize("layout", ["repo.git", ".bare", ".git"])
def test_the_state_of_a_worktree_of_a_bare_repository_lives_with_the_common_git_directory(
    main: Path, tmp_path: Path, layout: str
) -> None:
    bare = tmp_path / "bare" / layout
    git(main, "clone", "--quiet", "--bare", str(main), str(bare))
    git(bare, "worktree", "add", "--quiet", "--detach", str(tmp_path / "bare" / "linked"))
    assert locate(tmp_path / "bare" / "linked").root == bare


def test_a_submodule_has_its_own_state(main: Path, tmp_path: Path) -> None:
    outer = make_repository(tmp_path / "outer", {"x": "x"})
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(main), "inner")
    assert (outer / "inner" / ".git").is_file()
    assert own(outer / "inner")


@pytest.mark.parametrize(
    "record", ["of another folder", "missing", "a link", "no worktree of it", "a folder", "of a path with a new line"]
)
def test_without_the_repositorys_own_record_a_worktree_has_its_own_state(
    main: Path, linked: Path, tmp_path: Path, record: str
) -> None:
    file = main / ".git" / "worktrees" / "linked" / "gitdir"
    if record == "of another folder":
        file.write_text(f"{tmp_path / 'other' / '.git'}\n", encoding="utf-8")
    elif record == "of a path with a new line":
        file.write_text(f"{tmp_path}\n{linked}/.git\n", encoding="utf-8")
    elif record == "no worktree of it":
        shutil.move(main / ".git" / "worktrees" / "linked", main / ".git" / "linked")
        (linked / ".git").write_text(f"gitdir: {main / '.git' / 'linked'}\n", encoding="utf-8")
    else:
        file.unlink()
        if record == "a link":
            (tmp_path / "gitdir").write_text(f"{linked / '.git'}\n", encoding="utf-8")
            file.symlink_to(tmp_path / "gitdir")
        elif record == "a folder":
            file.mkdir()
    assert own(linked)


def test_a_copy_of_a_worktree_has_its_own_state(linked: Path, tmp_path: Path) -> None:
    shutil.copytree(linked, tmp_path / "copy")
    assert own(tmp_path / "copy")


@pytest.mark.parametrize("text", ["", "gitdir:", "gitdir: ", "nothing", "gitdir: /", "gitdir: \0"])
def test_a_git_file_that_names_no_worktree_is_none(linked: Path, text: str) -> None:
    (linked / ".git").write_text(text, encoding="utf-8")
    assert own(linked)


def test_a_repository_of_another_user_keeps_no_state_of_this_one(
    main: Path, linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = type(main).lstat

    def of_others(path: Path) -> os.stat_result:
        found = lstat(path)
        if path == main:
            return os.stat_result((*found[:4], found.st_uid + 1, *found[5:]))
        return found

    monkeypatch.setattr(type(main), "lstat", of_others)
    assert own(linked)
