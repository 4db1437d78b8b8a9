"""Brings what an isolated agent changed into the project's working tree, one at a time.

Effects: takes a lock of the operating system, which dies with its holder; writes the project's files. What a killed
process had half written is taken back by whoever has the lock next.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

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
    undo,
)
from engine.executors.worktrees.git import Git, IsolationUnavailable, is_object
from engine.executors.worktrees.snapshot import OURS, commit, notes_of, project_tree
from engine.statefolder.links import make_below
from engine.statefolder.regular_files import read_regular

_INTENT = "merging.json"
MERGED = "merged.json"
"""The mark of work that is in the project: the note about its merge, renamed."""
_PAUSE = 0.02
_TRIES = 5
"""How often the merge begins anew because somebody changed a file that it is about to write."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that no branch leads to, and its tree."""

    id: str
    tree: str


class NotMerged(OrchestrationError):
    """What an agent changed did not come into the project's working tree, which is as it was."""


@contextlib.asynccontextmanager
async def alone(git: Git, project: Path, beat: Callable[[], object]) -> AsyncIterator[None]:
    """The only one, among all processes, that reads or writes the whole working tree of *project*.

    Raises `IsolationUnavailable` where half a merge is in it.
    """
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
    """Merge *theirs*, made on *base*, into the working tree of *project*; to be done `alone`.

    Raises `NotMerged`, and `IsolationUnavailable` where git fails; the working tree is as it was then, or will be as
    soon as there is room for that.
    """
    foreign = _foreign(git)
    await changes_between(git, base.tree, theirs.tree, foreign=foreign)
    paths: Sequence[bytes] = ()
    for _ in range(_TRIES):
        ours = await project_commit(git, project, [base.id], "The project meanwhile")
        merged = theirs.tree if ours.tree == base.tree else await _merged(git, ours, theirs)
        changes = await changes_between(git, ours.tree, merged, foreign=foreign)
        try:
            await _write(git, changes, state=state, trees=(ours.tree, merged))
        except ChangedMeanwhile as error:
            paths = error.paths
        except OSError as error:
            raise NotMerged(
                f"it cannot be written into the working tree: {error}",
                code="MERGE_REFUSED",
                hint="Look after the file and its folder.",
            ) from error
        else:
            return
    raise _conflict(git, paths)


async def project_commit(git: Git, project: Path, parents: Sequence[str], message: str) -> Commit:
    """A commit of the working tree of *project* as it is now; to be made `alone`."""
    tree = await project_tree(git, notes_of(project).folder / "project.index")
    return Commit(await commit(git, tree, parents, message), tree)


async def _merged(git: Git, ours: Commit, theirs: Commit) -> str:
    """The tree that the two, which have their base in common, make together."""
    words = ("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours.id, theirs.id)
    found = await git.run(*words, accept=(0, 1))
    tree, *paths = found.stdout.split(b"\0")
    if found.returncode:
        raise _conflict(git, [path for path in paths if path])
    return tree.decode("ascii")


async def _write(git: Git, changes: Sequence[Change], *, state: Path, trees: tuple[str, str]) -> None:
    """Make *changes*, which lead from one of *trees* to the other, and say so where a crash leaves it.

    With the last step they are made, and the mark of it is there; before, they are taken back by whoever comes next.
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
    """Take back what processes had begun to write when they were killed.

    Raises `IsolationUnavailable` where that fails, as on a full disk: nothing is put on top of half a merge, and
    whoever comes next tries again.
    """
    for intent in _intents(project):
        try:
            old, new = _trees(intent)
        except (OSError, ValueError) as error:
            log.warning("nobody knows what the note about a merge in %s was: %s", intent, error)
            intent.unlink(missing_ok=True)
            continue
        try:
            changes = await changes_between(git, old, new, foreign=_foreign(git))
            await undo(git, changes, staging=intent.parent / "staging")
        except ForeignPath as error:  # no merge of ours was that: nothing of it was done
            log.warning("the note about a merge in %s is no note of ours: %s", intent, error)
        except (OSError, OrchestrationError) as error:
            raise _half(intent, error) from error
        intent.unlink(missing_ok=True)


def is_half(state: Path) -> bool:
    """Whether the merge of what *state* is of was cut off, and is not taken back yet."""
    return (state / _INTENT).exists()


def _half(intent: Path, error: Exception) -> IsolationUnavailable:
    why = error.message if isinstance(error, OrchestrationError) else str(error)
    return IsolationUnavailable(
        f"a merge that was cut off cannot be taken back: {why}",
        hint=f"See that the disk has room and try again; or put the files right yourself and remove {intent}.",
    )


def _intents(project: Path) -> list[Path]:
    places = [folder / _INTENT for folder in folders_in(*notes_of(project))]
    return [place for place in places if place.exists()]


def _trees(intent: Path) -> tuple[str, str]:
    """The trees that *intent* names. Raises ValueError."""
    match json.loads(read_regular(intent)):
        case [old, new] if is_object(old) and is_object(new):
            return old, new
    raise ValueError("it names no trees")


def _foreign(git: Git) -> list[bytes]:
    """The folders of the engine in the project, from the top."""
    return [os.fsencode(f"{git.prefix}{place}") for place in OURS]


def _conflict(git: Git, paths: Sequence[bytes]) -> NotMerged:
    inside = [path.removeprefix(os.fsencode(git.prefix)) for path in paths]
    return NotMerged(f"it conflicts with what changed meanwhile in {names(inside)}", code="MERGE_CONFLICT")
