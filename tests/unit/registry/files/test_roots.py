"""The project that somebody means: the nearest root above, and never home, `/` or what belongs to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import NotFound
from engine.statefolder.guard import open_state
from engine.statefolder.links import JOURNAL, STATE
from mcp_server.project.root import PROJECT_VARIABLE, SESSION_VARIABLE, find_root, notes_on
from registry.files.roots import find_project_root, look_for_root
from tests.support.state import plant


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with `.claude`, as everybody has who uses Claude Code."""
    folder = tmp_path / "home"
    (folder / ".claude").mkdir(parents=True)
    (folder / ".claude" / "settings.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("HOME", str(folder))
    for name in (PROJECT_VARIABLE, SESSION_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def deep(home: Path) -> Path:
    """A folder three steps below home."""
    folder = home / "work" / "project" / "src"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("marker", [".claude", ".git"])
def test_the_root_is_the_nearest_folder_with_claude_or_git(deep: Path, marker: str) -> None:
    (deep.parent / marker).mkdir()
    (deep.parent.parent / ".git").mkdir()
    assert find_project_root(deep) == deep.parent


def test_a_git_file_as_that_of_a_linked_worktree_marks_a_root(deep: Path) -> None:
    (deep.parent / ".git").write_text("gitdir: elsewhere", encoding="utf-8")
    assert find_project_root(deep) == deep.parent


def test_home_is_no_project_for_what_lies_below_it(deep: Path) -> None:
    assert find_project_root(deep) == deep


@pytest.mark.parametrize("place", ["home", "/"])
def test_at_home_and_at_the_top_no_project_is_known(home: Path, place: str) -> None:
    with pytest.raises(NotFound) as caught:
        look_for_root(home if place == "home" else Path("/"))
    assert caught.value.code == "PROJECT_UNKNOWN"
    assert "--project" in (caught.value.hint or "")
    assert PROJECT_VARIABLE in (caught.value.hint or "")


def test_what_belongs_to_another_user_stops_the_search(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep.parent / ".git").mkdir()
    monkeypatch.setattr("registry.files.roots._is_ours", lambda folder: folder != deep.parent)
    assert find_project_root(deep) == deep


def test_the_owner_of_a_folder_is_that_of_the_folder_itself(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep.parent / ".git").mkdir()
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    assert find_project_root(deep) == deep


def test_a_journal_that_this_user_made_stops_the_search(deep: Path) -> None:
    (deep.parent / ".git").mkdir()
    open_state(deep)
    assert look_for_root(deep).root == deep
    assert look_for_root(deep).others == ()


@pytest.mark.parametrize("beside", ["", "worktrees", "orchestration.copied", "orchestration.copied-2"])
def test_a_folder_with_nothing_but_state_of_others_is_passed_and_named(deep: Path, beside: str) -> None:
    (deep.parent / ".git").mkdir()
    plant(deep)
    if beside:
        (deep / ".claude" / beside).mkdir()
    found = look_for_root(deep)
    assert (found.root, found.others) == (deep.parent, (deep,))
    [text] = notes_on(found)
    assert str(deep) in text
    assert str(deep.parent) in text


@pytest.mark.parametrize("beside", ["agents", "orchestration.toml", "settings.local.json"])
def test_a_folder_with_more_than_state_is_a_project(deep: Path, beside: str) -> None:
    (deep.parent / ".git").mkdir()
    plant(deep)
    (deep / ".claude" / beside).mkdir()
    assert look_for_root(deep).root == deep


def test_a_state_folder_without_a_journal_is_passed_and_not_named(deep: Path) -> None:
    (deep.parent / ".git").mkdir()
    (deep / STATE / "tmp").mkdir(parents=True)
    assert look_for_root(deep).root == deep.parent
    assert look_for_root(deep).others == ()


def test_where_no_root_is_found_a_journal_of_others_on_the_way_is_named(deep: Path) -> None:
    plant(deep.parent)
    found = look_for_root(deep)
    assert (found.root, found.others) == (deep, (deep.parent,))
    assert not (deep / JOURNAL).exists()


def test_a_project_that_is_named_is_taken_as_it_is(home: Path, deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep.parent / ".git").mkdir()
    monkeypatch.setenv(PROJECT_VARIABLE, str(deep.parent))
    for session in ("", "1"):
        monkeypatch.setenv(SESSION_VARIABLE, session)
        assert find_root(deep).root == deep
        assert find_root(home).root == home
        with pytest.raises(NotFound) as caught:
            find_root(deep / "missing")
        assert caught.value.code == "PROJECT_NOT_FOUND"
        assert caught.value.hint is not None
        assert PROJECT_VARIABLE in caught.value.hint, "in a client's settings nothing else says where it was named"


def test_the_folder_that_claude_code_started_in_is_searched_from_and_that_of_a_person_is_not(
    home: Path, deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deep.parent / ".git").mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv(PROJECT_VARIABLE, str(deep))
    assert find_root().root == deep
    monkeypatch.setenv(SESSION_VARIABLE, "1")
    assert find_root().root == deep.parent
    monkeypatch.setenv(PROJECT_VARIABLE, str(home))
    with pytest.raises(NotFound, match="is not a project"):
        find_root()
    monkeypatch.delenv(SESSION_VARIABLE)
    assert find_root().root == home


def test_without_a_name_the_working_folder_is_searched_from(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep.parent / ".claude").mkdir()
    monkeypatch.chdir(deep)
    assert find_root().root == deep.parent
