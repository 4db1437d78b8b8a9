"""Copies ignored files that an agent needs into its worktree, as Claude Code does for its own worktrees.

Effects: copies files and makes links in a worktree. `.worktreeinclude`, at the top of the repository, names files in
the syntax of a `.gitignore`: those that git ignores are copied. The setting `worktree.symlinkDirectories` of Claude
Code names folders to link instead. None of these files are the agent's work, so they are never merged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from engine.errors import EnvironmentFault
from engine.executors.claude.settings import FILES, read_file
from engine.executors.worktrees.git import Git
from engine.executors.worktrees.snapshot import OURS
from engine.paths import path_problem

INCLUDE = ".worktreeinclude"


class Brought(msgspec.Struct, frozen=True):
    """Paths from the top of the repository, and of the worktree."""

    links: tuple[bytes, ...] = ()
    copies: tuple[bytes, ...] = ()

    def __iter__(self) -> Iterator[bytes]:
        """All of them."""
        yield from self.links
        yield from self.copies


async def to_bring(git: Git, links: Iterable[str]) -> Brought:
    """The ignored files for a new worktree: the existing ones of *links*, names from the top, and the included ones.

    Raises `IsolationUnavailable` if git fails.
    """
    wanted = await asyncio.to_thread(lambda: tuple(_linked(git, links)))
    return Brought(wanted, tuple(await _included(git)))


def bring(source: Path, target: Path, brought: Brought) -> None:
    """Copy or link *brought* from the folder *source* to *target*; existing files stay as they are.

    Raises OSError, for example if the disk is full.
    """
    for path in brought.links:
        place = _place(target, path)
        if place is not None and place.parent.is_dir():
            place.symlink_to(_at(source, path))
    for path in brought.copies:
        place = _place(target, path)
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError, PermissionError):  # it is gone, or we may not read it either
                shutil.copy2(_at(source, path), place, follow_symlinks=False)


def links_of(project: Path, *, whole: bool) -> list[str]:
    """The names in `worktree.symlinkDirectories` of the user's own settings of Claude Code.

    And those of *project*, if its settings are accepted as a *whole*: through a link, an agent writes outside its
    worktree, bypassing the merge.
    """
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    user = Path(configured) if configured else Path.home() / ".claude"
    own = [project / ".claude" / name for name in FILES] if whole else []
    names: dict[str, None] = {}
    for file in (user / FILES[0], *own):
        with contextlib.suppress(EnvironmentFault):  # runs of model agents report it
            match read_file(file):
                case {"worktree": {"symlinkDirectories": list(given)}}:
                    names |= dict.fromkeys(name for name in given if isinstance(name, str))
                case _:
                    pass
    return list(names)


def _linked(git: Git, names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        path = os.fsencode(posixpath.normpath(name)) if name and "\0" not in name else b""
        if _may_be_brought(git, path) and os.path.lexists(_at(git.top, path)):
            yield path


async def _included(git: Git) -> list[bytes]:
    """The files that git ignores and `.worktreeinclude` names; no links."""
    include = git.top / INCLUDE
    if not await asyncio.to_thread(_is_file, include):
        return []
    named = await git.run("ls-files", "-z", "--others", "--ignored", f"--exclude-from={include}")
    if not named.stdout:
        return []
    ignored = await git.run("check-ignore", "-z", "--stdin", stdin=named.stdout, accept=(0, 1))
    paths = [path for path in ignored.stdout.split(b"\0") if _may_be_brought(git, path)]
    return await asyncio.to_thread(lambda: [path for path in paths if _is_file(_at(git.top, path))])


def _may_be_brought(git: Git, path: bytes) -> bool:
    """Whether a worktree may get *path*: nothing of git's or the engine's, nor a folder around these."""
    ours = [os.fsencode(f"{git.prefix}{place}") for place in OURS]
    return path_problem(path, but=ours) is None and not any(place.startswith(path + b"/") for place in ours)


def _place(target: Path, path: bytes) -> Path | None:
    """The place of *path* in *target*; None if something is there, or a link is in its path."""
    place = target
    for part in path.split(b"/"):
        if place.is_symlink():
            return None
        place /= os.fsdecode(part)
    return None if os.path.lexists(place) else place


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _at(folder: Path, path: bytes) -> Path:
    return folder / os.fsdecode(path)
