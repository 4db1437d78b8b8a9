"""The files of isolated agents that work on a fleet, at the coordinator: sends them, and merges what comes back.

Effects: starts git on the project's repository; reads and writes the store of the fleet; merges into the project.

Theory of operation
===================

**The problem.** An isolated agent works on the project's files as they are, and its changes are merged into them. On a
fleet neither side can reach the other's disk; any of them may be gone for a while; and a worker may send anything.

**Two commits.** A run's *root* is a commit of the files of HEAD, without its history: it is whole in a shallow clone,
too. An attempt's *base* is a commit on it, of the files as they are: what differs from the root is all that has to be
sent. Both depend on nothing but the files, so attempts that begin with the same ones share them.

**What comes back** is a commit of the worker's. Its objects are taken in only if git would make them itself, and
nothing but its tree counts from then on: our own commit of it, on our own base, is merged by `worktrees.merging`, with
all the checks that the trees of agents here go through.

**Once.** The base of an attempt that exists on the fleet is read from its order, as the server has it: a coordinator
that was killed, or that has an old copy of the journal, merges against the same files. From the merge on, the notes of
`worktrees.outbox` hold the outcome, as for agents here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from engine.errors import OrchestrationError
from engine.executors.fleet import wire
from engine.executors.fleet.bundles import LARGEST, absorb, bundle_of, has_all, lasting_commit
from engine.executors.fleet.store import StoreFault
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.changes import names
from engine.executors.worktrees.git import Allows, Git, IsolationUnavailable, nothing
from engine.executors.worktrees.isolated import kept, not_merged, settled, with_hint
from engine.executors.worktrees.merging import Commit, alone, index_of, project_commit
from engine.executors.worktrees.snapshot import commit, head_of
from engine.executors.worktrees.worktree import Record, Returned, prepare
from engine.ids import AttemptId

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.executors.fleet.connection import Link
    from engine.executors.port import Heartbeat, Outcome, WorkOrder
    from engine.ids import NodeId, RunId
    from engine.model.agent import Agent

FRESH = 3600.0
"""Seconds after which files are sent again, though they may still be in the store: it removes old objects."""
NEEDS_STORE = "agents with `isolation: worktree` need a store for their files to work on a fleet"
STORE_HINT = "Set `blobs` in [fleet], and start the workers with the same `--blobs`."
_FAULTS = (OrchestrationError, OSError)
_RETURN_HINT = "Let the node try again, on another worker if it happens once more."
_GITLINK = b"160000"
_NO_FILTER = frozenset({b"set", b"unset", b"unspecified"})
_KEEPING = 30.0
"""Seconds that the store may take to say what an attempt had changed that was ended."""
_MAX_ROOTS = 100
_MARGIN = 1024
"""Bytes that encryption may add."""
_ASKING = AttemptId("check:files#0")
"""Stands for the attempt when git is queried before there is one."""


class ProjectFiles:
    """The files of a project, for attempts on a fleet."""

    def __init__(self, permit: Callable[[RunId, Agent, NodeId], None], allows: Allows = nothing) -> None:
        """*permit* raises if an agent may not run, *allows* is as for `IsolatedExecutor`."""
        self._permit = permit
        self._allows = allows
        self._roots: dict[RunId, Commit] = {}
        self._sent: dict[str, float] = {}
        """When a commit was put into the store, in seconds of the event loop."""
        self._sending = asyncio.Lock()
        self._sound: str | None = None
        """The last tree that was found to have nothing that cannot be sent."""

    async def check(self, link: Link, project: Path) -> None:
        """Raise `IsolationUnavailable` if the files of *project* cannot be sent."""
        if not link.shares:
            raise IsolationUnavailable(NEEDS_STORE, hint=STORE_HINT)
        await refuse_unsendable(await prepare(project, _ASKING, allows=self._allows))

    async def send(self, link: Link, order: WorkOrder, heartbeat: Heartbeat) -> Sent:
        """Send what *order* begins with, as far as it is not in the store.

        Raises `IsolationUnavailable` or OSError if that is not possible, and what *permit* raises.
        """
        if not link.shares:
            raise IsolationUnavailable(NEEDS_STORE, hint=STORE_HINT)
        project = order.project
        git = await prepare(project, order.attempt, allows=self._allows)
        async with alone(git, project, lambda: heartbeat("Waiting for the project's files")):
            head = await head_of(git)
            message = f"The project before attempt {order.attempt}"
            base = await project_commit(git, project, [head] if head else [], message)
            if base.tree != self._sound:
                await refuse_unsendable(git, index_of(project))
                self._sound = base.tree
        self._permit(order.run, order.agent, order.node)
        heartbeat("Sending files")
        root = await self._root(git, order.run, head, base)
        whole = await lasting_commit(git, base.tree, root.id) if base.tree != root.tree else root.id
        await self._share(link, git, root.id)
        if whole != root.id:
            await self._share(link, git, whole, root.id)
        files = wire.Files(root=root.id, base=whole, base_tree=base.tree, prefix=git.prefix)
        return Sent(link, git, order, files, base)

    async def found(self, link: Link, order: WorkOrder, files: wire.Files) -> Sent:
        """The files that were sent for *order* before, as its order on the server names them.

        Raises `IsolationUnavailable` if the project's repository does not have it, and cannot get it.
        """
        git = await prepare(order.project, order.attempt, allows=self._allows)
        if not await has_all(git, files.base_tree):  # the coordinator was on another machine
            for one in dict.fromkeys((files.root, files.base)):
                await take(link, git, one, strict=True)
        head = await head_of(git)
        message = f"The project before attempt {order.attempt}"
        base = await commit(git, files.base_tree, [head] if head else [], message)
        return Sent(link, git, order, files, Commit(base, files.base_tree))

    async def _root(self, git: Git, run: RunId, head: str | None, base: Commit) -> Commit:
        """The root of *run*: the files of *head*, or else those of its first attempt."""
        known = self._roots.get(run)
        if known is None:
            tree = await git.line("rev-parse", f"{head}^{{tree}}") if head else base.tree
            known = Commit(await lasting_commit(git, tree), tree)
            while len(self._roots) >= _MAX_ROOTS:
                del self._roots[next(iter(self._roots))]
            self._roots[run] = known
        return known

    async def _share(self, link: Link, git: Git, one: str, *without: str) -> None:
        """Put the bundle of a commit into the store, unless that was done a short while ago."""
        now = asyncio.get_running_loop().time()
        async with self._sending:
            self._sent = {name: at for name, at in self._sent.items() if now - at < FRESH}
            if one not in self._sent:
                await give(link, git, one, *without)
                self._sent[one] = now


class Sent(msgspec.Struct, frozen=True):
    """An attempt whose files were sent."""

    link: Link
    git: Git
    order: WorkOrder
    files: wire.Files
    base: Commit
    """The files that it begins with, in the project's repository."""

    async def settle(self, outcome: Outcome, changes: str | None, worker: str, heartbeat: Heartbeat) -> Outcome:
        """*outcome* once *changes*, a commit of *worker*, are merged or, after a failure, on a branch.

        After a cancellation they are on a branch, too.
        """
        heartbeat("Fetching changes")
        try:
            try:
                returned = await self._returned(changes)
            except _FAULTS as error:
                text = f"what the worker {worker} sent back cannot be used: {_text(error)}"
                if outcome.failure is None:
                    return structs.replace(not_merged(self.order, text, _RETURN_HINT), usage=outcome.usage)
                return with_hint(outcome, f"The attempt's changes are not kept: {text}.")
            return await settled(self.order, outcome, returned, heartbeat, journaled=True)
        except BaseException as error:
            note = await uncancelled(self._kept(changes))
            if note:
                error.add_note(note)
            raise

    async def ended(self) -> str | None:
        """A note about what the worker of this attempt, ended on request, had changed: it is on a branch now."""
        key = wire.ended_key(self.order.attempt)
        try:
            async with asyncio.timeout(_KEEPING):
                answer = wire.decode_answer(await self.link.shared(key, largest=LARGEST))
        except StoreFault as fault:
            return f"The attempt's changes are not kept: {fault.message}."
        except (TimeoutError, ValueError):  # it had changed nothing, had not begun, or is gone
            return None
        return await self._kept(answer.changes)

    async def _kept(self, changes: str | None) -> str | None:
        """Put *changes* on a branch; a note about them."""
        try:
            return await kept(await self._returned(changes))
        except _FAULTS as error:
            return f"The attempt's changes are not kept: {_text(error)}."

    async def _returned(self, changes: str | None) -> Returned:
        """The commit *changes*, from the store, as changes of this attempt; None: there are none."""
        tree = self.files.base_tree
        if changes is not None:
            await take(self.link, self.git, changes, strict=True)
            tree = await self.git.line("rev-parse", "--verify", "--end-of-options", f"{changes}^{{tree}}")
        record = Record(attempt=self.order.attempt, mark=self.git.tag, base=self.base.id, base_tree=self.base.tree)
        returned = Returned(self.git, self.order.project, record, tree)
        returned.state.mkdir(mode=0o700, exist_ok=True)
        returned.write(record)
        return returned


