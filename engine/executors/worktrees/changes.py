"""The differences between two trees, applied to a working tree completely or not at all.

Effects: reads objects, moves files into the project's working tree and out of it. No one's index is touched. New files
are prepared in a staging folder and moved into place one by one, so a file is always the old or the new one, and a
partial change can be undone after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from engine.errors import OrchestrationError
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.git import Git
from engine.paths import path_problem
from engine.text.cut import some

_NAMED = 5
_RULES = b".gitattributes"
_SUBMODULE = "160000"
_PROGRAM = "100755"
_REGULAR = frozenset({"100644", _PROGRAM})
_MODES = _REGULAR | {"120000", _SUBMODULE}


class Entry(msgspec.Struct, frozen=True):
    """A file in a tree: its mode as git writes it, and the name of its content."""

    mode: str
    content: str


class Change(msgspec.Struct, frozen=True):
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
    """A path that differs but must not be touched, since it does not belong to the project's files."""

    code = "MERGE_REFUSED"


class ChangedMeanwhile(Exception):
    """Files have changed since the change was computed; `paths` names them."""

    def __init__(self, paths: Sequence[bytes]) -> None:
        """Nothing was written."""
        super().__init__("files changed in the meantime")
        self.paths = paths


class NotUndone(Exception):
    """Some changes are made, others are not, and they could not be undone because of *why*."""

    def __init__(self, why: Exception) -> None:
        """*why* is the last error."""
        super().__init__(str(why))
        self.why = why


async def changes_between(git: Git, old: str, new: str, *, foreign: Collection[bytes] = ()) -> list[Change]:
    """The paths in which the trees *old* and *new* differ; a rename is a path that goes and one that comes.

    Raises `ForeignPath` if one of them does not belong to the project, or lies in one of the *foreign* folders.
    """
    changes = await _differences(git, old, new)
    refuse_foreign(changes, below=os.fsencode(git.prefix), foreign=foreign)
    return changes


async def only_touched(git: Git, index: Path, old: str, new: str, *, staging: Path) -> str:
    """The tree *new*, of *index*, without changes from *old* in files that are as they were checked out.

    Git reads a file again if it is as young as the index, and may then store it otherwise than it is stored.
    """
    edited = [
        change.reversed
        for change in await _differences(git, old, new)
        if change.old is not None and change.new is not None and change.old.mode == change.new.mode
    ]
    untouched = await _as_checked_out(git, edited, staging)
    if not untouched:
        return new
    await _put(git, [change for change in edited if change.path in untouched], index)
    return await git.line("write-tree", index=index)


def refuse_foreign(changes: Sequence[Change], *, below: bytes, foreign: Collection[bytes] = ()) -> None:
    """Raise `ForeignPath` if one of *changes* is outside the project, which lies *below* the top."""
    problems = {change.path: path_problem(change.path, below=below, but=foreign) for change in changes}
    new = {change.path for change in changes if change.new is not None}
    problems |= {path: "is inside a file" for path in new if any(folder in new for folder in _folders(path))}
    odd = [change.path for change in changes if change.new is not None and change.new.mode not in _MODES]
    problems |= dict.fromkeys(odd, "is neither a file nor a link")
    refused = sorted(path for path, problem in problems.items() if problem)
    if refused:
        raise ForeignPath(
            f"it changed paths that do not belong to the project: {names(refused)} ({problems[refused[0]]})",
            hint="Only the project's own files are merged back, not those of git or the engine.",
        )
    submodules = [change.path for change in changes if change.is_submodule]
    if submodules:
        raise ForeignPath(
            f"it changed nested repositories: {names(submodules)}",
            hint="Let an agent without `isolation` work on submodules.",
        )


def names(paths: Sequence[bytes]) -> str:
    """A few of *paths* for a message, on one line."""
    told = [
        "".join(c if c.isprintable() else "?" for c in path.decode("utf-8", "replace")) for path in sorted(set(paths))
    ]
    return some(told, _NAMED)


async def apply(git: Git, changes: Sequence[Change], *, staging: Path) -> None:
    """Apply *changes* to the project's working tree; *staging* is a folder of our own for it.

    Raises `ChangedMeanwhile` if a file does not have its old content, `IsolationUnavailable` or OSError if one cannot
    be written; the tree is then restored, also after a cancellation. Raises `NotUndone` if it cannot be restored.
    """
    await _stage(git, changes, staging)
    # The files themselves are read: an index can be set to assume that a file is unchanged.
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
    """Revert those of *changes* that were made; files that were changed again since stay as they are."""
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


async def _differences(git: Git, old: str, new: str) -> list[Change]:
    listed = await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none", old, new)
    fields = listed.stdout.split(b"\0")
    return [_change(meta.decode("ascii"), path) for meta, path in zip(fields[::2], fields[1::2], strict=False)]


def _change(meta: str, path: bytes) -> Change:
    old_mode, new_mode, old, new, _status = meta.removeprefix(":").split(" ")
    return Change(path, _entry(old_mode, old), _entry(new_mode, new))


def _entry(mode: str, content: str) -> Entry | None:
    return None if mode == "000000" else Entry(mode, content)


