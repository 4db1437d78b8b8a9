"""Repositories of a worker's own, in which isolated agents of a fleet work, each in a worktree of its own.

Effects: makes and removes repositories in the worker's state folder; starts git; reads and writes the store of the
fleet. The worker's copy of the project is not touched; ignored files that its `.worktreeinclude` names are copied.

A project's repository is kept from one attempt to the next, so that only what differs has to be fetched. One that has
grown too large, or was damaged by an agent, is retired: new attempts get another one, and it is removed after its last.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from engine.errors import OrchestrationError
from engine.executors.fleet import wire
from engine.executors.fleet.bundles import has_all
from engine.executors.fleet.files import NotShared, give, take
from engine.executors.fleet.store import StoreFault
from engine.executors.folders import remove_folder
from engine.executors.shielding import uncancelled
from engine.executors.subprocesses.process_tags import environment_of, tag_of
from engine.executors.worktrees.git import Git, IsolationUnavailable, open_git
from engine.executors.worktrees.ignored_files import INCLUDE, links_of
from engine.executors.worktrees.isolated import not_merged, with_hint
from engine.executors.worktrees.merging import NotMerged
from engine.executors.worktrees.worktree import Record, Worktree, make_places
from engine.paths import path_problem
from engine.statefolder.executables import find_outside, search_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.executors.fleet.connection import Link
    from engine.executors.port import Heartbeat, Outcome, WorkOrder
    from engine.ids import AttemptId

_FORMATS = {40: "sha1", 64: "sha256"}

_LOOK = 10
"""How many fetches there are between two looks at the size of a repository."""

log = logging.getLogger(__name__)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How large a repository may get before another one is begun."""

    kibibytes: int = 4 * 1024 * 1024
    files: int = 50_000
    packs: int = 50


@dataclass(slots=True)
class _Clone:
    """One repository."""

    folder: Path
    is_new: bool
    is_found: bool = False
    """Whether a former process has made it, which may have known more."""
    known: set[str] = field(default_factory=set)
    """Commits that are there as a whole."""
    fetches: int = 0
    git: Git | None = None
    """Git on it; looked at again for each attempt, since an agent may have changed its configuration."""
    users: int = 0
    retired: bool = False
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class Away(msgspec.Struct, frozen=True):
    """The worktree of one attempt."""

    tree: Worktree
    git: Git
    files: wire.Files

    async def returned(self, link: Link, order: WorkOrder, outcome: Outcome) -> tuple[Outcome, str | None]:
        """*outcome*, and the commit with the changes, which is in the store now; None if there are none.

        It is a failure if they cannot be merged or sent as a whole.
        """
        try:
            try:
                work = await self.tree.whole()
            except NotMerged as fault:
                if outcome.failure is None:
                    refused = not_merged(order, fault.message, fault.hint, code=fault.code)
                    outcome = structs.replace(refused, usage=outcome.usage)
                work = await self.tree.part()
            if work.tree == self.files.base_tree:
                return outcome, None
            await give(link, self.git, work.id, self.files.base)
        except (OrchestrationError, OSError) as error:
            why = error.message if isinstance(error, OrchestrationError) else str(error)
            if outcome.failure is not None:
                return with_hint(outcome, f"The attempt's changes are not kept: {why}."), None
            refused = not_merged(order, why, None)
            if isinstance(error, StoreFault):
                refused = not_merged(order, why, error.hint, code=error.code)
            return structs.replace(refused, usage=outcome.usage), None
        return outcome, work.id


