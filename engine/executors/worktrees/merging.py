"""Merges the changes of isolated agents into the project's working tree, one at a time.

Effects: takes a lock of the operating system, which ends with its holder; writes the project's files. A merge that was
half written by a killed process is undone by the next holder of the lock.

Theory of operation
===================

**The problem.** Several agents, perhaps of several servers, finish at any time, while a person edits the same working
tree. Each merge must be applied completely or not at all, must not overwrite anyone's edits, must not touch the index
or branches of the user, and must survive a kill at any point.

**Three trees.** *base* is the commit that the agent began with, *theirs* holds its changes, and *ours* is a snapshot of
the working tree at this moment. Git merges the three in its database, without a working tree; only the difference
between *ours* and the result is written. A conflict is found before any file is touched.

**One at a time.** `alone` holds a file lock of the project from the snapshot to the last file, so merges see each
other's results. People do not take the lock. `apply` therefore compares the files with *ours* once more when the new
ones are ready, right before it moves them into place. If one differs, nothing is moved and the merge starts again with
a new snapshot, at most `_TRIES` times, and is then reported as a conflict.

**Crashes.** Before the first file is moved, the intent (the two trees) is written beside the worktree's notes. After
the last one, the intent is renamed to `merged.json`. That rename is the commit point: an intent that is found under the
lock belongs to a killed process, and its changes are reverted (`_heal`); `merged.json` means that the work is in the
project, and the outcome beside it counts as the attempt's result (`outbox.py`) instead of doing the work again.

**Invariant.** Under the lock, no intent exists in the project except the holder's own. If one cannot be reverted, as on
a full disk, `alone` raises: nothing is merged on top of half a merge.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from engine.errors import OrchestrationError
from engine.executors.folders import folders_in
from engine.executors.worktrees.changes import (
    Change,
    ChangedMeanwhile,
    ForeignPath,
    NotUndone,
    apply,
    changes_between,
    names,
    only_touched,
    undo,
)
from engine.executors.worktrees.git import Git, IsolationUnavailable, is_object
from engine.executors.worktrees.snapshot import OURS, commit, notes_of, project_tree
from engine.statefolder.links import make_below
from engine.statefolder.regular_files import read_regular

_INTENT = "merging.json"
MERGED = "merged.json"
"""Marks work that is in the project: the renamed intent of its merge."""
_PAUSE = 0.02
_TRIES = 5
"""How often a merge starts again because a file that it is about to write was changed."""

log = logging.getLogger(__name__)


class Commit(msgspec.Struct, frozen=True):
    """A commit outside all branches, and its tree."""

    id: str
    tree: str


class NotMerged(OrchestrationError):
    """An agent's changes were not merged; the project's working tree is unchanged."""


@contextlib.asynccontextmanager
async def alone(git: Git, project: Path, beat: Callable[[], object]) -> AsyncIterator[None]:
    """Exclusive access, among all processes, to the whole working tree of *project*.

    Raises `IsolationUnavailable` if it holds half a merge that cannot be undone.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - for isolated agents only

    folder = await asyncio.to_thread(make_below, *notes_of(project))
    lock = FileLock(folder / "lock", timeout=0, mode=0o600)
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            beat()
            await asyncio.sleep(_PAUSE)
    try:
        await _heal(git, project)
        yield
    finally:
        lock.release()


async def merge(git: Git, project: Path, *, base: Commit, theirs: Commit, state: Path) -> None:
    """Merge *theirs*, made on *base*, into the working tree of *project*; to be called inside `alone`.

    Raises `NotMerged`, or `IsolationUnavailable` if git fails; the working tree is then unchanged, or will be restored
    as soon as there is disk space for that.
    """
    foreign = _foreign(git)
    made = await changes_between(git, base.tree, theirs.tree, foreign=foreign)
    paths: Sequence[bytes] = ()
    for _ in range(_TRIES):
        ours = await project_tree(git, index_of(project))
        if ours != base.tree:
            ours = await only_touched(git, index_of(project), base.tree, ours, staging=state / "staging")
        merged, changes = theirs.tree, made
        if ours != base.tree:
            now = await commit(git, ours, [base.id], "The project at the time of the merge")
            merged = await _merged(git, now, theirs.id)
            changes = await changes_between(git, ours, merged, foreign=foreign)
        try:
            await _write(git, changes, state=state, trees=(ours, merged))
        except ChangedMeanwhile as error:
            paths = error.paths
        except OSError as error:
            raise NotMerged(
                f"it cannot be written into the working tree: {error}",
                code="MERGE_REFUSED",
                hint="Check the permissions of the file and its folder.",
            ) from error
        else:
            return
    raise _conflict(git, paths)