async def _stage(git: Git, changes: Iterable[Change], staging: Path) -> None:
    """Write the new files of *changes* to `files` in *staging*, as a checkout would."""
    index = await _index_of(git, changes, staging)
    if index is not None:
        rules = await asyncio.to_thread(_rules_for, git.top, changes, staging / "rules")
        await git.run("checkout-index", "--all", "--quiet", f"--prefix={staging}/files/", tree=rules, index=index)


def _rules_for(top: Path, changes: Iterable[Change], folder: Path) -> Path:
    """The working tree in which git finds the attributes of the new files: *top*, or *folder* if they change as well.

    *folder* then has only those that stay as they are: git looks into the index for the others.
    """
    own = {change.path for change in changes}
    if not any(os.path.basename(path) == _RULES for path in own):
        return top
    folder.mkdir()
    for place in {os.path.join(parent, _RULES) for path in own for parent in (*_folders(path), b"")} - own:
        source, target = _at(os.fsencode(top), place), _at(os.fsencode(folder), place)
        if _bar(os.fsencode(top), place) is None and _is_file(source):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
    return folder


async def _made(git: Git, changes: Sequence[Change], staging: Path) -> set[bytes]:
    """The paths of *changes* that already have their new content in the working tree."""
    index = await _index_of(git, changes, staging)
    different: set[bytes] = set()
    if index is not None:
        await git.run("update-index", "-q", "--really-refresh", index=index, accept=(0, 1))
        different = set((await git.run("diff-files", "-z", "--name-only", index=index)).stdout.split(b"\0"))
        different -= await _as_checked_out(git, [change for change in changes if change.path in different], staging)
    return {change.path for change in changes if change.path not in different and not _is_left(git, change)}


async def _as_checked_out(git: Git, changes: Sequence[Change], staging: Path) -> set[bytes]:
    """The paths of *changes* whose file is, byte for byte, what a checkout of its new content writes.

    Git compares what it would store of the file, which may differ: files are committed before there is a rule about
    their line ends, and a filter may encrypt differently each time.
    """
    if not changes:
        return set()
    await _stage(git, changes, staging)
    top, ready = os.fsencode(git.top), os.fsencode(staging / "files")
    return await asyncio.to_thread(lambda: {change.path for change in changes if _are_equal(top, ready, change.path)})


def _are_equal(top: bytes, ready: bytes, path: bytes) -> bool:
    one, other = _at(top, path), _at(ready, path)
    if _bar(top, path) is not None or not (_is_file(one) and _is_file(other)):
        return False
    programs = [bool(os.lstat(file).st_mode & stat.S_IXUSR) for file in (one, other)]
    return programs[0] == programs[1] and filecmp.cmp(one, other, shallow=False)


def _is_left(git: Git, change: Change) -> bool:
    """Whether a file that should be gone still exists; a folder may have taken its place."""
    place = _at(os.fsencode(git.top), change.path)
    return change.new is None and os.path.lexists(place) and not _is_folder(place)


async def _index_of(git: Git, changes: Iterable[Change], staging: Path) -> Path | None:
    """An index that holds the new side of *changes*, the only content of *staging*; None if all of them go."""
    index = await asyncio.to_thread(_emptied, staging) / "index"
    new = [change for change in changes if change.new is not None]
    if not new:
        return None
    await _put(git, new, index)
    return index


async def _put(git: Git, changes: Iterable[Change], index: Path) -> None:
    """Put the new side of *changes* into *index*; none of them goes."""
    lines = [f"{change.new.mode} {change.new.content}\t".encode() + change.path for change in changes if change.new]
    await git.run("update-index", "-z", "--index-info", stdin=b"".join(line + b"\0" for line in lines), index=index)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def _blocked(top: bytes, changes: Sequence[Change]) -> Iterator[bytes]:
    """Paths of *changes* that something other than an old file occupies or blocks."""
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
    """The first parent of *path* that exists and is not a folder; a link never counts as one."""
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
                raise NotADirectoryError(errno.ENOTDIR, "it blocks the path of a file and is not a folder", bar)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _keep_permissions(source, target, change)
            os.replace(source, target)


def _remove_empty_folders(top: bytes, change: Change) -> None:
    if _bar(top, change.path) is not None:
        return  # the target of a link does not belong to us
    for folder in _folders(change.path):
        with contextlib.suppress(OSError):  # it is not empty
            os.rmdir(_at(top, folder))


def _keep_permissions(source: bytes, target: bytes, change: Change) -> None:
    """Keep a file private that only its owner may read: git stores only whether a file is executable.

    Not even that where it does not look at modes (`core.fileMode`), so what did not change stays as it is.
    """
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return
    if change.new is not None and change.new.mode in _REGULAR and stat.S_ISREG(found.st_mode):
        permissions = stat.S_IMODE(found.st_mode) & 0o777
        if change.old is None or change.old.mode != change.new.mode:
            permissions &= 0o666
            if change.new.mode == _PROGRAM:
                permissions |= (permissions & 0o444) >> 2
        os.chmod(source, permissions)


def _folders(path: bytes) -> Iterator[bytes]:
    """The folders that *path* lies in, the innermost first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _is_file(path: bytes) -> bool:
    return os.path.isfile(path) and not os.path.islink(path)


def _is_folder(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _at(folder: bytes, path: bytes) -> bytes:
    return os.path.join(folder, path)
