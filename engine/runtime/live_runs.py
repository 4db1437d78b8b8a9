"""The owner of live runs: the one way in which a run changes, and the one place that commits.

Effects: commits to storage, sets timers, wakes listeners. Signals are decided at once on the owner's own state; events,
values and lock changes of many signals go into one transaction (group commit); dispatch and answers wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.errors import EnvironmentFault, InternalError, OrchestrationError, StateError
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.reducer import fold
from engine.run.state import ZERO
from engine.runtime.projections import samples, session_values, summary_of
from engine.runtime.resource_requests import waits_for_locks
from engine.scheduling import decide
from engine.scheduling.step import at_once
from engine.storage.port import Batch, BreakerAnswer
from engine.tables.locks import Granted, Queued
from engine.values.context import Part, merge_values
from engine.views.durations import leapt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.ids import NodeId, OwnerId, RunId
    from engine.run.events import ValueRef
    from engine.run.state import Contribution, Run
    from engine.runtime.clock import Clock
    from engine.runtime.resource_requests import ResourceRequests
    from engine.scheduling.step import Queues, Step
    from engine.storage.cache import ValueCache
    from engine.storage.port import Storage, TableOutcome

log = logging.getLogger(__name__)
MAX_SLEEP_SECONDS = 60.0
"""Seconds after which due times are looked at again, should the machine have slept."""
RETRY_SECONDS = 5.0
"""How long after a commit that failed the next one may be tried."""


class Observer(Protocol):
    """Looks up what `decide` wants to know about a node."""

    def about(self, run: Run, node: NodeId) -> sig.SupplyObservations:
        """Values for its condition and transforms, and whether a condition about the world holds."""


class Listener(Protocol):
    """Is told what was committed, in order."""

    def __call__(self, run: Run, events: Sequence[ev.Event]) -> None:
        """*run* has moved by *events*; it may be ahead of them already."""


@dataclass(slots=True)
class Decided:
    """What was decided and is not durable yet."""

    batch: Batch = field(default_factory=Batch)
    events: dict[RunId, list[ev.Event]] = field(default_factory=dict)
    """By run, for those who are told."""
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything was decided, or anybody waits."""
        return bool(self.batch or self.waiters)


