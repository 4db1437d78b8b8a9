"""What differs between two trees, written into a working tree wholly or not at all.

Effects: reads objects, moves files into the project's working tree and out of it. Nobody's index is touched. New files
are made ready on the side and moved into place one by one, so a file is always the old one or the new one, and what was
begun can be undone after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import OrchestrationError
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.git import Git
from engine.paths import path_problem
from engine.text.cut import some

_NAMED = 5
_SUBMODULE = "160000"
_PROGRAM = "100755"
_REGULAR = frozenset({"100644", _PROGRAM})


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a tree: its mode as git writes it, and the name of its content."""

    mode: str
    content: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs, relative to the top of the working tree."""

    path: bytes
    old: Entry | None
    new: Entry | None

    @property
    def is_submodule(self) -> bool:
        """Whether the path is, or was, a repository of its own."""
        return any(entry is not None and entry.mode == _SUBMODULE for entry in (self.old, self.new))

    @property
    def reversed(self) -> Change:
        """The change back."""
        return Change(self.path, self.new, self.old)


class ForeignPath(OrchestrationError):
    """A path that two trees differ in, and that is not to be touched: it does not belong to the project's files."""

    code = "MERGE_REFUSED"


class ChangedMeanwhile(Exception):
    """Files are not as they were when the change was computed; `paths` names them."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        """Nothing was written."""
        super().__init__("files changed meanwhile")
        self.paths = paths


class NotUndone(Exception):
    """Some changes are made, others are not, and *why* says what keeps them from being taken back."""

    def __init__(self, why: Exception) -> None:
        """*why* is what went wrong last."""
        super().__init__(str(why))
        self.why = why


async def changes_between(git: Git, old: str, new: str, *, foreign: Collection[bytes] = ()) -> list[Change]:
    """The paths in which the trees *old* and *new* differ; a rename is a path that goes and one that comes.

    Raises `ForeignPath` where one of them is not the project's to change, or lies in one of the *foreign* folders.
    """
    listed = await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none", old, new)
    fields = listed.stdout.split(b"\0")
    changes = [_change(meta.decode("ascii"), path) for meta, path in zip(fields[::2], fields[1::2], strict=False)]
    refuse_foreign(changes, below=os.fsencode(git.prefix), foreign=foreign)
    return changes


def refuse_foreign(changes: Sequence[Change], *, below: bytes, foreign: Collection[bytes] = ()) -> None:
    """Raise `ForeignPath` where one of *changes* is not the project's to make, which lies *below* the top."""
    problems = {change.path: path_problem(change.path, below=below, but=foreign) for change in changes}
    new = {change.path for change in changes if change.new is not None}
    problems |= {path: "lies in a file" for path in new if any(folder in new for folder in _folders(path))}
    refused = sorted(path for path, problem in problems.items() if problem)
    if refused:
        raise ForeignPath(
            f"it changed what does not belong to the project: {names(refused)} ({problems[refused[0]]})",
            hint="Only files of the project are merged back, none of git's or the engine's.",
        )
    submodules = [change.path for change in changes if change.is_submodule]
    if submodules:
        raise ForeignPath(
            f"it changed what is a repository of its own: {names(submodules)}",
            hint="Let an agent without `isolation` work on submodules.",
        )


def names(paths: Sequence[bytes]) -> str:
    """Some of *paths* for a message, on one line."""
    told = [
        "".join(c if c.isprintable() else "?" for c in path.decode("utf-8", "replace")) for path in sorted(set(paths))
    ]
    return some(told, _NAMED)


async def apply(git: Git, changes: Sequence[Change], *, staging: Path) -> None:
    """Make *changes* in the project's working tree; *staging* is a folder of our own for it.

    Raises `ChangedMeanwhile` where a file is not what it is to be changed from, `IsolationUnavailable` or OSError where
    it cannot be written; the tree is as it was then, as it is where this is cancelled. Raises `NotUndone` where not.
    """
    await _stage(git, changes, staging)
    # The files themselves are read: an index may be told to take a file as unchanged.
    former = [change.reversed for change in changes if change.old is not None]
    touched = {change.path for change in former} - await _made(git, former, staging / "former")
    top = os.fsencode(git.top)
    blocked = await asyncio.to_thread(lambda: sorted(touched | set(_blocked(top, changes))))
    if blocked:
        raise ChangedMeanwhile(blocked)
    try:
        await uncancelled(asyncio.to_thread(_move, top, changes, os.fsencode(staging / "files")))
    except (OSError, asyncio.CancelledError):
        try:
            await uncancelled(undo(git, changes, staging=staging))
        except (OSError, OrchestrationError) as error:
            raise NotUndone(error) from error
        raise


