"""A git worktree for one attempt: made from the project's current files; its changes are merged back or kept.

Effects: makes and removes folders in `.claude/worktrees` and the state folder, worktrees and branches of the
project's repository. The user's index, HEAD, branches and stash are not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import structs

from engine.errors import EnvironmentFault
from engine.executors.folders import is_own, remove_folder
from engine.executors.port import HERE, Heartbeat
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.branches import branch_of, folder_of
from engine.executors.worktrees.changes import names, only_touched
from engine.executors.worktrees.filter_drivers import refuse_withheld
from engine.executors.worktrees.git import Allows, Git, IsolationUnavailable, is_object, nothing, open_git
from engine.executors.worktrees.ignored_files import bring, to_bring
from engine.executors.worktrees.merging import MERGED, Commit, NotMerged, alone, is_half, merge, project_commit
from engine.executors.worktrees.snapshot import (
    commit,
    head_of,
    notes_of,
    repositories_inside,
    submodules_in_use,
    trees_of,
    worktree_tree,
)
from engine.ids import AttemptId, parse_attempt_id
from engine.statefolder.links import make_below
from engine.statefolder.regular_files import read_regular

RECORD = "worktree.json"
_BROUGHT = "brought"
_INDEX = "worktree.index"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The note about a worktree, for cleaning up after a crash."""

    attempt: AttemptId
    mark: str
    """The tag of the process that made it."""
    base: str
    """The commit that the agent started from."""
    base_tree: str
    kept: bool = False
    """Whether the worktree stays, because no branch can hold all its files."""


class Worktree:
    """One worktree; made by `open_worktree`, or found by `found_worktree`."""

    def __init__(self, git: Git, project: Path, record: Record) -> None:
        """Creates no files."""
        parsed = parse_attempt_id(record.attempt)
        assert parsed is not None  # noqa: S101 -- an id of the engine's
        root, name = project.resolve(), folder_of(*parsed)
        self._own = trees_of(root).inside(name)
        self.record = record
        self.branch = branch_of(*parsed)
        self.place = self._own.folder
        self.state = notes_of(root).folder / name
        self.folder = self.place / git.prefix
        """The agent's working folder: the project root inside the worktree."""
        self._git = git
        self._project = root
        self._where: str | None = None

    async def make(self, links: Iterable[str], *, own: Git | None = None) -> None:
        """Check the files out, and copy ignored ones; *links* names folders that are only linked.

        The ignored ones are those of the repository *own*, by default of the project's. Raises `IsolationUnavailable`
        or OSError, and then leaves nothing behind.
        """
        try:
            await self._git.run("worktree", "add", "--quiet", "--detach", "--lock", str(self.place), self.record.base)
            self.folder.mkdir(parents=True, exist_ok=True)
            link = (self.place / ".git").read_text(encoding="utf-8", errors="surrogateescape")
            gits = self.place / link.removeprefix("gitdir:").strip()
            # The last step: a worktree without it is incomplete, and no agent has worked there.
            copy = self.state / "new.index"
            shutil.copy2(gits / "index", copy)
            await self._bring(links, own or self._git)
            copy.replace(self.state / _INDEX)
        except BaseException:
            await uncancelled(self.remove())
            raise

    async def _bring(self, links: Iterable[str], own: Git) -> None:
        """Copy ignored files into the worktree, recorded first: they are not the agent's work."""
        brought = await to_bring(own, links)
        (self.state / _BROUGHT).write_bytes(b"\0".join(brought))
        await asyncio.to_thread(bring, own.top, self.place, brought)

    async def merge_back(self, heartbeat: Heartbeat) -> None:
        """Merge the changes into the project's working tree.

        Raises `NotMerged`, or `IsolationUnavailable` if git fails; the project is then unchanged.
        """
        theirs = await self.whole()
        if theirs.tree == self.record.base_tree:
            (self.state / MERGED).touch()
            return
        base = Commit(self.record.base, self.record.base_tree)
        async with alone(self._git, self._project, heartbeat):
            await merge(self._git, self._project, base=base, theirs=theirs, state=self.state)

    async def whole(self) -> Commit:
        """All the changes; the base if there are none. Raises `NotMerged` for some that no commit can hold."""
        if not await asyncio.to_thread(self._is_there):
            raise NotMerged(
                "its worktree is gone",
                code="MERGE_REFUSED",
                hint="Tell the agent not to remove the folder it works in.",
            )
        tree, foreign = await self._work()
        if foreign:
            raise NotMerged(
                f"it made nested git repositories or changed them: {names(foreign)}",
                code="MERGE_REFUSED",
                hint="Let the agent remove them, or name them in .gitignore.",
            )
        return await self._committed(tree)

    async def part(self) -> Commit:
        """The changes that a commit can hold; the base if there are none."""
        return await self._committed((await self._work())[0])

    async def keep(self) -> str | None:
        """Put the changes on the branch and remove the worktree; returns where they are, None if there are none.

        Files that no branch can hold stay in the worktree's folder. Raises `IsolationUnavailable` or OSError, and
        leaves everything in place, if they cannot be kept. Calling it again returns the same.
        """
        if not self.state.exists():
            return self._where
        tree, foreign = await self._work()
        where = []
        if tree != self.record.base_tree:
            await self._git.run("update-ref", f"refs/heads/{self.branch}", (await self._committed(tree)).id)
            where.append(f"on the branch {self.branch}")
        if foreign:
            self.write(structs.replace(self.record, kept=True))
            where.append(f"in the folder {self.place}")
        self._where = " and ".join(where) or None
        if not foreign:  # a note about half a merge stays until that is reverted
            await (self.leave() if is_half(self.state) else self.remove())
        return self._where

    @property
    def is_merged(self) -> bool:
        """Whether the changes are in the project."""
        return (self.state / MERGED).exists()

    async def remove(self) -> None:
        """Remove the worktree with all that is in it."""
        await self.leave()
        await asyncio.to_thread(remove_folder, self.state)

    async def leave(self) -> None:
        """Remove the worktree, but not the note about it."""
        if await asyncio.to_thread(self._is_there):
            await asyncio.to_thread(remove_folder, self.place)
        with contextlib.suppress(IsolationUnavailable):  # git does not know it
            await self._git.run("worktree", "remove", "--force", "--force", str(self.place))

    def write(self, record: Record) -> None:
        """Write the note about the worktree."""
        path = self.state / RECORD
        path.with_suffix(".new").write_text(json.dumps(structs.asdict(record)), encoding="utf-8")
        path.with_suffix(".new").replace(path)

    def _is_there(self) -> bool:
        """Whether the worktree is still there, and no link has taken its place."""
        return is_own(*self._own)

    async def _work(self) -> tuple[str, list[bytes]]:
        """The tree of the worktree's current files, and its paths that belong to other repositories."""
        index = self.state / _INDEX
        if not index.exists() or not await asyncio.to_thread(self._is_there):
            return self.record.base_tree, []
        self._git = await self._git.looked_at()
        brought = read_regular(self.state / _BROUGHT).split(b"\0")
        tree = await worktree_tree(self._git, self.place, index, without=filter(None, brought))
        if tree != self.record.base_tree:
            here = structs.replace(self._git, top=self.place)
            tree = await only_touched(here, index, self.record.base_tree, tree, staging=self.state / "staging")
        foreign = await repositories_inside(self._git, self.place, index, "")
        return tree, foreign + await submodules_in_use(self._git, self.place, index)

    async def _committed(self, tree: str) -> Commit:
        base = self.record.base
        if tree == self.record.base_tree:
            return Commit(base, tree)
        return Commit(await commit(self._git, tree, [base], f"Changes of attempt {self.record.attempt}"), tree)


