"""The quick look at a state folder sees the ordinary cases at a glance, and none otherwise than the rules."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.statefolder.guard import found_state, open_state
from engine.statefolder.links import JOURNAL, STATE
from engine.statefolder.quick_look import Uncertain, quick_root, quick_state
from engine.statefolder.stamps import STAMP, new_stamp
from engine.statefolder.user_files import configuration_folder
from registry.files.roots import find_project_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a project that this user has run something in."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "links.py").write_text("", encoding="utf-8")
    (folder / ".claude").mkdir()
    (folder / ".claude" / "orchestration.toml").write_text("", encoding="utf-8")
    git(folder, "add", ".")
    open_state(folder)
    (folder / JOURNAL).touch()
    return folder


def quick(folder: Path) -> str | None:
    return quick_state(str(folder), str(configuration_folder()))


def nothing(_: Path) -> None:
    pass


def no_repository(root: Path) -> None:
    shutil.rmtree(root / ".git")


@pytest.mark.parametrize("change", [nothing, no_repository])
def test_an_ordinary_state_folder_is_found_at_a_glance(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    assert quick(root) == str(root.resolve() / STATE) == str(found_state(root))


def test_without_state_or_without_a_journal_there_certainly_is_nothing(root: Path, tmp_path: Path) -> None:
    assert quick(tmp_path / "elsewhere") is None
    (root / JOURNAL).unlink()
    assert quick(root) is None
    shutil.rmtree(root / STATE)
    assert quick(root) is None


def foreign(root: Path) -> None:
    (root / STATE / STAMP).write_text(new_stamp(), encoding="ascii")


def no_stamp(root: Path) -> None:
    (root / STATE / STAMP).unlink()


def tracked(root: Path) -> None:
    git(root, "add", "--force", str(STATE / STAMP))


def tracked_with_prefixes(root: Path) -> None:
    tracked(root)
    git(root, "update-index", "--index-version", "4")


def compressed_index(root: Path) -> None:
    git(root, "update-index", "--index-version", "4")


def split_index(root: Path) -> None:
    tracked(root)
    git(root, "update-index", "--split-index")


def linked_claude(root: Path) -> None:
    (root / ".claude").rename(root / "shared")
    (root / ".claude").symlink_to("shared")


def linked_journal(root: Path) -> None:
    (root / JOURNAL).unlink()
    (root / JOURNAL).symlink_to(root / "links.py")


def linked_worktree(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").write_text("gitdir: /nowhere/.git/worktrees/x\n", encoding="utf-8")


def own_repository(root: Path) -> None:
    git(root / STATE, "init", "-q")


def a_list_that_others_can_write(_: Path) -> None:
    (configuration_folder() / "state.json").chmod(0o666)


@pytest.mark.parametrize(
    "change",
    [
        foreign,
        no_stamp,
        tracked,
        tracked_with_prefixes,
        compressed_index,
        split_index,
        linked_claude,
        linked_journal,
        linked_worktree,
        own_repository,
        a_list_that_others_can_write,
    ],
)
def test_whatever_is_not_ordinary_is_left_to_the_rules(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    with pytest.raises(Uncertain):
        quick(root)


@pytest.mark.parametrize("change", [foreign, no_stamp, tracked, linked_journal, own_repository])
def test_and_what_the_rules_refuse_is_never_seen(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    with pytest.raises(EnvironmentFault):
        found_state(root)
    with pytest.raises(Uncertain):
        quick(root)


def test_a_copied_and_a_moved_project_are_left_to_the_rules(root: Path) -> None:
    other = root.with_name("other")
    shutil.copytree(root, other)
    with pytest.raises(Uncertain):
        quick(other)
    shutil.rmtree(other)
    root.rename(other)
    with pytest.raises(Uncertain):
        quick(other)


def test_a_name_that_json_escapes_is_left_to_the_rules(tmp_path: Path) -> None:
    folder = tmp_path / "Größe"
    folder.mkdir()
    open_state(folder)
    (folder / JOURNAL).touch()
    with pytest.raises(Uncertain):
        quick(folder)
    assert found_state(folder) is not None


def test_the_root_is_the_one_that_the_rules_find(root: Path, tmp_path: Path) -> None:
    inner = root / "src" / "deep"
    inner.mkdir(parents=True)
    home = str(tmp_path)
    assert quick_root(str(inner), home) == quick_root(str(root), home) == str(find_project_root(inner))
    shutil.rmtree(root / ".git")
    assert quick_root(str(inner), home) == str(root) == str(find_project_root(inner))
    shutil.rmtree(root / STATE)
    with pytest.raises(Uncertain):
        quick_root(str(inner), home)
    with pytest.raises(Uncertain):
        quick_root(home, home)
