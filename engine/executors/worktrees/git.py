"""Runs git on the repository of a project, for one attempt, without starting programs that are not allowed.

Effects: starts the git program, which ends with the attempt whose tag it has. `git_rules` says what git may start in
turn: the filters and merge drivers of the user, those of the repository after the user's consent, and nothing else. No
variable of a calling hook points git to another repository or index.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol, TypeGuard

import msgspec
from msgspec import structs

from engine.errors import EnvironmentFault
from engine.executors.subprocesses.process_tags import environment_of, tag_of
from engine.executors.subprocesses.program import Ended, run_program
from engine.git_rules import (
    LISTING,
    SETTINGS,
    Driver,
    default_merge_in,
    drivers_in,
    hooks_off,
    withheld,
    without_guidance,
)
from engine.ids import AttemptId
from engine.statefolder.executables import find_outside, search_path
from engine.text.redaction import one_line

OLDEST = (2, 38)
"""The first git that merges without a working tree."""
_MAX_ANSWER_BYTES = 512 * 1024 * 1024
_SETTINGS = {
    **SETTINGS,
    "add.ignoreErrors": "false",
    "advice.addEmbeddedRepo": "false",
    # In a new worktree git would take every file for unchanged, whatever the agent does to it.
    "core.ignoreStat": "false",
    "core.safecrlf": "false",
    "core.splitIndex": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # A new file stays where it was made even if others move its folder: git must not guess where it belongs.
    "merge.directoryRenames": "false",
    # Files that are stored otherwise than git would store them now do not differ in every line.
    "merge.renormalize": "true",
}
_FULL = os.strerror(errno.ENOSPC)
_new_enough: set[tuple[str, int, int]] = set()
"""Programs that are no older: their paths, inodes and times."""
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_WHO = "orchestrate"
_COMMITTER = {
    "GIT_AUTHOR_EMAIL": f"{_WHO}@localhost",
    "GIT_AUTHOR_NAME": _WHO,
    "GIT_COMMITTER_EMAIL": f"{_WHO}@localhost",
    "GIT_COMMITTER_NAME": _WHO,
}


class Allows(Protocol):
    """Says whether the user has approved a filter or merge driver of the repository's own."""

    def __call__(self, driver: Driver, top: Path, /) -> bool:
        """*top* is that of the repository. Asked before git is started, so it must be cheap; never raises."""


def nothing(driver: Driver, top: Path) -> bool:  # noqa: ARG001 -- a signature
    """Allows no driver."""
    return False


class IsolationUnavailable(EnvironmentFault):
    """A worktree for an agent cannot be made here, or git failed."""

    code = "ISOLATION_UNAVAILABLE"


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """Git, on one repository and for one attempt."""

    program: str
    environment: Mapping[str, str]
    tag: str
    top: Path
    """Top of the working tree that contains the project."""
    directory: Path | None = None
    """The `.git` of that working tree; None: git searches for it."""
    prefix: str = ""
    """The project root relative to the top, with a trailing slash; empty at the top."""

    overrides: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Settings that override the repository's, so that none of its programs are started."""
    missing: tuple[Driver, ...] = ()
    """Withheld filters and merge drivers of the repository's own that the user has not configured either."""
    default_merge: str | None = None
    """The merge driver that the repository configures for all other files."""
    allows: Allows = nothing

    async def run(
        self,
        *words: str,
        stdin: bytes = b"",
        tree: Path | None = None,
        index: Path | None = None,
        accept: Collection[int] = (0,),
    ) -> Ended:
        """Run one git command in *tree*, by default the project's own working tree, with *index* for its index.

        Raises `IsolationUnavailable` with git's own message for an exit code that is not in *accept*.
        """
        tree = tree or self.top
        where = [] if self.directory is None else [f"--git-dir={self.directory}", f"--work-tree={tree}"]
        environment = without_guidance(self.environment, {**_SETTINGS, **self.overrides}) | _COMMITTER
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        try:
            ended = await run_program(
                [self.program, "--no-pager", *where, *words],
                cwd=tree,
                environment=environment,
                tag=self.tag,
                stdin=stdin,
                stdout_limit=_MAX_ANSWER_BYTES,
                leaves_nothing=True,
            )
        except (OSError, ValueError) as error:
            raise IsolationUnavailable(f"git cannot be started: {error}") from error
        if ended.overflow or ended.returncode not in accept:
            cause = complaint(ended.stderr)
            hint = "Free some disk space." if _FULL in cause else f"Try `git status` in {self.top}."
            raise IsolationUnavailable(f"git {words[0]} failed in {tree}: {cause}", hint=hint)
        return ended

    async def looked_at(self) -> Git:
        """The same with the repository's current configuration, which an agent may have changed."""
        listing = (await self.run(*LISTING)).stdout
        refused = [driver for driver in drivers_in(listing) if not self.allows(driver, self.top)]
        case = await asyncio.to_thread(_case_of, self.top)
        return structs.replace(
            self,
            overrides=hooks_off(listing) | withheld(refused) | case,
            missing=tuple(driver for driver in refused if driver.is_missed),
            default_merge=default_merge_in(listing),
        )

    async def line(self, *words: str, stdin: bytes = b"", index: Path | None = None) -> str:
        """The one-line output of a command, without the line break."""
        return os.fsdecode((await self.run(*words, stdin=stdin, index=index)).stdout.removesuffix(b"\n"))