class Clones:
    """The repositories of one worker."""

    def __init__(self, place: Path, folder: Path, bounds: Bounds | None = None) -> None:
        """*place* is a folder for them alone, *folder* the worker's copy of the project.

        What a former process of the worker has left in worktrees is removed: its attempts are lost.
        """
        self._place = place
        self._folder = folder
        self._bounds = bounds or Bounds()
        self._current: dict[str, _Clone] = {}
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for clone in sorted(place.iterdir(), key=lambda one: one.stat().st_mtime_ns):
            key = _key_of(clone)
            if key in self._current:
                remove_folder(self._current[key].folder)
            remove_folder(clone / ".claude")
            remove_folder(clone / ".git" / "worktrees")
            self._current[key] = _Clone(clone, is_new=False, is_found=True)

    @contextlib.asynccontextmanager
    async def worktree(self, link: Link, order: wire.Order, heartbeat: Heartbeat) -> AsyncIterator[Away]:
        """A worktree with the files of *order*, for the length of the block.

        Raises `IsolationUnavailable` or OSError if it cannot be made.
        """
        files = order.files
        assert files is not None  # noqa: S101 - the caller's choice
        prefix = files.prefix
        if prefix and (not prefix.endswith("/") or path_problem(prefix[:-1].encode("utf-8", "surrogateescape"))):
            raise IsolationUnavailable(f"{prefix!r} is not a folder below the top of a repository")
        async with contextlib.AsyncExitStack() as stack:
            clone = await stack.enter_async_context(self._used(order.project, files))
            try:
                away = await self._away(clone, link, order.attempt, files, heartbeat)
            except NotShared:
                raise
            except IsolationUnavailable as fault:
                if clone.is_new:
                    raise
                log.warning("%s is no longer used: %s", clone.folder, fault.message)
                clone.retired = True
                clone = await stack.enter_async_context(self._used(order.project, files))
                away = await self._away(clone, link, order.attempt, files, heartbeat)
            clone.is_new = False
            stack.push_async_callback(_removed, away.tree)
            yield away

    @contextlib.asynccontextmanager
    async def _used(self, project: str, files: wire.Files) -> AsyncIterator[_Clone]:
        key = f"{hashlib.sha256(project.encode()).hexdigest()[:16]}-{_FORMATS[len(files.base)]}"
        clone = self._current.get(key)
        if clone is None or clone.retired:
            clone = _Clone(Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self._place)), is_new=True)
            self._current[key] = clone
        clone.users += 1
        try:
            yield clone
        finally:
            clone.users -= 1
            if clone.retired and not clone.users:
                await uncancelled(asyncio.to_thread(remove_folder, clone.folder))

    async def _away(
        self, clone: _Clone, link: Link, attempt: AttemptId, files: wire.Files, heartbeat: Heartbeat
    ) -> Away:
        async with clone.fetching:
            git = await self._opened(clone, attempt, files)
            await self._fetch(clone, link, git, files, heartbeat)
        heartbeat("Making a worktree")
        links = await asyncio.to_thread(links_of, self._folder, whole=False)
        own = await self._own(attempt, wanted=bool(links))
        record = Record(attempt=attempt, mark=git.tag, base=files.base, base_tree=files.base_tree)
        tree = Worktree(structs.replace(git, prefix=files.prefix), clone.folder, record)
        tree.state.mkdir(mode=0o700)
        await tree.make(links, own=own)
        return Away(tree, git, files)

    async def _opened(self, clone: _Clone, attempt: AttemptId, files: wire.Files) -> Git:
        """Git on *clone*, which is made a repository first if it does not exist."""
        folder = clone.folder
        if clone.git is not None:
            tag = tag_of(attempt, folder)
            return await structs.replace(clone.git, tag=tag, environment=_environment(attempt, tag, folder)).looked_at()
        if not (folder / ".git").exists():
            program = find_outside("git", folder)
            if program is None:
                raise IsolationUnavailable("the program git was not found", hint="Install git 2.38 or newer.")
            tag = tag_of(attempt, folder)
            git = Git(program=program, environment=_environment(attempt, tag, folder), tag=tag, top=folder)
            await git.run("init", "--quiet", "--template=", f"--object-format={_FORMATS[len(files.base)]}")
        await asyncio.to_thread(make_places, folder)
        clone.git = await open_git(folder, attempt)
        return clone.git

    async def _fetch(self, clone: _Clone, link: Link, git: Git, files: wire.Files, heartbeat: Heartbeat) -> None:
        """Get what is not in *clone* yet, and see from time to time whether it has become too large."""
        if await _knows(clone, git, files.base):
            return
        heartbeat("Fetching files")
        for one in dict.fromkeys((files.root, files.base)):
            if one == files.base or not await _knows(clone, git, one):
                await take(link, git, one, strict=False)
                clone.known.add(one)
        clone.fetches += 1
        if clone.fetches % _LOOK == 1:
            clone.retired = await self._is_full(git)

    async def _is_full(self, git: Git) -> bool:
        listed = await git.line("count-objects", "-v")
        counts = {name: int(count) for name, _, count in (line.partition(": ") for line in listed.splitlines())}
        return (
            counts["size"] + counts["size-pack"] > self._bounds.kibibytes
            or counts["count"] > self._bounds.files
            or counts["packs"] > self._bounds.packs
        )

    async def _own(self, attempt: AttemptId, *, wanted: bool) -> Git | None:
        """Git on the worker's copy of the project, if ignored files of it are *wanted*, or its own list names some."""
        if wanted or await asyncio.to_thread((self._folder / INCLUDE).exists):
            with contextlib.suppress(IsolationUnavailable):  # it need not be a repository
                return await open_git(self._folder, attempt)
        return None


async def _knows(clone: _Clone, git: Git, one: str) -> bool:
    """Whether the commit *one* is in *clone* as a whole."""
    if one not in clone.known and clone.is_found and await has_all(git, one):
        clone.known.add(one)
    return one in clone.known


def _environment(attempt: AttemptId, tag: str, folder: Path) -> dict[str, str]:
    return environment_of(attempt, tag, {}) | {"PATH": search_path(folder)}


def _key_of(clone: Path) -> str:
    return clone.name.rpartition("-")[0]


async def _removed(tree: Worktree) -> None:
    try:
        await uncancelled(tree.remove())
    except OSError as error:
        log.warning("the worktree %s cannot be removed: %s", tree.place, error)
