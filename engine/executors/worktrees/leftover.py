"""Abandoned worktrees and branches: those of killed servers are kept, those of forgotten runs removed.

Effects: removes folders, worktrees and branches of the engine's own, makes branches. It never fails: errors are
logged, and the next server tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.errors import OrchestrationError
from engine.executors.folders import folders_in
from engine.executors.subprocesses.process_tags import has_lost_its_server
from engine.executors.worktrees.branches import ROOT, branch_of, branches_of
from engine.executors.worktrees.git import Allows, Git, IsolationUnavailable, nothing, open_git
from engine.executors.worktrees.merging import alone
from engine.executors.worktrees.snapshot import notes_of
from engine.executors.worktrees.worktree import Worktree, found_worktree, remove_unfinished
from engine.ids import AttemptId, RunId, parse_attempt_id

_NO_ATTEMPT = AttemptId("upkeep:worktrees#0")
"""Stands for the attempt when git runs for none."""

log = logging.getLogger(__name__)


async def keep_abandoned(project: Path, *, allows: Allows = nothing) -> list[str]:
    """Put changes in the worktrees of killed servers on branches and remove the worktrees; returns where they are."""
    root = await asyncio.to_thread(project.resolve)
    if not folders_in(*notes_of(root)):
        return []
    kept = []
    with _logged("worktrees of killed servers cannot be kept"):
        git = await open_git(root, _NO_ATTEMPT, allows=allows)
        async with alone(git, root, lambda: None):
            for state, tree in _found(git, root):
                if tree is None:
                    if not remove_unfinished(state):
                        log.warning("%s is left alone: it does not name its attempt", state)
                elif tree.is_merged:
                    with _logged(f"the worktree {tree.place} cannot be removed"):
                        await tree.leave()
                elif not tree.record.kept and has_lost_its_server(tree.record.mark, project):
                    with _logged(f"the worktree {tree.place} cannot be kept"):
                        where = await tree.keep()
                        kept += [where] if where else []
                        log.info("changes of the lost attempt %s: %s", tree.record.attempt, where or "nothing")
    return kept


async def forget(project: Path, runs: Collection[RunId]) -> None:
    """Remove the branches of *runs*, except one that is checked out, and their remaining worktrees."""
    with contextlib.suppress(IsolationUnavailable):  # then there are no branches
        root = await asyncio.to_thread(project.resolve)
        git = await open_git(root, _NO_ATTEMPT)
        with _logged("branches of forgotten runs cannot be removed"):
            for _state, tree in _found(git, root):
                parsed = None if tree is None else parse_attempt_id(tree.record.attempt)
                if tree is not None and parsed is not None and parsed[0] in runs:
                    await tree.remove()
            prefixes = tuple(map(branches_of, runs))
            names = [name for name in await _branches(git) if name.startswith(prefixes)]
            if names:
                await git.run("branch", "--quiet", "-D", "--", *names, accept=(0, 1))


async def forget_attempts(project: Path, attempts: Collection[AttemptId]) -> list[str]:
    """Remove the branches of *attempts*, except one that is checked out; returns the removed ones."""
    parsed = [parse_attempt_id(attempt) for attempt in attempts]
    wanted = {branch_of(*parts) for parts in parsed if parts is not None}
    with contextlib.suppress(IsolationUnavailable):
        git = await open_git(await asyncio.to_thread(project.resolve), _NO_ATTEMPT)
        before = wanted & await _branches(git)
        if before:
            await git.run("branch", "--quiet", "-D", "--", *sorted(before), accept=(0, 1))
        return sorted(before - await _branches(git)) if before else []
    return []


async def _branches(git: Git) -> set[str]:
    listed = await git.line("for-each-ref", "--format=%(refname:lstrip=2)", f"refs/heads/{ROOT}/")
    return set(listed.splitlines())


def _found(git: Git, root: Path) -> Iterator[tuple[Path, Worktree | None]]:
    for state in folders_in(*notes_of(root)):
        yield state, found_worktree(git, root, state)


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except (OrchestrationError, OSError) as error:
        log.warning("%s: %s", what, error)
