"""The folder that holds the state of a project: the project itself, or for a linked git worktree the main one.

Effects: reads a few small files of the repository; starts no git. Removing a worktree removes everything in it, which
its runs should survive.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from engine.errors import StateError
from engine.statefolder.links import Place, state_of
from engine.statefolder.regular_files import open_regular

_LONGEST = 8192
_BARE = re.compile(r"^\s*bare\s*(=\s*(true|yes|on|1)\s*)?$", re.IGNORECASE | re.MULTILINE)


class Location(msgspec.Struct, frozen=True):
    """The location of a project's state."""

    project: Path
    """Resolved."""
    root: Path
    """The folder with the state folder."""

    @property
    def worktree(self) -> str:
        """The project, if its state is elsewhere; else empty."""
        return "" if self.root == self.project else str(self.project)

    def folder_of(self, worktree: str) -> Path:
        """The project of the runs of *worktree*, whose journal is here."""
        return Path(worktree) if worktree else self.root

    def check(self, run: str, worktree: str) -> None:
        """Raise `StateError` (OTHER_WORKTREE) if *run* belongs to another worktree, whose files its agents changed."""
        if worktree != self.worktree:
            folder = self.folder_of(worktree)
            there = f"Resume it there: `orchestrate --project {folder} resume {run}`."
            raise StateError(
                f"run {run} belongs to the worktree {folder}",
                code="OTHER_WORKTREE",
                hint=there if folder.is_dir() else "That worktree is gone; run the command again.",
            )

    @property
    def state(self) -> Place:
        """The place of the state folder."""
        return state_of(self.root)


def locate(project: Path) -> Location:
    """The location of the state of *project*.

    That is the main worktree, or the common git directory of a bare repository, only if the repository's own record
    of its worktrees leads back to *project*, and both belong entirely to this user.
    """
    project = project.resolve()
    top = next((folder for folder in (project, *project.parents) if os.path.lexists(folder / ".git")), None)
    common = None if top is None else _common_directory(top)
    if top is None or common is None:
        return Location(project, project)
    if common.name != ".git" or _is_bare(common):
        return Location(project, common)
    main = common.parent
    same = main / project.relative_to(top)
    return Location(project, same if same.is_dir() else main)


def has_journal(project: Path) -> bool:
    """Whether *project* has a journal, or anything else in its place."""
    return os.path.lexists(locate(project).state.journal)


def _common_directory(top: Path) -> Path | None:
    """The git directory of the repository that *top* is a linked worktree of; None if that is not certain."""
    link = _text(top / ".git")
    if link is None or not link.startswith("gitdir:"):
        return None
    own = Path(os.path.realpath(top / link.removeprefix("gitdir:").strip()))  # unlike `resolve`, it takes any link
    common = own.parents[1] if own.parent.name == "worktrees" else None
    back = _text(own / "gitdir")
    if common is None or back is None or os.path.realpath(own / back) != str(top / ".git"):
        return None
    main = common.parent if common.name == ".git" else common
    return common if all(map(_is_ours, (top, top / ".git", own, own / "gitdir", common, main))) else None


def _is_bare(common: Path) -> bool:
    return any(_BARE.search(_text(common / name) or "") for name in ("config", "config.worktree"))


def _text(path: Path) -> str | None:
    """The text of a small regular file; None if it is missing or a link."""
    try:
        with os.fdopen(open_regular(path, os.O_NOFOLLOW), "rb") as file:
            text = os.fsdecode(file.read(_LONGEST)).strip()
            return None if "\0" in text else text
    except OSError:
        return None


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid()
    except OSError:
        return False