def not_live(run_id: RunId) -> StateError:
    """What is said to who asks this process for a run that it does not own."""
    return StateError(
        f"run {run_id} is not live in this process",
        code="NOT_OWNED",
        hint="The session that runs it takes reports; `status` and `cancel` work from anywhere.",
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
    ) -> None:
        """Start with no run; `run_flusher` has to run as long as they are used.

        *queues* says which attempts have to wait for their turn before their time runs.
        """
        self.runs: dict[RunId, Run] = {}
        self.listeners: list[Listener] = []
        self.on_fault: list[Callable[[Sequence[Run]], None]] = []
        """Told the runs that are live no more: all of them since a commit has failed, or one that could not go on."""
        self.on_recovery: list[Callable[[], None]] = []
        """Told that such runs may be looked after: commits may be tried again."""
        self.on_tick: list[Callable[[datetime], datetime | None]] = []
        """Told the time when something is due; each says when it wants to be told next."""
        self.on_set_back: list[Callable[[datetime], None]] = []
        """Told the time when the clock was set back, before any run has recorded it."""
        self._storage = storage
        self._values = values
        self._clock = clock
        self._owner = owner
        self._observer = observer
        self._queues = queues
        self._decided = Decided()
        self._wake = asyncio.Event()
        self._flushing = False
        self._fault: OrchestrationError | None = None
        self._requests = requests
        self._claims_until: dict[RunId, datetime] = {}
        """When a run that waits for its own locks gives up."""
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._armed: datetime | None = None

    def start(self, signal: sig.StartRun) -> Run:
        """Create a run; it is durable once `committed` returns."""
        self._check()
        now = self._now()
        step = decide.start(signal, now, self._queues)
        self.runs[signal.run] = step.run
        self._carry_out(step, now)
        self._claim_for(step.run)
        return step.run

    def adopt(self, run: Run, signal: sig.Signal) -> None:
        """Go on with a run folded from its journal, by *signal*."""
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
        """The time of a decision; where the clock has jumped since the last one, every live run records that first.

        It is the machine's at the first decision of a commit, from where it goes on as time is lived.
        """
        by = ZERO if self._wake.is_set() else self._clock.jump()
        now = self._clock.now()
        if by:
            log.warning("the clock of this machine jumped %s", leapt(by))
            for tell in self.on_set_back if by < ZERO else ():
                tell(now)
            for run in list(self.runs.values()):
                if not run.ended:
                    with contextlib.suppress(OrchestrationError):  # that run is let go, and no other
                        self._decide(run, sig.LeapClock(now - by), now)
            self._claims_until = {run: until + by for run, until in self._claims_until.items()}
        return now

    def _claim_for(self, run: Run) -> None:
        """Ask for the locks that the run itself holds from start to end."""
        plan = run.plan
        if run.status is ev.RunStatus.PENDING and plan.locks:
            now = self._clock.now()
            self._decided.batch.lock_ops.append(
                self._requests.request(run, None, plan.locks, wait=plan.lock_wait, now=now)
            )
            self._claims_until[run.id] = now + plan.lock_wait
            self._arm(self._claims_until[run.id])
            self._wake.set()

    def send(self, run_id: RunId, signal: sig.Signal) -> None:
        """Decide *signal* now; what follows from it is durable once `committed` returns.

        Raises `StateError` where the run is in no state for it, or is not owned here.
        """
        self._check()
        now = self._now()
        run = self.runs.get(run_id)
        if run is None:
            raise not_live(run_id)
        if run.is_due(now) and not isinstance(signal, sig.Tick | sig.Interrupt):
            self._decide(run, sig.Tick(), now)  # what comes late comes after it
        self._decide(run, signal, now)

    def _decide(self, run: Run, signal: sig.Signal, now: datetime) -> None:
        try:
            step = decide.decide(run, signal, now, self._queues)
        except StateError:  # nothing was changed
            raise
        except Exception as error:  # ours
            raise self._let_go(run, error) from error
        self._carry_out(step, now)

    def _carry_out(self, step: Step, now: datetime) -> None:
        """Keep what was decided, and let it go on with what it wants to know: it is one decision, and has one time."""
        run, batch = step.run, self._decided.batch
        events, locks, breakers = len(batch.events), len(batch.lock_ops), len(batch.breaker_ops)
        try:
            while True:
                self._collect(run, step.events)
                if step.wants is None:
                    return
                step = decide.decide(run, self._observer.about(run, step.wants), now, self._queues)
        except Exception as error:  # ours
            del batch.events[events:], batch.lock_ops[locks:], batch.breaker_ops[breakers:]
            raise self._let_go(run, error) from error

    def _let_go(self, run: Run, error: Exception) -> InternalError:
        """Go on without *run*, which is ahead of its journal by something that nobody knows; gives what to say of it.

        What was decided about it before becomes durable all the same: whoever finds it without an owner goes on there.
        """
        log.error("a decision about run %s failed", run.id, exc_info=error)
        self._forget(run)
        self._decided.events.pop(run.id, None)
        batch = self._decided.batch
        before = [event for name, _place, event in batch.events if name == run.id]
        if before and isinstance(before[0], ev.RunCreated):  # else it has a row, which whoever finds it will write anew
            batch.summaries[run.id] = summary_of(fold(before), self._owner)
        self._wake.set()
        for listener in self.on_fault:
            listener([run])
        for look in self.on_recovery:
            look()
        return InternalError(f"a decision about run {run.id} failed: {type(error).__name__}: {error}")

    def _forget(self, run: Run) -> None:
        """The run is live no more."""
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
            self._wake.set()
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
        for tell in self.on_tick:
            self._arm(tell(now))
        if any(waits_for_locks(run) for run in self.runs.values()):
            self._decided.batch.lock_ops.append(lambda table: table.expire(now, self._owner))
            self._wake.set()

    def _guard(self, run: RunId, signal: sig.Signal) -> None:
        """Send from a callback, where nobody could catch."""
        try:
            self.send(run, signal)
        except OrchestrationError as error:
            log.warning("signal %s to run %s refused: %s", type(signal).__name__, run, error)

    def touch(self) -> None:
        """Commit though nothing was decided: what keeps commits from being made is met now, and not hours later."""
        self._decided.batch.lock_ops.append(lambda _table: [])
        self._wake.set()

    async def committed(self) -> None:
        """Wait until everything decided so far is durable; raises the fault that keeps it from being."""
        self._check()
        if not self._decided and not self._flushing:
            return
        done = asyncio.get_running_loop().create_future()
        self._decided.waiters.append(done)
        self._wake.set()
        await done

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def run_flusher(self) -> None:
        """Commit what was decided, again and again, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._flushing = True
            try:
                await self._flush()
            except EnvironmentFault as fault:
                self._fail(fault)
            except Exception as error:  # ours; whoever waits must hear of it all the same
                log.exception("a commit failed")
                self._fail(InternalError(f"a commit failed: {type(error).__name__}: {error}"))
            finally:
                self._flushing = False

    async def _flush(self) -> None:
        """Commit what was decided, and what follows from the answers of locks and breakers, in one transaction."""
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
        self._told(taken)

    def _take(self, known: Sequence[Decided] = ()) -> Decided:
        """What was decided since the last time, complete; values in *known* are on their way already."""
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
        if len(parts) == 1:
            return parts[0].ref
        try:
            return self._values.put(merge_values([Part(part.merge, self._values.get(part.ref)) for part in parts]))
        except OrchestrationError as error:  # nobody has read it, so that its run did not fail of it either
            log.warning("a persisted value is not kept: %s", error)
            return None

    def _told(self, taken: Sequence[Decided]) -> None:
        """All of *taken* is durable: tell whoever has to hear of it."""
        for part in taken:
            self._values.committed(part.batch.values)
        for part in taken:
            for run_id, events in part.events.items():
                self._tell(run_id, events)
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

    def _tell(self, run_id: RunId, events: Sequence[ev.Event]) -> None:
        for listener in self.listeners:
            run = self.runs.get(run_id)
            if run is None:  # it was let go meanwhile
                return
            try:
                listener(run, events)
            except Exception:
                log.exception("a listener of run %s failed", run_id)

    def table_outcome(self, outcome: TableOutcome) -> None:
        """Tell a run of this process what became of its claim, or what a circuit breaker answered."""
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
        """Let go of all live runs: they are ahead of their journals, since what was decided cannot be made durable.

        What the journals say is the truth again; who finds a run there without an owner records it as interrupted.
        """
        log.error("all live runs are let go: %s", fault)
        self._fault = fault
        gone = list(self.runs.values())
        self.runs.clear()
        self._claims_until.clear()
        self.stop_timer()
        waiters = self._decided.waiters
        self._decided = Decided()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(fault)
        self._retry = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._recover)
        for listener in self.on_fault:
            listener(gone)

    def _recover(self) -> None:
        self._fault = self._retry = None
        for listener in self.on_recovery:
            listener()

    def stop_timer(self) -> None:
        """Set no timer any more; used when the engine closes."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._timer = self._armed = self._retry = None