async def project_commit(git: Git, project: Path, parents: Sequence[str], message: str) -> Commit:
    """A commit of the current working tree of *project*; to be called inside `alone`."""
    tree = await project_tree(git, index_of(project))
    return Commit(await commit(git, tree, parents, message), tree)


def index_of(project: Path) -> Path:
    """The index in which `project_commit` leaves the files of *project*."""
    return notes_of(project).folder / "project.index"


async def _merged(git: Git, ours: str, theirs: str) -> str:
    """The merged tree of two commits with a common base."""
    words = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs)
    found = await git.run(*words, accept=(0, 1))
    tree, *paths = found.stdout.split(b"\0")
    if found.returncode:
        raise _conflict(git, [path for path in paths if path])
    return tree.decode("ascii")


async def _write(git: Git, changes: Sequence[Change], *, state: Path, trees: tuple[str, str]) -> None:
    """Apply *changes*, the difference between the two *trees*, under an intent that survives a crash.

    The last step marks them as merged; until then, the next holder of the lock reverts them.
    """
    intent = state / _INTENT
    intent.write_text(json.dumps(trees), encoding="ascii")
    try:
        await apply(git, changes, staging=state / "staging")
    except NotUndone as error:
        raise _half(intent, error.why) from error
    except BaseException:
        intent.unlink(missing_ok=True)
        raise
    intent.replace(state / MERGED)


async def _heal(git: Git, project: Path) -> None:
    """Revert the partial merges of killed processes.

    Raises `IsolationUnavailable` if that fails, as on a full disk: nothing is merged on top of half a merge, and the
    next holder of the lock tries again.
    """
    for intent in _intents(project):
        try:
            old, new = _trees(intent)
        except (OSError, ValueError) as error:
            log.warning("the note about a merge in %s cannot be read: %s", intent, error)
            intent.unlink(missing_ok=True)
            continue
        try:
            changes = await changes_between(git, old, new, foreign=_foreign(git))
            await undo(git, changes, staging=intent.parent / "staging")
        except ForeignPath as error:  # we never start such a merge, so nothing of it was done
            log.warning("the note about a merge in %s is not one of ours: %s", intent, error)
        except (OSError, OrchestrationError) as error:
            raise _half(intent, error) from error
        intent.unlink(missing_ok=True)


def is_half(state: Path) -> bool:
    """Whether the merge of the worktree of *state* was interrupted and is not reverted yet."""
    return (state / _INTENT).exists()


def _half(intent: Path, error: Exception) -> IsolationUnavailable:
    why = error.message if isinstance(error, OrchestrationError) else str(error)
    return IsolationUnavailable(
        f"an interrupted merge cannot be undone: {why}",
        hint=f"Free some disk space and try again, or correct the files yourself and remove {intent}.",
    )


def _intents(project: Path) -> list[Path]:
    places = [folder / _INTENT for folder in folders_in(*notes_of(project))]
    return [place for place in places if place.exists()]


def _trees(intent: Path) -> tuple[str, str]:
    """The trees that *intent* names. Raises ValueError."""
    match json.loads(read_regular(intent)):
        case [old, new] if is_object(old) and is_object(new):
            return old, new
    raise ValueError("it does not name two trees")


def _foreign(git: Git) -> list[bytes]:
    """The folders of the engine in the project, relative to the top."""
    return [os.fsencode(f"{git.prefix}{place}") for place in OURS]


def _conflict(git: Git, paths: Sequence[bytes]) -> NotMerged:
    inside = [path.removeprefix(os.fsencode(git.prefix)) for path in paths]
    return NotMerged(f"they conflict with other changes in {names(inside)}", code="MERGE_CONFLICT")
