"""Runs decided attempts: takes them after their commit, executes them, reports their outcomes.

Effects: one asyncio task per attempt.

Theory of operation
===================

**The problem.** Each attempt must run once, end when its run stops it or when it falls silent, and report exactly once;
but its task may raise, be cancelled before its first step, or finish just as it is cancelled.

**The idea.** The commit of `AttemptScheduled` creates a task, that of `AttemptStopping` cancels it; however it ends,
`_ended` reports one `Outcome`. This module decides nothing: deadlines and retries are rules of the scheduler. An
executor ends the programs that it started before `execute` returns, so a report means that none still runs but those it
names (`left`).

**Invariants.** `_works` holds an attempt from its start to its report, and its removal is what makes the report unique.
Python never runs the body of a task that is cancelled before its first step, so `_cancel` reports in its place
(`begun`); otherwise such an attempt would stay live forever. Nothing is reported while closing: the journal keeps these
attempts live, and a resume treats them as lost. Outputs are checked and redacted before they are stored.

**Silence.** Only this module sees heartbeats, so it reports attempts that exceed their idle limit (`_end_silent`). It
measures in seconds of the event loop, which a jump of the clock does not move, and only once their turn has come.

**Work of the client** has no executor and no task; `open_work` describes it, and the client reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from engine.errors import OrchestrationError, StateError
from engine.executors.port import CLOSING, TIME_IS_UP, Outcome, WorkOrder
from engine.json.values import json_problem
from engine.model.log import LogKind, LogLine
from engine.model.plan import NodeKind
from engine.model.policy import CompensationType, Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Role
from engine.run.state import agent_of
from engine.runtime.live_runs import not_live
from engine.runtime.orders import make_order, scheduling_of
from engine.text.redaction import excerpt, redact, redact_data
from engine.values import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from engine.executors.port import Executor
    from engine.ids import NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.plan import NodePlan
    from engine.run.state import NodeState, Run
    from engine.runtime.attempt_logs import AttemptLog, AttemptLogs
    from engine.runtime.clock import Clock
    from engine.runtime.live_runs import LiveRuns
    from engine.storage.cache import ValueCache

log = logging.getLogger(__name__)
MAX_TAIL_LENGTH = 8 * 1024
"""Characters of an attempt's last output that are kept for its failure."""


class Chooser(Protocol):
    """Finds the executor of an agent; None if the client does its work."""

    def __call__(self, run: Run, agent: Agent) -> Executor | None:
        """The executor of *agent* in *run*."""


class Limits(Protocol):
    """Says how long an agent may be silent; None: forever."""

    def __call__(self, run: Run, agent: Agent) -> timedelta | None:
        """The idle limit of *agent* in *run*."""


Key: TypeAlias = "tuple[RunId, NodeId, int]"
"""An attempt: run, node, number."""


class _Work(msgspec.Struct):
    """One attempt that runs in this process, and its heartbeats."""

    limit: timedelta | None
    """How long it may be silent; None: forever, or while it waits for its turn."""
    seconds: Callable[[], float]
    """The clock of the event loop, which jumps of the system clock do not affect."""
    last: float = 0.0
    """The time of its last heartbeat."""
    tail: str = ""
    task: asyncio.Task[None] | None = None
    warned: bool = False
    """A warning about it was recorded before it began."""
    begun: bool = False
    """Its task has taken the first step; a task that is cancelled earlier never does."""
    standing: bool = False
    """Another machine runs it for an earlier owner: to end it, its executor has to be asked."""
    log: AttemptLog | None = None


class _AttemptHeartbeat(msgspec.Struct):
    """The `Heartbeat` of one attempt."""

    attempts: Attempts
    key: Key
    work: _Work
    agent: Agent

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:
        """See `Heartbeat.__call__`."""
        self.attempts.alive(self.key, self.work, action, said)
        lines = _lines(action, said) if log is None else log
        if lines and self.work.log is not None:
            self.work.log.add(lines)

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        """See `Heartbeat.started`."""
        self.attempts.started(self.key, self.work, self.agent, worker, ago)


