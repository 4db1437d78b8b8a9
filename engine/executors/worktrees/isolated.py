"""Lets agents with `isolation: worktree` work in a git worktree of their own, whatever their executor.

Effects: those of `worktree.py`; another executor does the work itself. After a success, the changes are merged
into the project; otherwise, and if they cannot be merged, they are kept on a branch that the failure names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from engine.errors import OrchestrationError
from engine.executors.answer import failed
from engine.executors.port import Executor, Heartbeat, Outcome, WorkOrder, starts_later
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.git import Allows, IsolationUnavailable, nothing
from engine.executors.worktrees.ignored_files import links_of
from engine.executors.worktrees.outcome import put
from engine.executors.worktrees.worktree import Worktree, open_worktree, prepare
from engine.ids import AttemptId, RunId
from engine.model.agent import Agent
from engine.model.policy import FailureKind

WORKTREE = "worktree"
"""The only kind of isolation."""
_ASKING = AttemptId("check:isolation#0")
"""Stands for the attempt when git is queried before there is one."""

log = logging.getLogger(__name__)


class IsolatedExecutor:
    """Passes work orders to another executor, in a worktree if the agent's file says so."""

    def __init__(
        self,
        executor: Executor,
        *,
        permit: Callable[[WorkOrder], None],
        allows: Allows = nothing,
        whole: Callable[[RunId], bool] = lambda _run: False,
        journaled: bool = False,
    ) -> None:
        """*executor* must end all that an attempt has started, and use `order.folder` as its working folder.

        *permit* raises if an agent may not run. It is called again when the worktree is made: the program may have
        changed while the attempt was queued. *allows* says which filters and merge drivers of the repository's
        own may run, *whole* whether folders are linked that the project's settings of Claude Code name. *journaled*:
        the caller reports to an outbox once outcomes are in a journal; until then they are kept beside the notes of
        their merge.
        """
        self._allows = allows
        self._whole = whole
        self._journaled = journaled
        self._executor = executor
        self._permit = permit

    def queues(self, agent: Agent) -> bool:
        """An attempt in a worktree waits until others are done with the project's own files: see `starts_later`."""
        return agent.isolation == WORKTREE or starts_later(self._executor, agent)

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Execute *order*; its worktree is gone when this returns, unless the outcome says otherwise."""
        if order.agent.isolation != WORKTREE:
            return await self._executor.execute(order, heartbeat)
        heartbeat("Making a worktree")
        try:
            _check(order.agent)
            links = await asyncio.to_thread(lambda: links_of(order.project, whole=self._whole(order.run)))
            tree = await open_worktree(order.project, order.attempt, heartbeat, links=links, allows=self._allows)
        except IsolationUnavailable as fault:
            return failed(FailureKind.ERROR, fault.code, fault.message, hint=fault.hint, begun=False)
        except OSError as error:
            what = f"cannot make a worktree: {error}"
            return failed(FailureKind.ERROR, IsolationUnavailable.code, what, begun=False)
        try:
            return await self._work(structs.replace(order, worktree=tree.folder), tree, heartbeat)
        except BaseException as error:
            note = await uncancelled(kept(tree))
            if note:
                log.info("%s: %s", order.attempt, note)
                error.add_note(note)  # a cancelled attempt has no other way to report it
            raise

    async def _work(self, order: WorkOrder, tree: Worktree, heartbeat: Heartbeat) -> Outcome:
        try:
            self._permit(order)
        except OrchestrationError as error:
            outcome = failed(FailureKind.VALIDATION, error.code, error.message, hint=error.hint, begun=False)
        else:
            outcome = await self._executor.execute(order, heartbeat)
        return await settled(order, outcome, tree, heartbeat, journaled=self._journaled)


async def settled(
    order: WorkOrder, outcome: Outcome, tree: Worktree, heartbeat: Heartbeat, *, journaled: bool
) -> Outcome:
    """*outcome* once the changes in *tree* are in the project or, after a failure, on a branch that it names.

    *journaled* as in `IsolatedExecutor`.
    """
    if outcome.failure is None:
        heartbeat("Merging changes")
        refused = await _merge(order, outcome, tree, heartbeat)
        if refused is None:
            await _remove(tree, written=journaled)
            return structs.replace(outcome, in_time=True)  # it is merged: no timeout can undo that
        outcome = structs.replace(refused, usage=outcome.usage)
    return with_hint(outcome, await uncancelled(kept(tree)))


async def check_isolation(project: Path, agents: Iterable[Agent], *, allows: Allows = nothing) -> None:
    """Raise `IsolationUnavailable` if one of *agents*, which run here, cannot have its worktree."""
    isolated = [agent for agent in agents if agent.isolation == WORKTREE]
    for agent in isolated:
        _check(agent)
    if isolated:
        await prepare(project, _ASKING, allows=allows)


def _check(agent: Agent) -> None:
    if agent.keep_processes:
        raise IsolationUnavailable(
            f'the agent "{agent.id}" asks for both a worktree and processes that outlive it',
            hint="Remove `isolation` or `keepProcesses` from its file.",
        )


async def _merge(order: WorkOrder, outcome: Outcome, tree: Worktree, heartbeat: Heartbeat) -> Outcome | None:
    """None if all is merged, or else the failure that says why nothing is."""
    try:
        await asyncio.to_thread(put, tree.state, outcome)
        await tree.merge_back(heartbeat)
    except IsolationUnavailable as fault:
        code, message, hint = "MERGE_REFUSED", fault.message, fault.hint
    except (OSError, ValueError, TypeError) as error:
        code, message, hint = "MERGE_REFUSED", str(error), None
    except OrchestrationError as fault:
        code, message, hint = fault.code, fault.message, fault.hint
    else:
        return None
    return not_merged(order, message, hint, code=code)


def not_merged(order: WorkOrder, message: str, hint: str | None, *, code: str = "MERGE_REFUSED") -> Outcome:
    """The failure of an attempt whose changes cannot be merged because of *message*."""
    text = f'The changes of node "{order.node}" cannot be merged into the project: {message}'
    return failed(FailureKind.ERROR, code, text, hint=hint)


async def _remove(tree: Worktree, *, written: bool) -> None:
    """Remove the merged worktree; a cancel comes too late, and a failure to remove it is not the agent's.

    *written*: the notes about it stay until its outcome is in the journal.
    """
    try:
        await uncancelled(tree.leave() if written else tree.remove())
    except OSError as error:
        log.warning("the worktree %s cannot be removed: %s", tree.place, error)
    except asyncio.CancelledError:
        log.info("%s was cancelled after its work was merged", tree.record.attempt)


async def kept(tree: Worktree) -> str | None:
    """The note about work that was not merged; None if there is none."""
    try:
        where = await tree.keep()
    except (OrchestrationError, OSError) as error:
        log.warning("the changes in the worktree %s cannot be put on a branch: %s", tree.place, error)
        return f"The attempt's changes are in the folder {tree.place}; they cannot be put on a branch: {error}."
    if where is None or tree.branch not in where:
        return where and f"The attempt's changes are kept {where}."
    return (
        f"The attempt's changes are kept {where}. To apply them, run `git cherry-pick {tree.branch}` once your own "
        "changes are committed."
    )


def with_hint(outcome: Outcome, note: str | None) -> Outcome:
    """*outcome* with *note* added to the hint of its failure."""
    if outcome.failure is None or note is None:
        return outcome
    hint = f"{outcome.failure.hint} {note}" if outcome.failure.hint else note
    return structs.replace(outcome, failure=replace(outcome.failure, hint=hint))
