"""`Engine`: start, watch, cancel and resume the runs of one project.

Effects: owns the state folder, the tasks and the processes of its live runs. It translates calls to signals and reads
to projections; the scheduler has the rules of a run.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import InputError, StateError
from engine.executors.orphans import end_left
from engine.executors.port import NO_OUTBOX
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.git import nothing
from engine.executors.worktrees.leftover import forget
from engine.graph import check_fan_out, with_estimates
from engine.ids import OwnerId, RunId, parse_attempt_id
from engine.model.agent import Agent, AgentKind
from engine.run import signals as sig
from engine.run.events import Limits, RunStatus, ValueRef
from engine.run.state import END_STATES
from engine.runtime.activity import Activity
from engine.runtime.archive import Archive
from engine.runtime.attempts import Attempts
from engine.runtime.garbage_collector import patient_collector
from engine.runtime.heartbeats import send_heartbeats
from engine.runtime.inbox import POLL_SECONDS, Inbox
from engine.runtime.live_runs import LiveRuns
from engine.runtime.notifier import Notifier
from engine.runtime.observations import ProjectObserver
from engine.runtime.outcome_cleanup import OutcomeCleanup
from engine.runtime.owner import FileOwner, Reader
from engine.runtime.permits import Permits
from engine.runtime.placement import Placement
from engine.runtime.pruning import prunable
from engine.runtime.recovery import Recovery
from engine.runtime.resource_requests import ResourceRequests, release_of_the_dead
from engine.runtime.run_notes import note_runs
from engine.runtime.view import View
from engine.scheduling import decide
from engine.scheduling.outcomes import is_clients
from engine.statefolder.location import Location
from engine.storage.attempt_logs import remove_logs
from engine.storage.cache import ValueCache
from engine.storage.port import Batch, Message
from engine.values.arguments import bind_arguments, initial_context, resumed_agents, working_agents
from engine.views.locks import LockLine, lock_lines
from engine.views.status import stopped_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from engine.executors.port import EndOrphans, Executor, Outbox, Outcome, WorkOrder
    from engine.executors.worktrees.git import Allows
    from engine.ids import AttemptId, NodeId
    from engine.model.plan import Plan
    from engine.model.policy import Failure
    from engine.run.state import Run
    from engine.runtime.attempt_logs import AttemptLogs
    from engine.runtime.clock import Clock
    from engine.runtime.owner import Owner
    from engine.storage.port import RunSummary, Storage
    from engine.tables.breakers import BreakerConfig

__all__ = ["DEFAULT_PARALLELISM", "Engine", "View"]

T = TypeVar("T")

DEFAULT_PARALLELISM = 10
"""Default maximum of agents running at once in one run."""


class Engine:
    """The runs of one project, in one process."""

    traceparent = ""  # the span of a tracing system in which runs are asked for

    def __init__(
        self,
        project: Path,
        *,
        storage: Storage,
        owner: Owner | None,
        clock: Clock,
        executors: Mapping[AgentKind, Executor],
        orphans: EndOrphans = end_left,
        outbox: Outbox = NO_OUTBOX,
        location: Location | None = None,
        logs: AttemptLogs | None = None,
    ) -> None:
        """Use `open_engine` for the ordinary engine; this takes its parts, so that a simulation can use others."""
        self.project = project
        self.location = location or Location(project, project)
        self.clock = clock
        self.storage = storage
        self.notifier = Notifier()
        self.activity = Activity(self.notifier)
        self.values = ValueCache(storage, now=clock.now, on_overflow=self.activity.cache_overflow)
        self.executors: dict[AgentKind, Executor] = dict(executors)
        self.custom_executors: dict[str, Executor] = {}
        self.conditions: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
        self.allows: Allows = nothing
        """Whether the user trusts a filter or merge driver in the repository's own configuration."""
        self.idle_timeout: timedelta | None = None
        """Default of how long an agent may be silent; None: forever."""
        self._owner = owner
        self._end_orphans = orphans
        self._owner_id = owner.id if owner is not None else OwnerId("o-simulation")
        observer = ProjectObserver(
            project, self.values, last_run_completed=self._last_run_completed, custom=self.conditions
        )
        self.breakers: dict[str, BreakerConfig] = {}
        """Circuit breakers by name; set before a run starts (SPEC 9)."""
        self.placement = Placement(self.executors, self.custom_executors)
        self.live_runs = LiveRuns(
            storage,
            self.values,
            clock,
            owner=self._owner_id,
            observer=observer,
            requests=ResourceRequests(self._owner_id, self.breakers),
            queues=self.placement.queues,
            elsewhere=self.placement.elsewhere,
        )
        self.activity.runs = self.live_runs.runs
        self.permits = Permits(self.live_runs.runs, clock, self._warn)
        self._attempts = self._new_attempts(logs)
        self.live_runs.listeners += [lambda run, _events: self.notifier.moved(run.id), self.permits.committed]
        self._outcome_cleanup = OutcomeCleanup(self.live_runs, outbox, self._attempts.report_of, self.activity.warn)
        self.archive = self._new_archive()
        self._recovery = Recovery(self.live_runs, self.archive, self.notifier)
        self._inbox = Inbox(storage, self.live_runs, self.archive)
        self.notices = self.archive.notices
        self._tasks: list[asyncio.Task[None]] = []

    def _new_attempts(self, logs: AttemptLogs | None) -> Attempts:
        return Attempts(
            self.live_runs,
            self.values,
            project=self.project,
            clock=self.clock,
            choose=self.placement.choose,
            idle_limit=self._idle_limit,
            permit=self.permits.attempt,
            on_action=self.activity.act,
            logs=logs,
        )

    def _new_archive(self) -> Archive:
        return Archive(
            self.storage,
            self.live_runs,
            owner=self._owner,
            owner_id=self._owner_id,
            now=self.clock.now,
            end_orphans=self._end_orphans_of,
            reports=self._outcome_cleanup.reports,
            placement=self.placement,
        )

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Engine]:
        """Run the engine during the block; at its end, live runs are ended and recorded as interrupted."""
        work = [self.live_runs.run_flusher()]
        if self._owner is not None and not isinstance(self._owner, Reader):
            # A heartbeat in the old time would count as lived time if this process were killed.
            self.live_runs.on_set_back.append(self._owner.renew)
            work += [send_heartbeats(self._owner, self.live_runs, self._recovery, self.clock), self._inbox.read()]
        if isinstance(self._owner, FileOwner):
            work.append(note_runs(self._owner.note, self.live_runs, self.clock, self.storage.estimates))
        self._tasks = [asyncio.create_task(one) for one in work]
        try:
            with patient_collector():
                yield self
        finally:
            await uncancelled(self._close())

    async def _close(self) -> None:
        await self._attempts.close()
        self.live_runs.stop_timer()
        for run_id in list(self.live_runs.runs):
            with contextlib.suppress(Exception):
                self.live_runs.send(run_id, sig.Interrupt())
        with contextlib.suppress(Exception):
            await self.live_runs.committed()
        await self._outcome_cleanup.close()
        self.live_runs.stop_timer()
        self._recovery.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.storage.close()
        if self._owner is not None:
            self._owner.close()

    async def clean_up(self) -> None:
        """Clean up after dead processes: their runs and orphans."""
        try:
            await self.archive.look_after_all()
        finally:
            await self._end_orphans(self.project)
        await self._outcome_cleanup.clean_up(self.archive)

    async def _end_orphans_of(self, run: RunId, lost: Sequence[AttemptId], worktree: str) -> None:
        await self._attempts.ended(run)
        await self._end_orphans(self.location.folder_of(worktree), lost=lost)

    async def start(
        self,
        plan: Plan,
        *,
        arguments: str | Mapping[str, Any] | None = None,
        executor: str = "native",
        limits: Limits | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> RunId:
        """Start a run of *plan*; it is durable when this returns.

        *executor* is already resolved: `native` (no model needed), `claude`, `host` or `simulate`; *definition* is kept
        with the run. Raises `InputError` if an argument is missing, `EnvironmentFault` if an agent cannot be isolated.
        """
        given, text = bind_arguments(plan, arguments)
        limits = (limits or Limits()).over(Limits(max_parallelism=DEFAULT_PARALLELISM))
        kept: dict[str, ValueRef] = {}
        if executor != "simulate":
            check_fan_out(plan, limits)
            await self._check_agents(working_agents(plan, given), executor)
            plan, kept = with_estimates(plan, await self.storage.estimates(plan.command)), await self._session(plan)
        # Nothing is awaited from here to the start: values that no run refers to may be pruned at any time.
        initial = {key: ref for key, ref in kept.items() if self.values.renew(ref)}
        initial |= {key: self.values.put(value) for key, value in {**initial_context(plan, text), **given}.items()}
        run = self.live_runs.start(
            sig.StartRun(
                run=self.clock.new_run_id(),
                plan=plan,
                owner=self._owner_id,
                executor=executor,
                initial=initial,
                arguments=text,
                limits=limits,
                worktree=self.location.worktree,
                definition=None if definition is None else self.values.put(definition),
                traceparent=self.traceparent,
            )
        )
        await self.live_runs.committed()
        return run.id

    async def _check_agents(self, agents: Sequence[Agent], executor: str) -> None:
        """Raise if one of *agents* may not run, or one that this process runs cannot be isolated as requested."""
        self.permits.begin(agents)
        await self.placement.check(agents, executor, self.project, allows=self.allows)

    async def _session(self, plan: Plan) -> dict[str, ValueRef]:
        produced = {output.key for node in plan.nodes for output in node.outputs}
        rows = await self.storage.session_values(self.clock.now())
        return {row.key: ValueRef(row.digest, row.size) for row in rows if row.key not in produced}

    async def read(self, run_id: RunId | None, project: Callable[[View], T]) -> T:
        """The result of *project* for *run_id* (default: the newest run); it is durable when this returns.

        The live state may be ahead of the journal, so it is projected first, and returned once that is durable.
        Raises `NotFound`.
        """
        run = await self.archive.find(run_id)
        estimates = await self.storage.estimates(run.plan.command) if not run.ended else {}
        locks = await self._locks_of(run)
        run = self.live_runs.runs.get(run.id) or await self.archive.find(run.id)  # it may have been dropped meanwhile
        async with self.archive.reading(run.id):
            shown = project(
                View(
                    run=run,
                    actions=self.activity.actions(run.id),
                    estimates=estimates,
                    now=self.clock.now(),
                    work=tuple(self.open_work(run)),
                    stop=stopped_work(run) if run.executor == "host" else (),
                    locks=locks,
                    warnings=(*self.notices, *self.activity.warnings(run.id)),
                )
            )
        if run.id in self.live_runs.runs:
            await self.live_runs.committed()
        return shown

    async def _locks_of(self, run: Run) -> tuple[LockLine, ...]:
        if not run.uses_locks or (run.ended and run.status is not RunStatus.INTERRUPTED):
            return ()
        return tuple(line for line in lock_lines(await self.storage.claims()) if line.run == run.id)

    async def view(self, run_id: RunId | None = None) -> View:
        """The state of *run_id* (default: the newest run), not necessarily durable; use `read` for output."""
        return await self.read(run_id, lambda view: view)

    async def wait(self, run_id: RunId, seconds: float) -> bool:
        """Wait at most *seconds* until *run_id* changes; returns early for polled runs of other processes."""
        if run_id in self.live_runs.runs:
            return await self.notifier.wait(run_id, seconds)
        return await self.notifier.wait(run_id, min(seconds, POLL_SECONDS))

    async def cancel(self, run_id: RunId, *, reason: str = "", compensate: bool = True) -> None:
        """Ask *run_id* to end; for a run of another process, post the request to its inbox and return at once.

        An interrupted run is resumed for this. Raises `StateError`, `NotFound`.
        """
        run = await self._durable(run_id)
        if run.status is RunStatus.INTERRUPTED:
            try:
                await self._take_up(run)
            except StateError:
                run = await self.archive.find(run_id)
                if run.ended:
                    raise
        if run.id in self.live_runs.runs:
            self.live_runs.send(run.id, sig.RequestCancel(reason, compensate))
            await self.live_runs.committed()
        elif not run.ended:
            payload = {"reason": reason, "compensate": compensate}
            await self.storage.post(Message(run=run.id, kind="cancel", payload=payload))

    async def resume(self, run_id: RunId, *, failed: bool = False, limits: Limits | None = None) -> None:
        """Resume an interrupted run, or retry a failed one; *limits* override those it had.

        Raises `StateError`, `NotFound`.
        """
        await self._take_up(await self._durable(run_id), failed=failed, limits=limits)
        await self.live_runs.committed()

    async def _durable(self, run_id: RunId) -> Run:
        """The run; if it just ended in this process, waits until that is durable, so any process may take it over."""
        run = await self.archive.find(run_id)
        if run.ended and run.id in self.live_runs.runs:
            await self.live_runs.committed()
            run = await self.archive.find(run_id)
        return run

    async def _take_up(self, run: Run, *, failed: bool = False, limits: Limits | None = None) -> None:
        if not run.ended:
            here = run.id in self.live_runs.runs
            raise StateError(
                f"run {run.id} is {run.status} {'and runs in this process' if here else 'in another process'}",
                code="NOT_RESUMABLE",
                hint=None if here else "Cancel it there or wait.",
            )
        decide.check_resumable(run, failed=failed)
        self.location.check(run.id, run.worktree)
        await self._check_agents(resumed_agents(run.plan, run.executor), run.executor)
        if not await self.archive.take_up(run.id, sig.Resume(self._owner_id, failed, limits)):
            raise StateError(f"run {run.id} was resumed by another process in the meantime", code="NOT_RESUMABLE")

    def open_work(self, run: Run) -> list[WorkOrder]:
        """Work orders for the client, if *run* is owned here and delegated to it."""
        return self._attempts.open_work(run) if run.executor == "host" and run.id in self.live_runs.runs else []

    async def locks(self) -> list[LockLine]:
        """All held and awaited locks, after freeing or reserving those of dead processes."""
        await self.archive.look_after_all()
        return lock_lines(await self.storage.claims())

    async def release_locks(self, run_id: RunId) -> list[LockLine]:
        """Give up the locks reserved for the dead *run_id*, whose work stays as it is; returns those released.

        Raises `NotFound`, and `StateError` for a live run.
        """
        row = await self.archive.row(run_id)
        if row.status not in END_STATES:
            raise StateError(
                f"run {run_id} is {row.status} and needs its locks",
                code="RUN_IS_LIVE",
                hint=f"Run `orchestrate cancel {run_id}` to end it and give them up.",
            )
        await self.archive.end_elsewhere(run_id)
        lines = [line for line in lock_lines(await self.storage.claims()) if line.run == run_id]
        for outcome in await self.storage.commit(Batch(lock_ops=[release_of_the_dead(run_id)]), self._owner_id):
            self.live_runs.table_outcome(outcome)
        return lines

    async def prune(
        self, *, keep: int | None = None, older_than: timedelta | None = None, interrupted: bool = False
    ) -> list[RunSummary]:
        """Remove runs beyond the newest *keep*, and those that ended longer ago than *older_than*; returns them.

        Never a live run, and interrupted ones only with *interrupted*; their locks are given up, and the branches with
        changes of their isolated agents are removed.
        """
        before = None if older_than is None else self.clock.now() - older_than
        rows = await self.archive.look_after_all()
        gone = prunable(rows, keep=keep, before=before, interrupted=interrupted)
        for row in gone:
            await self.archive.end_elsewhere(row.id)
        names, outcomes = await self.storage.remove(gone, self._owner_id)
        await forget(self.project, names)
        await asyncio.to_thread(remove_logs, self.location.state, names)
        self.archive.forget()
        for outcome in outcomes:
            self.live_runs.table_outcome(outcome)
        return [row for row in gone if row.id in names]

    async def report(self, attempt: str, outcome: Outcome | None) -> None:
        """Process a report of the client on its work; without an outcome it is a heartbeat.

        Raises `StateError` if late, `InputError` for a bad id.
        """
        parsed = parse_attempt_id(attempt)
        if parsed is None:
            raise InputError(f'"{attempt}" is not an attempt id', code="INVALID_ATTEMPT")
        run_id, node, number = parsed
        run = self.live_runs.runs.get(run_id)
        state = None if run is None else run.nodes.get(node)
        tried = None if state is None else next((one for one in state.attempts if one.number == number), None)
        if run is not None and state is not None and tried is not None and not is_clients(run, state, tried.role):
            raise StateError(f'node "{node}" is not executed by the client', code="NOT_REPORTABLE")
        alive = sig.RenewAttempt(node, number)
        report = alive if outcome is None else self._attempts.to_report(run_id, node, number, outcome)
        self.live_runs.send(run_id, report)
        await self.live_runs.committed()

    async def decide(self, run_id: RunId, node: NodeId, answer: str, *, failure: Failure | None = None) -> None:
        """Pass on a person's answer to an approval or a decision; a run of another process finds it in its inbox.

        *failure* is recorded for a no, in a run of this process. Raises `StateError`, `NotFound`.
        """
        run = await self.archive.find(run_id)
        if run.id in self.live_runs.runs:
            self.live_runs.send(run.id, sig.Decide(node, answer, failure))
            await self.live_runs.committed()
        else:
            decide.check_answer(run, node, answer)
            await self.storage.post(Message(run=run.id, kind="decide", payload={"node": node, "answer": answer}))

    def _warn(self, run_id: RunId, node: NodeId | None, text: str) -> None:
        """Warn about a run at once, and with the attempt of *node* in its journal."""
        self.activity.warn(run_id, text)
        self._attempts.warn(run_id, node, text)

    def _idle_limit(self, run: Run, agent: Agent) -> timedelta | None:
        """How long *agent* may be silent; only programs connected by pipes send heartbeats by themselves."""
        if run.executor == "simulate" or not agent.kind.traits.sends_heartbeats:
            return None
        return agent.idle_timeout or self.idle_timeout

    def _last_run_completed(self, command: str) -> bool:
        return self.storage.last_status(f"/{command.removeprefix('/')}") is RunStatus.COMPLETED