class Attempts:
    """The attempts that run in this process."""

    def __init__(
        self,
        live_runs: LiveRuns,
        values: ValueCache,
        *,
        project: Path,
        clock: Clock,
        choose: Chooser,
        idle_limit: Limits,
        permit: Callable[[RunId, Agent, NodeId], None],
        on_action: Callable[[RunId, NodeId, str | None], None],
        logs: AttemptLogs | None = None,
    ) -> None:
        """*permit* raises if an agent may not make its attempt, as it may have changed since the run began.

        *on_action* is called for each heartbeat, with one line about the agent's action if known. *logs* keeps what
        agents print, say and do.
        """
        self._live_runs = live_runs
        self._values = values
        self._project = project
        self._clock = clock
        self._choose = choose
        self._idle_limit = idle_limit
        self._permit = permit
        self._on_action = on_action
        self._logs = logs
        self._works: dict[Key, _Work] = {}
        self._closing = False
        live_runs.on_tick.append(self._end_silent)
        live_runs.listeners.append(self._committed)
        live_runs.on_fault.append(self._drop)

    def _committed(self, run: Run, events: Sequence[ev.Event]) -> None:
        for event in events:
            if type(event) is ev.AttemptScheduled:
                self._begin(run, event)
            elif type(event) is ev.AttemptStopping:
                self._cancel((run.id, event.node, event.number), event.failure.kind)
            elif type(event) is ev.RunResumed:
                for name in event.standing:
                    self._reattach(run, run.nodes[name])
            elif type(event) is ev.RunInterrupted:
                self._drop([run])
        if run.ended and self._logs is not None:
            self._logs.forget(run.id)

    def _begin(self, run: Run, event: ev.AttemptScheduled, *, reattached: bool = False) -> None:
        node = run.nodes[event.node]
        if node.plan.kind is NodeKind.SUB_COMMAND and event.role is Role.FORWARD:
            return  # its nodes do the work
        agent_name = node.plan.worker(undo=event.role is Role.COMPENSATE)
        agent = run.plan.agents.get(agent_name)
        if node.live is None or node.live.number != event.number or self._closing:
            return
        if agent is None:
            failure = Failure(FailureKind.ERROR, "AGENT_NOT_FOUND", f'agent "{agent_name}" is not in the plan')
            self._report(run.id, event.node, event.number, Outcome(failure=failure, begun=False))
            return
        executor = self._choose(run, agent)
        if executor is None:
            order = self._order(run, event, agent, None)
            if isinstance(order, Outcome):  # there is nothing to hand out
                self._report(run.id, event.node, event.number, order)
            return
        key = (run.id, event.node, event.number)
        loop = asyncio.get_running_loop()
        work = self._works[key] = _Work(None, loop.time)
        work.log = None if self._logs is None else self._logs.open(*key)
        if event.deadline is not None:
            self._watch(work, self._idle_limit(run, agent))
        heartbeat = _AttemptHeartbeat(self, key, work, agent)
        work.standing = reattached
        work.task = loop.create_task(self._attempt(heartbeat, run, event, executor))
        if node.live.stopping is not None:
            self._cancel(key)

    def _reattach(self, run: Run, node: NodeState) -> None:
        """Wait for an attempt that another machine runs for an earlier owner; its executor knows it by its id."""
        live = node.live
        if live is not None:
            self._begin(run, scheduling_of(node, live), reattached=True)

    def _watch(self, work: _Work, limit: timedelta | None) -> None:
        """Let the attempt be silent for *limit* from now on."""
        if limit is not None:
            work.limit, work.last = limit, work.seconds()
            self._live_runs.wake_at(self._clock.now() + limit)

    def alive(self, key: Key, work: _Work, action: str | None, said: str) -> None:
        """Note a heartbeat of an attempt."""
        work.last = work.seconds()
        if said:
            work.tail = (work.tail + said)[-MAX_TAIL_LENGTH:]
        self._on_action(key[0], key[1], action)

    def started(self, key: Key, work: _Work, agent: Agent, worker: str, ago: timedelta) -> None:
        """Note that an attempt has its turn, since *ago*."""
        run_id, node, number = key
        run = self._live_runs.runs.get(run_id)
        live = None if run is None else run.nodes[node].live
        if run is None or live is None or live.number != number or live.started_at is not None:
            return
        self._watch(work, self._idle_limit(run, agent))
        with contextlib.suppress(OrchestrationError):
            self._live_runs.send(run_id, sig.StartAttempt(node, number, worker, ago))

    def warn(self, run: RunId, node: NodeId | None, text: str) -> None:
        """Record the warning *text* with the attempt of *node* that runs here."""
        for key, work in self._works.items():
            if node is not None and key[:2] == (run, node):
                work.warned = True
                with contextlib.suppress(OrchestrationError):
                    self._live_runs.send(run, sig.WarnAttempt(node, key[2], redact(text)))

    def _cancel(self, key: Key, why: FailureKind = FailureKind.CANCEL) -> None:
        """Begin to end an attempt; it reports when it has ended, at once if it has not begun."""
        work = self._works.get(key)
        if work is not None and work.task is not None:
            if work.standing and not work.begun:  # its first step comes before that, and then its executor ends it
                asyncio.get_running_loop().call_soon(self._cancel, key, why)
                return
            expired = TIME_IS_UP if why is FailureKind.TIMEOUT else None
            work.task.cancel(CLOSING if self._closing else expired)
            if not work.begun and not self._closing:
                self._ended(key, _cancelled(work, begun=False))

    def _ended(self, key: Key, outcome: Outcome) -> None:
        """Report the outcome of an attempt."""
        work = self._works.pop(key)
        if work.log is not None:
            work.log.close()
        if not self._closing:
            self._report(*key, outcome)

    def _end_silent(self, now: datetime) -> datetime | None:
        """Report attempts that were silent for too long; returns when the next may have been."""
        next_due = None
        for (run, node, number), work in list(self._works.items()):
            if work.limit is None:
                continue
            silence = timedelta(seconds=work.seconds() - work.last)
            due = now + work.limit - silence
            if silence >= work.limit:
                work.limit = None  # reported once
                with contextlib.suppress(OrchestrationError):
                    self._live_runs.send(run, sig.EndAttempt(node, number, _silent(node, silence)))
            elif next_due is None or due < next_due:
                next_due = due
        return next_due

    async def _attempt(
        self, heartbeat: _AttemptHeartbeat, run: Run, event: ev.AttemptScheduled, executor: Executor
    ) -> None:
        heartbeat.work.begun = True
        try:
            order = self._order(run, event, heartbeat.agent, heartbeat.work)
            if heartbeat.work.warned:  # the attempt may end this process: keep the warning
                await self._live_runs.committed()
            outcome = order if isinstance(order, Outcome) else await executor.execute(order, heartbeat)
        except asyncio.CancelledError as error:
            live = run.nodes[event.node].live
            queued = live is not None and live.started_at is None and not event.elsewhere
            outcome = _cancelled(heartbeat.work, getattr(error, "__notes__", ()), begun=not queued)
        except Exception as error:
            log.exception("executor of %s:%s failed", run.id, event.node)
            message = f"{type(error).__name__}: {error}"
            outcome = Outcome(failure=Failure(FailureKind.ERROR, "EXECUTOR_FAILED", message))
        self._ended(heartbeat.key, outcome)

    def _order(self, run: Run, event: ev.AttemptScheduled, agent: Agent, work: _Work | None) -> WorkOrder | Outcome:
        """The work order for the executor, or the failure that rules it out; no *work*: the client does it."""
        stands = work is not None and work.standing  # its permission was checked before it began
        try:
            if run.executor != "simulate" and work is not None and not stands:
                self._permit(run.id, agent, event.node)
            node = run.nodes[event.node]
            return make_order(run, node, event, agent=agent, values=self._values, project=self._project)
        except OrchestrationError as error:
            failure = Failure(FailureKind.VALIDATION, error.code, error.message, error.hint)
            return Outcome(failure=failure, begun=stands)

    def _report(self, run_id: RunId, node: NodeId, number: int, outcome: Outcome) -> None:
        try:
            if outcome.lost_worker is None:
                self._live_runs.send(run_id, self.to_report(run_id, node, number, outcome))
            else:
                self._live_runs.send(run_id, sig.LoseAttempt(node, number, outcome.lost_worker))
        except StateError as error:
            log.info("report of %s:%s#%d rejected: %s", run_id, node, number, error.message)
        except OrchestrationError:
            log.exception("report of %s:%s#%d could not be processed", run_id, node, number)

    def to_report(self, run_id: RunId, node: NodeId, number: int, outcome: Outcome) -> sig.ReportOutcome:
        """The signal for *outcome*: its outputs checked and stored, or the failure of that check."""
        run = self._live_runs.runs.get(run_id)
        if run is None or node not in run.nodes:
            raise not_live(run_id)
        return self.report_of(run, node, number, outcome)

    def report_of(self, run: Run, node: NodeId, number: int, outcome: Outcome) -> sig.ReportOutcome:
        """Like `to_report`, for a *run* that need not be live."""
        state = run.nodes[node]
        failure = None if outcome.failure is None else _redacted(outcome.failure)
        live = state.live
        plan = state.plan
        usage, in_time, left = outcome.usage, outcome.in_time, outcome.left
        warnings = tuple(map(redact, outcome.warnings)) if outcome.warnings else ()
        if failure is not None or (live is not None and live.role is Role.COMPENSATE) or not plan.outputs:
            return sig.ReportOutcome(node, number, {}, failure, usage, in_time, left, warnings, outcome.begun)
        outputs = context.declared_outputs(plan.outputs, outcome.outputs)
        failure = _check(plan, outputs)
        if failure is not None:
            return sig.ReportOutcome(node, number, {}, failure, usage, left=left, warnings=warnings)
        ttls = {spec.key: spec.ttl for spec in plan.outputs}
        refs = {key: self._values.put(redact_data(value), ttl=ttls[key]) for key, value in outputs.items()}
        return sig.ReportOutcome(node, number, refs, None, usage, in_time, left, warnings)

    def end_all(self) -> None:
        """Begin to end every attempt."""
        for key in list(self._works):
            self._cancel(key)

    def _drop(self, runs: Sequence[Run]) -> None:
        """Begin to end the attempts of *runs*, which were dropped."""
        gone = {run.id for run in runs}
        for key in list(self._works):
            if key[0] in gone:
                self._cancel(key)

    def open_work(self, run: Run) -> list[WorkOrder]:
        """Work orders for the attempts of *run* that the client has to make."""
        orders = []
        for name in sorted(run.live, key=lambda name: run.nodes[name].start_order):
            node = run.nodes[name]
            live = node.live
            undo = live is not None and live.role is Role.COMPENSATE
            agent = agent_of(run, node.plan, undo=undo)
            if live is None or agent is None or live.stopping or self._choose(run, agent) is not None:
                continue
            event = scheduling_of(node, live)
            orders.append(make_order(run, node, event, agent=agent, values=self._values, project=self._project))
        return orders

    async def ended(self, run: RunId) -> None:
        """Wait until no attempt of *run* runs in this process."""
        await self._gone([work for key, work in self._works.items() if key[0] == run])

    async def close(self) -> None:
        """End every attempt and wait until none is left; reports nothing."""
        self._closing = True
        works = list(self._works.values())
        self.end_all()
        await self._gone(works)

    async def _gone(self, works: Sequence[_Work]) -> None:
        tasks = [work.task for work in works if work.task is not None]
        if tasks:
            await asyncio.wait(tasks)


