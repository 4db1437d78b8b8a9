"""The live runs of this process: the only module that changes them, and that commits their events.

Effects: commits to storage, sets timers, wakes listeners.

Theory of operation
===================

**The problem.** A disk sync for every report would make a run as slow as the disk. Yet nothing may leave the process (a
started program, an answer to a client) that a crash could undo.

**The idea: decide now, commit soon.** A signal is decided at once on the state in memory, so that the next one sees its
effect. Events, values and table operations of many signals collect in `Decided`, and `run_flusher` commits them in one
transaction (group commit) while new ones collect. Only then are listeners called, which start attempts, and do the
waiters in `committed` return.

**Invariants.** State in memory may be ahead of the journal, but never differs in what the journal has. Listeners see
durable events only, in journal order. Locks and breakers answer inside the transaction, and what follows joins it
(`_flush`), so that a crash leaves neither without the other. A decision has one time, also if it has to fetch
observations; each live run records a jump of the clock before its next decision (`_now`).

**When something fails.** After a failed commit all live runs are ahead of their journals in a way no one can repair, so
all are dropped (`_fail`) and later recorded as interrupted. An error in deciding one run drops that run alone; what was
decided about it before still becomes durable. A run kept after either would write events that do not follow from its
journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault, InternalError, OrchestrationError, StateError
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import ValueRef
from engine.run.reducer import fold
from engine.run.state import ZERO
from engine.runtime.decided import Decided
from engine.runtime.notifier import Bell
from engine.runtime.projections import samples, session_values, summary_of
from engine.runtime.resource_requests import waits_for_locks
from engine.scheduling import admission, decide
from engine.scheduling.step import at_once
from engine.storage.port import BreakerAnswer
from engine.tables.locks import Granted, Queued
from engine.values.reading import joined
from engine.views.durations import leapt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.ids import OwnerId, RunId
    from engine.run.state import Contribution, Run
    from engine.runtime.clock import Clock
    from engine.runtime.decided import Listener, Observer
    from engine.runtime.resource_requests import ResourceRequests
    from engine.scheduling.step import Queues, Step
    from engine.storage.cache import ValueCache
    from engine.storage.port import Batch, Storage, TableOutcome

log = logging.getLogger(__name__)
MAX_SLEEP_SECONDS = 60.0
"""The longest sleep before due times are checked again, in case the machine was suspended."""
RETRY_SECONDS = 5.0
"""The pause after a failed commit before the next one may be tried."""


def not_live(run_id: RunId) -> StateError:
    """The error for a request to this process about a run that it does not own."""
    return StateError(
        f"run {run_id} is not live in this process",
        code="NOT_OWNED",
        hint="Send reports to the session that runs it; `status` and `cancel` work from anywhere.",
    )


class LiveRuns:
    """The live runs of this process."""

    def __init__(
        self,
        storage: Storage,
        values: ValueCache,
        clock: Clock,
        *,
        owner: OwnerId,
        observer: Observer,
        requests: ResourceRequests,
        queues: Queues = at_once,
        elsewhere: Queues = at_once,
    ) -> None:
        """Start with no run; `run_flusher` must run as long as they are used.

        *queues* says which attempts have to wait for their turn before their time starts, *elsewhere* which of them
        another machine runs.
        """
        self.runs: dict[RunId, Run] = {}
        self.listeners: list[Listener] = []
        self.on_fault: list[Callable[[Sequence[Run]], None]] = []
        """Called with dropped runs: all after a failed commit, or the one whose decision failed."""
        self.on_recovery: list[Callable[[], None]] = []
        """Called when dropped runs may be recorded: commits may be tried again."""
        self.on_tick: list[Callable[[datetime], datetime | None]] = []
        """Called with the time when something is due; each returns when to call it next."""
        self.on_set_back: list[Callable[[datetime], None]] = []
        """Called with the time after the clock was set back, before any run has recorded it."""
        self._storage = storage
        self._values = values
        self._clock = clock
        self._owner = owner
        self._observer = observer
        self._placed = queues, elsewhere
        self._decided = Decided()
        self._bell = Bell()
        self._flushing = False
        self._fault: OrchestrationError | None = None
        self._requests = requests
        self._claims_until: dict[RunId, datetime] = {}
        """When a run stops waiting for its own locks."""
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._armed: datetime | None = None

    def start(self, signal: sig.StartRun) -> Run:
        """Create a run; it is durable once `committed` returns."""
        self._check()
        now = self._now()
        step = decide.start(signal, now, *self._placed)
        self.runs[signal.run] = step.run
        self._carry_out(step)
        self._claim_for(step.run)
        return step.run

    def adopt(self, run: Run, signal: sig.Signal) -> None:
        """Continue a run folded from its journal with *signal*."""
        self._check()
        now = self._now()
        self.runs[run.id] = run
        operations = self._decided.batch.lock_ops
        before = len(operations)
        if isinstance(signal, sig.Resume) and run.uses_locks:
            operations.append(self._requests.adoption(run.id))
        try:
            self._decide(run, signal, now)
        except OrchestrationError:
            del operations[before:]
            raise
        self._claim_for(run)

    def _now(self) -> datetime:
        """The time of a decision; if the clock has jumped since the last one, every live run records that first.

        The clock is read at the first decision of a commit; until the next, time advances as it is lived.
        """
        by = ZERO if self._bell.rung else self._clock.jump()
        now = self._clock.now()
        if by:
            log.warning("the clock of this machine jumped %s", leapt(by))
            for callback in self.on_set_back if by < ZERO else ():
                callback(now)
            for run in list(self.runs.values()):
                if not run.ended:
                    with contextlib.suppress(OrchestrationError):  # only that run is dropped
                        self._decide(run, sig.JumpClock(now - by), now)
            self._claims_until = {run: until + by for run, until in self._claims_until.items()}
        return now

    def _claim_for(self, run: Run) -> None:
        """Request the locks that the run itself holds from start to end."""
        plan = run.plan
        if run.status is ev.RunStatus.PENDING and plan.locks:
            now = self._clock.now()
            self._decided.batch.lock_ops.append(
                self._requests.request(run, None, plan.locks, wait=plan.lock_wait, now=now)
            )
            self._claims_until[run.id] = now + plan.lock_wait
            self._arm(self._claims_until[run.id])
            self._bell.ring()

    def send(self, run_id: RunId, signal: sig.Signal) -> None:
        """Decide *signal* now; its events are durable once `committed` returns.

        Raises `StateError` if the run's state does not allow it, or the run is not owned here.
        """
        self._check()
        now = self._now()
        run = self.runs.get(run_id)
        if run is None:
            raise not_live(run_id)
        if run.is_due(now) and not isinstance(signal, sig.Tick | sig.Interrupt):
            self._decide(run, sig.Tick(), now)  # a late signal is decided after what was due
        self._decide(run, signal, now)

    def _decide(self, run: Run, signal: sig.Signal, now: datetime) -> None:
        try:
            step = decide.decide(run, signal, now, *self._placed)
        except StateError:  # nothing was changed
            raise
        except Exception as error:  # a bug of ours
            raise self._drop(run, error) from error
        self._carry_out(step)

    def _carry_out(self, step: Step) -> None:
        """Continue *step* with the observations it wants, and keep its events."""
        run, batch = step.run, self._decided.batch
        events, locks, breakers = len(batch.events), len(batch.lock_ops), len(batch.breaker_ops)
        try:
            while step.wants is not None:
                admission.go_on(step, self._observer.about(run, step.wants))
            self._collect(run, step.events)
        except Exception as error:  # a bug of ours
            del batch.events[events:], batch.lock_ops[locks:], batch.breaker_ops[breakers:]
            raise self._drop(run, error) from error

    def _drop(self, run: Run, error: Exception) -> InternalError:
        """Drop *run*, which is ahead of its journal in an unknown way; returns the error to report.

        Earlier decisions about it still become durable: a process that finds it without an owner continues there.
        """
        log.error("a decision about run %s failed", run.id, exc_info=error)
        self._forget(run)
        self._decided.events.pop(run.id, None)
        batch = self._decided.batch
        before = [event for name, _place, event in batch.events if name == run.id]
        if before and isinstance(before[0], ev.RunCreated):  # else it has a row, which the next owner rewrites
            batch.summaries[run.id] = summary_of(fold(before), self._owner)
        self._bell.ring()
        for listener in self.on_fault:
            listener([run])
        for look in self.on_recovery:
            look()
        return InternalError(f"a decision about run {run.id} failed: {type(error).__name__}: {error}")

    def _forget(self, run: Run) -> None:
        """Take *run* out of the live ones."""
        del self.runs[run.id]
        self._claims_until.pop(run.id, None)

    def _collect(self, run: Run, events: list[ev.Event]) -> None:
        if events:
            place = run.events - len(events)
            batch = self._decided.batch
            for event in events:
                batch.events.append((run.id, place, event))
                place += 1
                self._requests.follow(run, event, batch)
            self._decided.events.setdefault(run.id, []).extend(events)
            self._bell.ring()
        self._arm(run.next_due())

    def wake_at(self, due: datetime) -> None:
        """Have `on_tick` called at *due*, or a little later."""
        self._arm(due)

    def _arm(self, due: datetime | None) -> None:
        if due is None or (self._armed is not None and self._armed <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        delay = min(max(0.0, (due - self._clock.now()).total_seconds()), MAX_SLEEP_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = self._armed = None
        now = self._now()
        for run in list(self.runs.values()):
            if run.is_due(now):
                self._guard(run.id, sig.Tick())
            self._arm(run.next_due())
            if run.status is ev.RunStatus.PENDING and self._claims_until.get(run.id, now) > now:
                self._arm(self._claims_until[run.id])
        for callback in self.on_tick:
            self._arm(callback(now))
        if any(waits_for_locks(run) for run in self.runs.values()):
            self._decided.batch.lock_ops.append(lambda table: table.expire(now, self._owner))
            self._bell.ring()

    def _guard(self, run: RunId, signal: sig.Signal) -> None:
        """Send from a callback, which has no caller to catch an error."""
        try:
            self.send(run, signal)
        except OrchestrationError as error:
            log.warning("signal %s to run %s refused: %s", type(signal).__name__, run, error)

    def touch(self) -> None:
        """Commit although nothing was decided, so that a storage fault shows now and not hours later."""
        self._decided.batch.lock_ops.append(lambda _table: [])
        self._bell.ring()

    async def committed(self) -> None:
        """Wait until everything decided so far is durable; raises the fault if it cannot be."""
        self._check()
        if not self._decided and not self._flushing:
            return
        done = asyncio.get_running_loop().create_future()
        self._decided.waiters.append(done)
        self._bell.ring()
        await done

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def run_flusher(self) -> None:
        """Commit decisions as they come, until cancelled."""
        while True:
            try:
                await self._bell.heard()
                self._flushing = True
                await self._flush()
            except EnvironmentFault as fault:
                self._fail(fault)
            except Exception as error:  # a bug of ours; waiting tasks must still be notified
                log.exception("a commit failed")
                self._fail(InternalError(f"a commit failed: {type(error).__name__}: {error}"))
            except asyncio.CancelledError:
                self._refuse(InternalError("the engine or its event loop ends, and nothing is recorded"))
                raise
            finally:
                self._flushing = False

    async def _flush(self) -> None:
        """Commit the decisions, and those that follow from answers of locks and breakers, in one transaction."""
        taken = [self._take()]

        def follow(outcomes: list[TableOutcome]) -> Batch:
            for outcome in outcomes:
                self.table_outcome(outcome)
            taken.append(self._take(known=taken))
            return taken[-1].batch

        try:
            if taken[0].batch:
                await self._storage.commit(taken[0].batch, self._owner, follow)
        except BaseException:
            self._decided.waiters += [waiter for part in taken for waiter in part.waiters]
            raise
        self._notify(taken)

    def _take(self, known: Sequence[Decided] = ()) -> Decided:
        """Take the decisions since the last call, completed; values in *known* are already being written."""
        taken, self._decided = self._decided, Decided()
        batch = taken.batch
        if batch:
            for run_id, events in taken.events.items():
                run = self.runs[run_id]
                batch.summaries[run_id] = summary_of(run, self._owner)
                for event in events:
                    if isinstance(event, ev.RunEnded) and run.executor != "simulate":
                        batch.session.extend(session_values(run, event, self._refer))
                        batch.samples.extend(samples(run))
            values = self._values.uncommitted()
            batch.values = {
                key: data for key, data in values.items() if not any(key in part.batch.values for part in known)
            }
        return taken

    def _refer(self, parts: Sequence[Contribution]) -> ValueRef | None:
        if len(parts) == 1 and isinstance(parts[0].ref, ValueRef):
            return parts[0].ref
        try:
            return self._values.put(joined(parts, self._values.get))
        except OrchestrationError as error:  # never read, so its run did not fail because of it
            log.warning("a persisted value is not kept: %s", error)
            return None

    def _notify(self, taken: Sequence[Decided]) -> None:
        """All of *taken* is durable: call listeners and wake waiters."""
        for part in taken:
            self._values.committed(part.batch.values)
        for part in taken:
            for run_id, events in part.events.items():
                self._call_listeners(run_id, events)
        for run_id in {run_id for part in taken for run_id in part.events}:
            run = self.runs.get(run_id)
            if run is not None and run.ended and not self._decided.events.get(run_id):
                self._forget(run)
        if not self.runs:
            self._values.clear()
        for part in taken:
            for waiter in part.waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _call_listeners(self, run_id: RunId, events: Sequence[ev.Event]) -> None:
        for listener in self.listeners:
            run = self.runs.get(run_id)
            if run is None:  # it was dropped meanwhile
                return
            try:
                listener(run, events)
            except Exception:
                log.exception("a listener of run %s failed", run_id)

    def table_outcome(self, outcome: TableOutcome) -> None:
        """Send the outcome of a claim, or the answer of a circuit breaker, to a run of this process."""
        if isinstance(outcome, BreakerAnswer):
            answer = sig.AnswerBreaker(outcome.node, outcome.admitted, outcome.until, outcome.failure)
            self._guard(outcome.run, answer)
            return
        holder = outcome.holder
        if holder.run not in self.runs:
            return
        if isinstance(outcome, Granted):
            self._guard(holder.run, sig.GrantLocks(holder.node))
        elif isinstance(outcome, Queued):
            self._guard(holder.run, sig.AwaitLocks(holder.node, outcome.deadline))
        else:
            self._guard(holder.run, sig.RefuseLocks(holder.node, outcome.failure))

    def _fail(self, fault: OrchestrationError) -> None:
        """Drop all live runs: they are ahead of their journals, since their events cannot be made durable.

        The journals are the truth again; a process that finds such a run without an owner records it as interrupted.
        """
        log.error("all live runs are dropped: %s", fault)
        gone = list(self.runs.values())
        self.runs.clear()
        self._claims_until.clear()
        self.stop_timer()
        self._refuse(fault)
        self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._recover)
        for listener in self.on_fault:
            listener(gone)

    def _refuse(self, fault: OrchestrationError) -> None:
        """Answer everyone who waits for a commit, now and later, with *fault*."""
        self._fault = fault
        waiters, self._decided = self._decided.waiters, Decided()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(fault)

    def _recover(self) -> None:
        self._fault = self._retry = None
        for listener in self.on_recovery:
            listener()

    def stop_timer(self) -> None:
        """Cancel all timers; used when the engine closes."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._timer = self._armed = self._retry = None
