"""Laws of isolation: what agents do to different files is all there afterwards, and what was written can be undone."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.executors.worktrees.branches import branch_of, folder_of
from engine.executors.worktrees.changes import Change, apply, changes_between, undo
from engine.executors.worktrees.git import Git, open_git
from engine.executors.worktrees.snapshot import project_tree
from engine.executors.worktrees.worktree import open_worktree
from engine.ids import AttemptId, NodeId, RunId
from tests.support.orders import Beats
from tests.support.repositories import branches, leftovers, make_repository

File: TypeAlias = "tuple[str, bytes]"
"""What is at a path: `file`, `program` or `link`, and its content."""
Files: TypeAlias = "dict[str, File]"

CONTENTS = st.sampled_from(
    [b"", b"a\n", b"a\nb\nc\nd\ne\n", b"a\nB\nc\nd\ne\n", b"\0\xff", b"x\r\ny\n", b"<<<<<<< a\n"]
)
FILES = st.tuples(st.sampled_from(["file", "program"]), CONTENTS) | st.tuples(
    st.just("link"), st.sampled_from([b"a", b"d/x", b"nowhere"])
)
APART = ["a", "b", "B.txt", "d/x", "d/y", "d/e/z", "e/f g", "e/\xe9"]
"""Paths of which none lies below another."""
NESTED = ["a", "a/b", "a/b/c", "a.b", "d/e", "d", "d/e/f", "x"]
NODES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80)


def write(folder: Path, files: Files) -> None:
    """Make *folder* hold *files*, and nothing else but what git and the engine have there."""
    for place in folder.iterdir():
        if place.name not in {".git", ".claude"}:
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    for name, (kind, content) in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            place.symlink_to(os.fsdecode(content))
        else:
            place.write_bytes(content)
            place.chmod(0o755 if kind == "program" else 0o644)


def read(folder: Path) -> Files:
    """The files of *folder*, as `write` takes them."""
    found: Files = {}
    for place in folder.rglob("*"):
        name = str(place.relative_to(folder))
        if name.startswith((".git", ".claude")) or (place.is_dir() and not place.is_symlink()):
            continue
        if place.is_symlink():
            found[name] = ("link", os.fsencode(place.readlink()))
        else:
            found[name] = ("program" if place.stat().st_mode & stat.S_IXUSR else "file", place.read_bytes())
    return found


def is_possible(files: Files) -> bool:
    return not any(other.startswith(f"{name}/") for name in files for other in files)


@given(
    base=st.dictionaries(st.sampled_from(APART), FILES),
    work=st.dictionaries(st.sampled_from(APART), st.tuples(st.sampled_from([0, 1]), st.none() | FILES)),
    order=st.permutations([0, 1]),
)
@settings(max_examples=30)
def test_what_two_agents_do_to_different_files_is_all_there_in_any_order(
    base: Files, work: dict[str, tuple[int, File | None]], order: list[int]
) -> None:
    def changed(files: Files, *agents: int) -> Files:
        result = dict(files)
        for name, (agent, new) in work.items():
            if agent in agents and new is None:
                result.pop(name, None)
            elif agent in agents and new is not None:
                result[name] = new
        return result

    async def both(project: Path) -> None:
        attempts = [AttemptId(f"r-1:node-{agent}#1") for agent in (0, 1)]
        trees = [await open_worktree(project, attempt, Beats()) for attempt in attempts]
        for agent, tree in enumerate(trees):
            assert read(tree.folder) == base
            write(tree.folder, changed(base, agent))
        for agent in order:
            await trees[agent].merge_back(Beats())
            await trees[agent].remove()

    with tempfile.TemporaryDirectory() as name:
        project = make_repository(Path(name).resolve() / "project")
        write(project, base)
        asyncio.run(both(project))
        assert read(project) == changed(base, 0, 1)
        assert (branches(project), leftovers(project)) == ([], [])


class Failing:
    """Lets the given one of all moves and removals of files fail."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.replace, self.unlink = os.replace, os.unlink

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise OSError(errno.ENOSPC, "no space left")

    def __enter__(self) -> None:
        def replace(source: bytes, target: bytes) -> None:
            self._count()
            self.replace(source, target)

        def unlink(path: bytes, *, dir_fd: int | None = None) -> None:
            if dir_fd is None:  # else a whole folder is removed, which is none of the project's
                self._count()
            self.unlink(path, dir_fd=dir_fd)

        os.replace, os.unlink = replace, unlink  # type: ignore[assignment]

    def __exit__(self, *_error: object) -> None:
        os.replace, os.unlink = self.replace, self.unlink


TREES = st.dictionaries(st.sampled_from(NESTED), FILES).filter(is_possible)


async def transition(project: Path, old: Files, new: Files) -> tuple[Git, list[Change]]:
    """The changes from *old* to *new* in *project*, which holds *old*."""
    git = await open_git(project, AttemptId("r-1:node#1"))
    index = project.parent / "index"
    write(project, new)
    tree = await project_tree(git, index)
    write(project, old)
    return git, await changes_between(git, await project_tree(git, index), tree)


@given(old=TREES, new=TREES)
@settings(max_examples=40)
def test_a_change_makes_the_new_tree_of_the_old_and_is_undone_to_it(old: Files, new: Files) -> None:
    async def forth_and_back(project: Path) -> None:
        git, changes = await transition(project, old, new)
        await apply(git, changes, staging=project.parent / "staging")
        assert read(project) == new
        await undo(git, changes, staging=project.parent / "staging")
        assert read(project) == old

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(forth_and_back(make_repository(Path(name).resolve() / "project")))


@given(old=TREES, new=TREES, number=st.integers(1, 6))
@settings(max_examples=40)
def test_a_change_that_fails_at_any_file_leaves_the_old_tree(old: Files, new: Files, number: int) -> None:
    async def forth(project: Path) -> None:
        git, changes = await transition(project, old, new)
        try:
            with Failing(number):
                await apply(git, changes, staging=project.parent / "staging")
        except OSError:
            assert read(project) == old
        else:
            assert read(project) == new
            assert len(changes) < number

    with tempfile.TemporaryDirectory() as name:
        asyncio.run(forth(make_repository(Path(name).resolve() / "project")))


@given(NODES, NODES, st.integers(1, 99))
def test_two_nodes_never_share_a_branch_and_every_name_is_plain(one: str, other: str, number: int) -> None:
    run = RunId("r-0123456789ab")
    names = [(branch_of(run, NodeId(node), number), folder_of(run, NodeId(node), number)) for node in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for branch, folder in names:
        assert branch.isascii()
        assert len(branch) < 150
        assert branch.count("/") == 3
        assert not set(folder) - set("abcdefghijklmnopqrstuvwxyz0123456789_-")