async def undo(git: Git, changes: Sequence[Change], *, staging: Path) -> None:
    """Take back those of *changes* that were made; a file that somebody has changed since stays as it is."""
    made = await _made(git, changes, staging / "made")
    back = [change.reversed for change in changes if change.path in made]
    top = os.fsencode(git.top)
    for change in changes:
        if change.old is None:
            _remove_empty_folders(top, change)
    blocked = set(_blocked(top, back))
    back = [change for change in back if change.path not in blocked]
    await _stage(git, back, staging)
    await asyncio.to_thread(_move, top, back, os.fsencode(staging / "files"))


def _change(meta: str, path: bytes) -> Change:
    old_mode, new_mode, old, new, _status = meta.removeprefix(":").split(" ")
    return Change(path, _entry(old_mode, old), _entry(new_mode, new))


def _entry(mode: str, content: str) -> Entry | None:
    return None if mode == "000000" else Entry(mode, content)


async def _stage(git: Git, changes: Iterable[Change], staging: Path) -> None:
    """Write the new files of *changes* below `files` of *staging*, as a checkout would."""
    index = await _index_of(git, changes, staging)
    await git.run("checkout-index", "--all", "--quiet", f"--prefix={staging}/files/", index=index)


async def _made(git: Git, changes: Sequence[Change], staging: Path) -> set[bytes]:
    """The paths of *changes* that are in the working tree as they should become."""
    index = await _index_of(git, changes, staging)
    await git.run("update-index", "-q", "--really-refresh", index=index, accept=(0, 1))
    listed = await git.run("diff-files", "-z", "--name-only", index=index)
    different = set(listed.stdout.split(b"\0"))
    return {change.path for change in changes if change.path not in different and not _is_left(git, change)}


def _is_left(git: Git, change: Change) -> bool:
    """Whether a file is there that should have gone; a folder may have come in its place."""
    place = _at(os.fsencode(git.top), change.path)
    return change.new is None and os.path.lexists(place) and not _is_folder(place)


async def _index_of(git: Git, changes: Iterable[Change], staging: Path) -> Path:
    """An index that holds the new side of *changes*, in *staging*, which holds nothing else then."""
    index = await asyncio.to_thread(_emptied, staging) / "index"
    lines = [
        f"{change.new.mode} {change.new.content}\t".encode() + change.path
        for change in changes
        if change.new is not None
    ]
    await git.run("update-index", "-z", "--index-info", stdin=b"".join(line + b"\0" for line in lines), index=index)
    return index


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _blocked(top: bytes, changes: Sequence[Change]) -> Iterator[bytes]:
    """Paths of *changes* in whose place, or on whose way, something is that is no file of the old side."""
    going = {change.path for change in changes if change.new is None}
    emptied = {folder for path in going for folder in _folders(path)}
    for change in changes:
        if change.new is None:
            continue
        bar = _bar(top, change.path)
        if bar is not None:
            free = bar in going
        else:
            free = change.old is not None or change.path in emptied or not os.path.lexists(_at(top, change.path))
        if not free:
            yield change.path


def _bar(top: bytes, path: bytes) -> bytes | None:
    """What of the folders that *path* lies in is there and is no folder: a link is none, wherever it leads."""
    for folder in reversed([*_folders(path)]):
        place = _at(top, folder)
        if not os.path.lexists(place):
            return None
        if not _is_folder(place):
            return folder
    return None


def _move(top: bytes, changes: Sequence[Change], ready: bytes) -> None:
    for change in changes:
        if change.new is None and _bar(top, change.path) is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_at(top, change.path))
            _remove_empty_folders(top, change)
    for change in changes:
        if change.new is not None:
            source, target = _at(ready, change.path), _at(top, change.path)
            bar = _bar(top, change.path)
            if bar is not None:
                raise NotADirectoryError(errno.ENOTDIR, "it is on the way of a file and is not a folder", bar)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _keep_permissions(source, target, change.new)
            os.replace(source, target)


def _remove_empty_folders(top: bytes, change: Change) -> None:
    if _bar(top, change.path) is not None:
        return  # what is behind a link is another's
    for folder in _folders(change.path):
        with contextlib.suppress(OSError):  # something else is in it
            os.rmdir(_at(top, folder))


def _keep_permissions(source: bytes, target: bytes, new: Entry) -> None:
    """Let a file that only its owner may read stay so: git knows of permissions whether a file is a program."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return
    if new.mode in _REGULAR and stat.S_ISREG(found.st_mode):
        permissions = stat.S_IMODE(found.st_mode) & 0o666
        if new.mode == _PROGRAM:
            permissions |= (permissions & 0o444) >> 2
        os.chmod(source, permissions)


def _folders(path: bytes) -> Iterator[bytes]:
    """The folders that *path* lies in, the innermost first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _is_folder(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _at(folder: bytes, path: bytes) -> bytes:
    return os.path.join(folder, path)