def _text(error: Exception) -> str:
    return error.message if isinstance(error, OrchestrationError) else str(error)


async def refuse_unsendable(git: Git, index: Path | None = None) -> None:
    """Raise `IsolationUnavailable` if *index*, by default git's own, has files that another machine cannot use.

    Submodules are other repositories. A filter such as Git LFS keeps contents elsewhere, or needs a program of this
    machine.
    """
    listed = await git.run("ls-files", "-z", "--stage", index=index)
    entries = [record.partition(b"\t") for record in listed.stdout.split(b"\0") if record]
    modules = [path for meta, _, path in entries if meta.startswith(_GITLINK)]
    if modules:
        raise IsolationUnavailable(
            f"submodules are not sent to a fleet: {names(modules)}",
            hint="Keep this agent here: remove its kind from `agents` in [fleet], or the submodules from the project.",
        )
    paths = b"\0".join(path for _, _, path in entries)
    asked = await git.run("check-attr", "-z", "--stdin", "--cached", "filter", stdin=paths, index=index)
    fields = asked.stdout.split(b"\0")
    filtered = [
        (path, value) for path, value in zip(fields[::3], fields[2::3], strict=False) if value not in _NO_FILTER
    ]
    if filtered:
        name = names([filtered[0][1]])
        what = "Git LFS" if name == "lfs" else f'the filter "{name}"'
        raise IsolationUnavailable(
            f"files of {what} are not sent to a fleet: {names([path for path, _ in filtered])}",
            hint="Keep this agent here: remove its kind from `agents` in [fleet], or the filter from .gitattributes.",
        )


