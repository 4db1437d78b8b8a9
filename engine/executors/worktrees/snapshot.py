"""Stores the content of a working tree in git's object database, without touching the user's index and branches.

Effects: reads files, writes objects, and an index of our own. Ignored files are left out, and so are repositories
inside the tree, which are not part of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.executors.worktrees.git import Git
from engine.statefolder.links import STATE, Place, state_of

PLACE = Path(".claude/worktrees")
"""The folder of worktrees: the only one below `.claude` where Claude Code lets its agents edit."""
OURS = (str(STATE), str(PLACE))
"""Folders of the engine in a project, which are not part of its files."""
_GITLINK = b"160000"


def notes_of(project: Path) -> Place:
    """The folder of notes about worktrees of *project*, a subfolder each."""
    return state_of(project).inside("worktrees")


def trees_of(project: Path) -> Place:
    """The folder of worktrees of *project*: beside the state folder if that is not in `.claude`."""
    state = state_of(project)
    return Place(state.root, PLACE) if state.below == STATE else state.inside("trees")


async def project_tree(git: Git, index: Path) -> str:
    """The tree object of the project's current working tree; *index* is a file of our own for it.

    Outside the project root, if that is a folder of a larger repository, only tracked files count.
    """
    assert git.directory is not None  # noqa: S101 -- a repository that was found has one
    _copy_index(git.directory / "index", index)
    if git.prefix:
        await git.run("add", "--update", "--sparse", "--", ":/", index=index)
    skipped = await repositories_inside(git, git.top, index, git.prefix)
    skipped += [os.fsencode(f"{git.prefix}{place}") for place in OURS]
    return await _add(git, git.top, index, [os.fsencode(f":(top,literal){git.prefix}"), *_but(skipped)])


async def worktree_tree(git: Git, tree: Path, index: Path, *, without: Iterable[bytes] = ()) -> str:
    """The tree object of the worktree *tree*, whose index before the agent's work is *index*.

    The agent's own index, HEAD and `.git` do not count, whatever it did to them; nor do the paths *without*, which were
    brought into the worktree and do not belong to the project's files.
    """
    added = await _add(git, tree, index, [b":/", *_but(await repositories_inside(git, tree, index, ""))])
    paths = b"".join(b":(top,literal)" + path + b"\0" for path in without)
    if not paths:
        return added
    words = ("--cached", "-r", "--force", "--quiet", "--sparse", "--ignore-unmatch")
    await git.run(*("rm", *words, "--pathspec-from-file=-", "--pathspec-file-nul"), stdin=paths, tree=tree, index=index)
    return await git.line("write-tree", index=index)


async def repositories_inside(git: Git, tree: Path, index: Path, prefix: str) -> list[bytes]:
    """Folders below *prefix* of *tree* that are git repositories of their own, but not submodules."""
    scope = f":(top,literal){prefix}"
    listed = await git.run("ls-files", "-z", "--others", "--exclude-standard", "--", scope, tree=tree, index=index)
    return [name[:-1] for name in listed.stdout.split(b"\0") if name.endswith(b"/")]


async def submodules_in_use(git: Git, tree: Path, index: Path) -> list[bytes]:
    """Submodules of *tree* whose folder is not empty: its content belongs to another repository."""
    listed = await git.run("ls-files", "-z", "--stage", tree=tree, index=index)
    entries = (record.partition(b"\t") for record in listed.stdout.split(b"\0"))
    links = [path for meta, _, path in entries if meta.startswith(_GITLINK)]
    return [path for path in links if _has_something(tree / os.fsdecode(path))]


async def commit(git: Git, tree: str, parents: Sequence[str], message: str) -> str:
    """A commit of *tree* outside all branches."""
    given = [word for parent in parents for word in ("-p", parent)]
    return await git.line("commit-tree", "--no-gpg-sign", *given, "-m", message, tree)


async def head_of(git: Git) -> str | None:
    """The commit that HEAD names; None if there is none yet."""
    found = await git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", accept=(0, 1))
    return os.fsdecode(found.stdout.strip()) or None


async def _add(git: Git, tree: Path, index: Path, paths: Iterable[bytes]) -> str:
    await git.run(
        *("add", "--all", "--sparse", "--pathspec-from-file=-", "--pathspec-file-nul"),
        stdin=b"".join(path + b"\0" for path in paths),
        tree=tree,
        index=index,
    )
    return await git.line("write-tree", index=index)


def _but(paths: Iterable[bytes]) -> list[bytes]:
    """Pathspecs that leave *paths* out, files or folders.

    They are patterns: git refuses to add anything if a literal exclusion names an ignored file.
    """
    patterns = [b":(top,exclude,glob)\\" + _escaped(path) for path in paths]
    return [pattern + end for pattern in patterns for end in (b"", b"/**")]


def _escaped(path: bytes) -> bytes:
    """*path* as a pattern after a backslash, so without one at its start."""
    return re.sub(rb"(?<!^)[*?\[\\]", rb"\\\g<0>", path)


def _copy_index(source: Path, index: Path) -> None:
    """Start from git's own index, so that only files that changed since are read.

    The copy keeps the original's time: git assumes that a file as recent as the index may have changed.
    """
    index.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # no file was ever added
        shutil.copy2(source, index)


def _has_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