def _lines(action: str | None, said: str) -> Sequence[LogLine]:
    """The lines of a log for a heartbeat that brings none of its own."""
    lines = [LogLine(LogKind.DID, action)] if action else []
    return [*lines, LogLine(LogKind.PRINTED, said)] if said else lines


def _cancelled(work: _Work, notes: Iterable[str] = (), *, begun: bool) -> Outcome:
    """The outcome of a cancelled attempt; *notes* come from its executor."""
    partial = excerpt(work.tail) if work.tail.strip() else None
    hint = " ".join(notes) or None
    failure = Failure(FailureKind.CANCEL, "CANCELLED", "cancelled", hint=hint, partial=partial)
    return Outcome(failure=failure, begun=begun)


def _redacted(failure: Failure) -> Failure:
    """*failure* without secrets."""
    hint, partial = (None if text is None else redact(text) for text in (failure.hint, failure.partial))
    return replace(failure, message=redact(failure.message), hint=hint, partial=partial)


def _silent(node: NodeId, silence: timedelta) -> Failure:
    return Failure(
        FailureKind.TIMEOUT,
        "IDLE_TIMEOUT",
        f'Node "{node}" was silent for {round(silence.total_seconds(), 1):.12g} s',
        hint="Raise `idleTimeoutMs` of its agent, or let the agent report its progress on stderr.",
    )


def _check(plan: NodePlan, outputs: Mapping[str, Any]) -> Failure | None:
    for key, value in outputs.items():
        problem = json_problem(value)
        if problem is not None:
            message = f'output "{key}" of node "{plan.id}" is not JSON: {problem}'
            return Failure(FailureKind.VALIDATION, "INVALID_ANSWER", message)
    compensation = plan.compensation
    cascade = (
        compensation is not None
        and compensation.type is CompensationType.CASCADE
        and FailureKind.VALIDATION in compensation.on
    )
    return context.check_outputs(plan.outputs, outputs, cascade_on_validation=cascade)