class NotShared(IsolationUnavailable):
    """Files are not in the store of the fleet, or cannot be put there."""


async def give(link: Link, git: Git, one: str, *without: str) -> None:
    """Put the bundle of the commit *one* into the store. Raises `IsolationUnavailable` or `StoreFault`."""
    bundle = await bundle_of(git, one, *without)
    if len(bundle) > LARGEST:
        raise NotShared(
            f"files cannot be sent: they have more than {LARGEST:,} bytes, packed",
            hint="Let git ignore large files, and pass them by another way.",
        )
    try:
        await link.share(wire.bundle_key(one), bundle)
    except ValueError as error:
        raise NotShared(f"files cannot be sent: {error}", hint=STORE_HINT) from error


async def take(link: Link, git: Git, one: str, *, strict: bool) -> None:
    """Take the bundle of the commit *one* from the store into the repository; *strict* as for `absorb`.

    Raises `NotShared` if it is not there, `StoreFault`, and `IsolationUnavailable` if it is not what it should be.
    """
    try:
        bundle = await link.shared(wire.bundle_key(one), largest=LARGEST + _MARGIN)
    except ValueError as error:
        raise NotShared(f"files cannot be fetched: {error}", hint=STORE_HINT) from error
    try:
        await absorb(git, bundle, one, strict=strict)
    except ValueError as error:
        raise NotShared(f"files cannot be fetched: {error}") from error
