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
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import OrchestrationError
from engine.executors.changes import Change, ChangedMeanwhile, apply, changes_between, undo
from engine.executors.git import Git
from engine.executors.port import Heartbeat
from engine.executors.snapshot import OURS, STATE, commit, project_tree

_INTENT = "merging.json"
_PAUSE = 0.02
_TRIES = 5
"""How often the merge begins anew because somebody changed a file that it is about to write."""
_NAMED = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that no branch leads to, and its tree."""

    id: str
    tree: str


class NotMerged(OrchestrationError):
    """What an agent changed did not come into the project's working tree, which is as it was."""


@contextlib.asynccontextmanager
async def alone(git: Git, project: Path, heartbeat: Heartbeat) -> AsyncIterator[None]:
    """The only one, among all processes, that reads or writes the whole working tree of *project*."""
    folder = project / STATE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0, mode=0o600)
    while True:
        try:
            lock.acquire()
            break
        except Timeout:
            heartbeat()
            await asyncio.sleep(_PAUSE)
    try:
        await _heal(git, folder)
        yield
    finally:
        lock.release()


async def merge(git: Git, project: Path, *, base: Commit, theirs: Commit, state: Path) -> None:
    """Merge *theirs*, made on *base*, into the working tree of *project*; to be done `alone`.

    Raises `NotMerged`, and `IsolationUnavailable` where git fails; the working tree is as it was then.
    """
    _refuse_what_is_not_ours(git, await changes_between(git, base.tree, theirs.tree))
    paths: Sequence[bytes] = ()
    for _ in range(_TRIES):
        ours = await project_commit(git, project, [base.id], "The project meanwhile")
        merged = theirs.tree if ours.tree == base.tree else await _merged(git, ours, theirs)
        changes = await changes_between(git, ours.tree, merged)
        try:
            await _write(git, changes, state=state, trees=(ours.tree, merged))
        except ChangedMeanwhile as error:
            paths = error.paths
        except OSError as error:
            raise NotMerged(
                f"it cannot be written into the working tree: {error}",
                code="MERGE_REFUSED",
                hint="look after the file and its folder",
            ) from error
        else:
            return
    raise _conflict(git, paths)


async def project_commit(git: Git, project: Path, parents: Sequence[str], message: str) -> Commit:
    """A commit of the working tree of *project* as it is now; to be made `alone`."""
    tree = await project_tree(git, project / STATE / "project.index")
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
    """Make *changes*, which lead from one of *trees* to the other, and say so where a crash leaves it."""
    intent = state / _INTENT
    intent.write_text(json.dumps(trees), encoding="ascii")
    try:
        await apply(git, changes, staging=state / "staging")
    finally:
        intent.unlink(missing_ok=True)


async def _heal(git: Git, folder: Path) -> None:
    """Take back what processes had begun to write when they were killed."""
    for intent in _intents(folder):
        try:
            old, new = json.loads(intent.read_bytes())
            await undo(git, await changes_between(git, old, new), staging=intent.parent / "staging")
        except (OSError, ValueError, OrchestrationError):
            log.warning("a merge that was cut off cannot be taken back: %s", intent, exc_info=True)
        intent.unlink(missing_ok=True)


def _intents(folder: Path) -> list[Path]:
    return list(folder.glob(f"*/{_INTENT}"))


def _refuse_what_is_not_ours(git: Git, changes: Sequence[Change]) -> None:
    root = os.fsencode(git.prefix)
    own = tuple(root + os.fsencode(place) for place in OURS)
    outside = [change.path for change in changes if not change.path.startswith(root) or change.path.startswith(own)]
    if outside:
        raise NotMerged(
            f"it changed what does not belong to the project: {names(outside)}",
            code="MERGE_REFUSED",
            hint="only files of the project, and none of the engine's, are merged back",
        )
    submodules = [change.path for change in changes if change.is_submodule]
    if submodules:
        raise NotMerged(
            f"it changed what is a repository of its own: {names(submodules)}",
            code="MERGE_REFUSED",
            hint="let an agent without `isolation` work on submodules",
        )


def _conflict(git: Git, paths: Sequence[bytes]) -> NotMerged:
    inside = [path.removeprefix(os.fsencode(git.prefix)) for path in paths]
    return NotMerged(f"it conflicts with what changed meanwhile in {names(inside)}", code="MERGE_CONFLICT")


def names(paths: Sequence[bytes]) -> str:
    """Some of *paths* for a message, on one line."""
    told = [
        "".join(c if c.isprintable() else "?" for c in path.decode("utf-8", "replace")) for path in sorted(set(paths))
    ]
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return ", ".join(told[:_NAMED]) + more