class Returned(Worktree):
    """The same for an attempt that was made on another machine: its tree came back, and no folder is here."""

    def __init__(self, git: Git, project: Path, record: Record, tree: str) -> None:
        """*tree* is an object of the project's repository. Creates no files."""
        super().__init__(git, project, record)
        self._tree = tree

    async def leave(self) -> None:
        """Leave only the note."""

    def _is_there(self) -> bool:
        return True

    async def _work(self) -> tuple[str, list[bytes]]:
        return self._tree, []


async def prepare(project: Path, attempt: AttemptId, *, allows: Allows = nothing) -> Git:
    """Git on the repository of *project*, and the folders for worktrees. Raises `IsolationUnavailable`."""
    root = await asyncio.to_thread(project.resolve)
    git = await open_git(root, attempt, allows=allows)
    await refuse_withheld(git)
    ignored = await git.run("check-ignore", "--quiet", str(root), accept=range(256)) if git.prefix else None
    if ignored is not None and ignored.returncode == 0:
        raise IsolationUnavailable(
            f"{project} is a folder that the git repository {git.top} ignores",
            hint="Run `git init` in the project to make it a repository of its own.",
        )
    try:
        await asyncio.to_thread(make_places, root)
    except EnvironmentFault as fault:
        raise IsolationUnavailable(fault.message, hint=fault.hint) from fault
    except OSError as error:
        raise IsolationUnavailable(
            f"cannot make a worktree in {trees_of(root).folder}: {error}",
            hint="Free some disk space, or make the folder writable.",
        ) from error
    return git


def make_places(root: Path) -> None:
    """Make the folders for worktrees of *root*, a resolved path, and for notes about them."""
    make_below(*notes_of(root))
    rules = make_below(*trees_of(root)) / ".gitignore"
    with contextlib.suppress(FileExistsError), rules.open("x", encoding="ascii") as file:
        file.write("*\n")


async def open_worktree(
    project: Path,
    attempt: AttemptId,
    heartbeat: Heartbeat,
    *,
    links: Iterable[str] = (),
    allows: Allows = nothing,
) -> Worktree:
    """A new worktree for *attempt*, with the current files of *project*, and links for the names *links*.

    *allows* says which filters and merge drivers of the repository's own may run.

    Raises `IsolationUnavailable` or OSError, and then leaves nothing behind.
    """
    git = await prepare(project, attempt, allows=allows)
    async with alone(git, project, heartbeat):
        heartbeat.started(HERE)
        head = await head_of(git)
        base = await project_commit(git, project, [head] if head else [], f"The project before attempt {attempt}")
        tree = Worktree(git, project, Record(attempt=attempt, mark=git.tag, base=base.id, base_tree=base.tree))
        tree.state.mkdir(mode=0o700)
        tree.write(tree.record)
    await tree.make(links)
    return tree


def found_worktree(git: Git, project: Path, state: Path) -> Worktree | None:
    """The worktree that the note in *state*, a folder of the state folder, describes; None without a valid note."""
    try:
        record = Record(**json.loads(read_regular(state / RECORD)))
        parsed = parse_attempt_id(record.attempt)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    ours = parsed is not None and folder_of(*parsed) == state.name
    return Worktree(git, project, record) if ours and is_object(record.base) and is_object(record.base_tree) else None


def remove_unfinished(state: Path) -> bool:
    """Remove *state* if it holds only an incomplete note; returns whether it is gone."""
    (state / RECORD).with_suffix(".new").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        state.rmdir()
    return not state.exists()