async def open_git(project: Path, attempt: AttemptId, *, allows: Allows = nothing) -> Git:
    """Git on the repository of *project*, a resolved path, for *attempt*; *allows* as in `Git.allows`.

    Raises `IsolationUnavailable` without a repository, or without git.
    """
    program = find_outside("git", project)
    if program is None:
        raise IsolationUnavailable("the program git was not found", hint="Install git 2.38 or newer.")
    tag = tag_of(attempt, project)
    environment = environment_of(attempt, tag, {}) | {"PATH": search_path(project)}
    git = Git(program=program, environment=environment, tag=tag, top=project, allows=allows)
    await _check_version(git)
    asked = ("--is-inside-work-tree", "--absolute-git-dir", "--show-toplevel", "--show-prefix")
    found = await git.run("rev-parse", *asked, accept=range(256))
    inside, *places = found.stdout.split(b"\n")
    if found.returncode or inside != b"true":
        cause = "the repository is bare" if inside == b"false" else complaint(found.stderr)
        raise IsolationUnavailable(
            f"{project} is not in the working tree of a git repository: {cause}",
            hint="Check `git status` there, create a repository with `git init`, or remove `isolation` from the agent.",
        )
    if len(places) != len(asked):  # a line break is part of a path
        places = [os.fsencode(await git.line("rev-parse", word)) for word in asked[1:]]
    directory, top, prefix = map(os.fsdecode, places[:3])
    return await structs.replace(git, directory=Path(directory), top=Path(top), prefix=prefix).looked_at()


def _case_of(top: Path) -> dict[str, str]:
    """Settings for a file system that distinguishes between names by case.

    A repository that came from another says that this one does not: git then leaves out a file whose name differs from
    its old one only by case, and the old one too.
    """
    distinguishes = (top / ".git").exists() and not (top / ".GIT").exists()
    return {"core.ignoreCase": "false"} if distinguishes else {}


async def _check_version(git: Git) -> None:
    """Raise `IsolationUnavailable` if this git is too old; each program is asked once."""
    try:
        found = await asyncio.to_thread(os.stat, git.program)
    except OSError as error:
        raise IsolationUnavailable(f"git cannot be started: {error}") from error
    program = (git.program, found.st_ino, found.st_mtime_ns)
    if program in _new_enough:
        return
    version = await git.line("version")
    if _version(version) < OLDEST:
        raise IsolationUnavailable(
            f"{version} is too old to merge the changes of isolated agents", hint="Install git 2.38 or newer."
        )
    _new_enough.add(program)


def complaint(stderr: bytes) -> str:
    """Git's error message: the line that names an error, or else everything except hints and warnings."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    for sign in ("fatal:", "error:"):
        named = [line for line in lines if line.startswith(sign)]
        if named:
            return one_line(named[-1], limit=300)
    return one_line(" ".join(line for line in lines if not line.startswith(("hint:", "warning:"))), limit=300)


def is_object(name: object) -> TypeGuard[str]:
    """Whether *name* is a full object id; anything else may be an option, or refer to anything."""
    return isinstance(name, str) and _OBJECT.fullmatch(name) is not None


def _version(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
