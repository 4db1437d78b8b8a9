"""What lies in a project is input: notes, trees and links in it make nobody write, remove or open what is elsewhere.

Each test plants a marker and what would touch it, and hands that to our own functions.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from engine.executors.folders import remove_folder
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees.changes import Change, Entry, apply, undo
from engine.executors.worktrees.git import open_git
from engine.executors.worktrees.isolated import IsolatedExecutor, check_isolation
from engine.executors.worktrees.leftover import forget, keep_abandoned
from engine.ids import AttemptId, RunId
from tests.support.orders import Beats, order_for
from tests.support.repositories import branches, editor, git, make_repository, write_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

STATE = ".claude/orchestration/worktrees"


def tree_of(project: Path, files: dict[str, str]) -> str:
    """A tree object with *files*, made beside the index."""
    index = project / ".git" / "a-tree"
    index.unlink(missing_ok=True)
    for path, text in files.items():
        write_files(project / ".git", {"a-file": text})
        blob = git(project, "hash-object", "-w", ".git/a-file")
        git(project, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", GIT_INDEX_FILE=str(index))
    return git(project, "write-tree", GIT_INDEX_FILE=str(index))


async def looked_after(project: Path, note: object) -> None:
    """Somebody finds *note* about a merge that was cut off, and looks after the project."""
    write_files(project, {f"{STATE}/r-1-check-1/merging.json": json.dumps(note)})
    assert await keep_abandoned(project) == []
    assert not (project / STATE / "r-1-check-1" / "merging.json").exists()


@pytest.mark.parametrize(
    "outside", ["lib/marker", "project/.claude/orchestration/marker", "project/.claude/worktrees/m"]
)
async def test_a_note_of_a_merge_takes_nothing_back_outside_of_the_project(outside: str, tmp_path: Path) -> None:
    top = make_repository(tmp_path, {"project/a.txt": "a\n"})
    trees = [tree_of(top, {"project/a.txt": "a\n"}), tree_of(top, {"project/a.txt": "a\n", outside: "marker\n"})]
    write_files(top, {outside: "marker\n"})
    await looked_after(top / "project", trees)
    assert (top / outside).read_text() == "marker\n"


@pytest.mark.parametrize("note", [["--output=marker", "HEAD"], ["HEAD", "HEAD~0"], [1, 2], ["a"], {}, None, "ab"])
async def test_a_note_of_a_merge_that_names_no_trees_is_no_word_to_git(note: object, tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    await looked_after(project, note)
    assert sorted(place.name for place in project.iterdir()) == [".claude", ".git", "a.txt"]
    assert git(project, "status", "--porcelain", "--", "a.txt") == ""


async def test_a_note_of_a_merge_behind_a_link_is_nobodys(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    write_files(tmp_path, {"elsewhere/merging.json": "[]", "elsewhere/staging/marker": "m"})
    write_files(project, {f"{STATE}/r-1-other-1/x": ""})
    (project / STATE / "r-1-check-1").symlink_to(tmp_path / "elsewhere")
    assert await keep_abandoned(project) == []
    assert (tmp_path / "elsewhere" / "staging" / "marker").exists()
    assert (tmp_path / "elsewhere" / "merging.json").exists()


@pytest.mark.parametrize(
    ("attempt", "base"),
    [("r-1:mine#1", "0" * 40), ("r-1/../../../marker:mine#1", "0" * 40), ("r-1:check#1", "--output=marker"), (1, "")],
)
async def test_a_record_speaks_of_its_own_worktree_only(attempt: object, base: str, tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    record = {"attempt": attempt, "mark": "", "base": base, "base_tree": base, "kept": False}
    places = [".claude/worktrees/r-1-mine-1/marker", f"{STATE}/r-1-check-1/marker"]
    write_files(project, {f"{STATE}/r-1-check-1/worktree.json": json.dumps(record), **dict.fromkeys(places, "m")})
    write_files(tmp_path, {"marker": "m"})
    assert await keep_abandoned(project) == []
    await forget(project, [RunId("r-1"), RunId("r-1/../../../marker")])
    assert all((project / place).exists() for place in places)
    assert (tmp_path / "marker").exists()
    assert not (project / "marker").exists()
    assert branches(project) == []


@pytest.mark.parametrize("link", [".claude/orchestration", STATE, ".claude/worktrees"])
async def test_no_folder_of_ours_is_behind_a_link(link: str, tmp_path: Path) -> None:
    """Not even inside of the project."""
    project = make_repository(tmp_path / "project", {"a.txt": "a\n", "docs/marker": "m"})
    (project / link).parent.mkdir(parents=True, exist_ok=True)
    (project / link).symlink_to(project / "docs")
    with pytest.raises(Exception, match="is a symbolic link") as caught:
        await check_isolation(project, [editor(project)])
    assert caught.value.code == "ISOLATION_UNAVAILABLE"  # type: ignore[attr-defined]
    assert await keep_abandoned(project) == []
    assert [place.name for place in (project / "docs").iterdir()] == ["marker"]


async def test_no_rule_is_written_through_a_link(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    (project / ".claude" / "worktrees").mkdir(parents=True)
    (project / ".claude" / "worktrees" / ".gitignore").symlink_to(tmp_path / "marker")
    await check_isolation(project, [editor(project)])
    assert not (tmp_path / "marker").exists()


async def test_nothing_is_written_removed_or_emptied_behind_a_link(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    write_files(tmp_path, {"elsewhere/deep/kept": "k"})
    (tmp_path / "elsewhere" / "deep" / "empty").mkdir()
    (project / "link").symlink_to(tmp_path / "elsewhere")
    blob = Entry("100644", git(project, "rev-parse", "HEAD:a.txt"))
    opened = await open_git(project, AttemptId("r-1:check#1"))
    for change in (Change(b"link/deep/empty/f", None, blob), Change(b"link/deep/kept", blob, None)):
        await undo(opened, [change], staging=tmp_path / "staging")
        with pytest.raises(Exception, match="files changed in the meantime"):
            await apply(opened, [change], staging=tmp_path / "staging")
    found = {str(path.relative_to(tmp_path / "elsewhere")) for path in (tmp_path / "elsewhere").rglob("*")}
    assert found == {"deep", "deep/kept", "deep/empty"}


def test_to_remove_a_folder_opens_nothing_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"elsewhere/marker": "m", "folder/x": "x"})
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o755)
    real, refused = os.unlink, set[str]()

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        name = PurePath(path).name
        if name not in refused:
            refused.add(name)
            raise PermissionError(path)
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    remove_folder(tmp_path / "folder")
    assert refused == {"x", "link"}
    assert not (tmp_path / "folder").exists()
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755
    assert (tmp_path / "elsewhere" / "marker").exists()


async def test_a_file_whose_name_holds_control_characters_is_not_merged(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    order = order_for(editor(project), project=project, outputs=(), task="write('b\\n.txt', 'b'); write('a.txt', 'A')")
    failure = (await IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None).execute(order, Beats())).failure
    assert failure is not None
    assert (failure.code, "b?.txt (holds control characters)" in failure.message) == ("MERGE_REFUSED", True)
    assert (project / "a.txt").read_text() == "a\n"
