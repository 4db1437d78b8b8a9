"""Requests of a run's events to the project's tables: locks to claim, circuit breakers to ask and report to.

No effects: the operations run inside the commit of the events they follow from, on the tables as they are then. The
plan says which node needs what, `admission` when it asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ids import attempt_id
from engine.model.policy import MODEL_BREAKER, FailureKind
from engine.run import events as ev
from engine.run.events import RunStatus, WaitReason
from engine.run.nesting import inside, outer
from engine.run.state import AFTER_ITS_WORK
from engine.scheduling.outcomes import is_stopping
from engine.scheduling.readiness import breaker_of
from engine.scheduling.saga import locks_to_undo, not_undone
from engine.storage.port import BreakerAnswer
from engine.tables import breakers
from engine.tables.claims import Claim, Holder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from engine.ids import NodeId, OwnerId, RunId
    from engine.model.policy import LockSpec
    from engine.run.state import NodeState, Run
    from engine.storage.port import Batch, BreakerOp, LockOp
    from engine.tables.breakers import BreakerConfig, BreakerState
    from engine.tables.locks import LockOutcome, LockTable


class ResourceRequests:
    """Turns events into operations on the tables."""

    def __init__(self, owner: OwnerId, configs: Mapping[str, BreakerConfig]) -> None:
        """*configs* by breaker name; a name without one has the defaults."""
        self._owner = owner
        self._configs = configs

    def follow(self, run: Run, event: ev.Event, batch: Batch) -> None:
        """Add the operations of *event* to *batch*; most events have none."""
        kind = type(event)
        if kind in _OF_NODES:
            node = run.nodes[event.node]  # type: ignore[union-attr]
            if run.uses_locks and (may_claim(run, node) or node.plan.inner):
                self._locks_of_node(run, node, event, batch)
            if node.plan.breaker is not None or run.scarce or _asks_breaker(event) or _was_admitted(node, event):
                self._breaker_of_node(run, node, event, batch)
        elif kind in _OF_RUNS:
            if run.uses_locks:
                self._locks_of_run(run, event, batch)
            self._breakers_of_run(run, event, batch)
        elif type(event) is ev.ClockJumped and run.uses_locks:
            name, by = run.id, event.at - event.since
            batch.lock_ops.append(lambda table: table.postpone(name, by))

    def request(
        self, run: Run, node: NodeId | None, specs: tuple[LockSpec, ...], *, wait: timedelta, now: datetime
    ) -> LockOp:
        """Claim *specs* for *node*, or for the run itself; the outcome says also that it waits."""
        claim = Claim.of(Holder(run.id, node), self._owner, specs, now=now, max_wait=wait)

        def ask(table: LockTable) -> list[LockOutcome]:
            standing = table.get(claim.holder)
            outcomes: list[LockOutcome] = []
            if standing is not None and standing.specs != specs:
                # The dead owner held it for the node's work; undoing that needs more.
                outcomes += table.release(claim.holder)
            return [*outcomes, *table.request(claim, now), *table.queued(claim.holder)]

        return ask

    def adoption(self, run: RunId) -> LockOp:
        """Hold again what was reserved for *run*, which has a new owner."""

        def adopt(table: LockTable) -> list[LockOutcome]:
            table.adopt(run, self._owner)
            return []

        return adopt

    def _locks_of_run(self, run: Run, event: ev.Event, batch: Batch) -> None:
        name = run.id
        if isinstance(event, ev.RunInterrupted):
            if not not_undone(run) and not works_elsewhere(run):
                batch.lock_ops.append(lambda table: table.release_run(name))
                return
            for node in run.nodes.values():
                if node.plan.locks and node.started_at is None:
                    batch.lock_ops.append(_release(name, node.plan.id))
            batch.lock_ops.append(lambda table: table.reserve(name))
        elif isinstance(event, ev.RunEnded):
            batch.lock_ops.append(lambda table: table.release_run(name))

    def _locks_of_node(self, run: Run, node: NodeState, event: ev.Event, batch: Batch) -> None:
        plan = node.plan
        if plan.inner and isinstance(event, ev.NodeFailed) and not is_stopping(run, plan.id):
            groups = (run.nodes[name].plan for name in inside(run, plan.id) if run.nodes[name].plan.inner)
            batch.lock_ops += [_release(run.id, group.id) for group in groups if group.locks]
        if not may_claim(run, node):
            return
        if isinstance(event, ev.NodeWaiting):
            if event.reason is WaitReason.LOCKS and event.until is None:
                locks = locks_to_undo(run, node) if node.status in AFTER_ITS_WORK else plan.locks
                batch.lock_ops.append(self.request(run, plan.id, locks, wait=plan.lock_wait, now=event.at))
        elif isinstance(event, ev.AttemptFailed | ev.AttemptLost):
            pass  # held during retries; the event that ends the node follows
        elif (
            _has_begun_inside(node)
            and is_stopping(run, plan.id)
            and isinstance(event, ev.NodeFailed | ev.NodeCancelled)
        ):
            batch.lock_ops.append(_stop_waiting(run.id, plan.id))  # nodes inside have yet to end, and to be undone
        elif not (isinstance(event, ev.NodeFailed) and event.compensating):
            batch.lock_ops.append(_release(run.id, plan.id))

    def _breakers_of_run(self, run: Run, event: ev.Event, batch: Batch) -> None:
        if isinstance(event, ev.RunEnded):
            return
        name = run.id
        named = {node.breaker for node in run.plan.with_templates() if node.breaker is not None}
        asked = any((live := run.nodes[node].live) is not None and live.admitted for node in run.live)
        for breaker in {*named, MODEL_BREAKER} if asked else named:
            batch.breaker_ops.append((breaker, lambda state: (breakers.abandon(state, name), None)))

    def _breaker_of_node(self, run: Run, node: NodeState, event: ev.Event, batch: Batch) -> None:
        plan = node.plan
        name = breaker_of(run, node)
        if name is None:
            return
        if _asks_breaker(event):
            batch.breaker_ops.append((name, _ask(run.id, node, name, event.at)))
        elif isinstance(event, ev.AttemptSucceeded):
            batch.breaker_ops.append((name, _success(run.id, plan.id, event.number)))
        elif isinstance(event, ev.AttemptFailed):
            config = self._configs.get(name, breakers.BreakerConfig())
            batch.breaker_ops.append((name, _failure(run.id, event, name, config)))
        elif isinstance(event, ev.NodeFailed | ev.NodeSkipped | ev.NodeCancelled | ev.AttemptLost):
            # It may have been admitted as a trial, and will not call.
            batch.breaker_ops.append((name, lambda state: (breakers.abandon(state, run.id, plan.id), None)))


def release_of_the_dead(run: RunId) -> LockOp:
    """Give up what is reserved for the dead *run*; nothing if another process has resumed it meanwhile."""

    def give_up(table: LockTable) -> list[LockOutcome]:
        return table.release_run(run) if all(claim.reserved for claim in table.of_run(run)) else []

    return give_up


def _asks_breaker(event: ev.Event) -> bool:
    return isinstance(event, ev.NodeWaiting) and event.reason is WaitReason.BREAKER and event.until is None


def _was_admitted(node: NodeState, event: ev.Event) -> bool:
    if isinstance(event, (ev.AttemptSucceeded, ev.AttemptFailed, ev.AttemptLost)):
        return node.attempts[event.number - 1].admitted
    return node.admitted_at is not None


def _release(run: RunId, node: NodeId) -> LockOp:
    return lambda table: table.release(Holder(run, node))


def _stop_waiting(run: RunId, node: NodeId) -> LockOp:
    def give_up(table: LockTable) -> list[LockOutcome]:
        claim = table.get(Holder(run, node))
        return [] if claim is None or claim.granted else table.release(claim.holder)

    return give_up


def _has_begun_inside(node: NodeState) -> bool:
    """Whether *node* is a sub-command that was at work, not one that has only waited to begin."""
    return bool(node.plan.inner) and node.started_at is not None


def _waits(node: NodeState, reason: WaitReason) -> bool:
    return node.waiting is not None and node.waiting.reason is reason


def _ask(run: RunId, node: NodeState, name: str, now: datetime) -> BreakerOp:
    attempt = attempt_id(run, node.plan.id, len(node.attempts) + 1)

    def ask(state: BreakerState) -> tuple[BreakerState, BreakerAnswer]:
        state = breakers.limit_trial_delay(state, now)
        answer = breakers.admit(state, attempt, now)
        if isinstance(answer, breakers.Admitted):
            return answer.state, BreakerAnswer(run=run, node=node.plan.id, admitted=True)
        failure = None if answer.waits else breakers.circuit_open(name, answer)
        until = answer.next_trial_at
        return state, BreakerAnswer(run=run, node=node.plan.id, admitted=False, until=until, failure=failure)

    return ask


def _success(run: RunId, node: NodeId, number: int) -> BreakerOp:
    attempt = attempt_id(run, node, number)
    return lambda state: (breakers.record_success(state, attempt), None)


def _failure(run: RunId, event: ev.AttemptFailed, name: str, config: BreakerConfig) -> BreakerOp:
    attempt = attempt_id(run, event.node, event.number)
    failure = event.failure
    if failure.kind is FailureKind.CANCEL:
        return lambda state: (breakers.record_cancel(state, attempt), None)
    if not breakers.concerns(name, failure.code):  # the service was available
        return lambda state: (breakers.record_success(state, attempt), None)
    return lambda state: (breakers.record_failure(state, config, attempt, failure.code, event.at), None)


def works_elsewhere(run: Run) -> bool:
    """Whether other machines may still run attempts of *run*, which rely on its locks."""
    return any((live := run.nodes[name].live) is not None and live.elsewhere for name in run.live)


def may_claim(run: Run, node: NodeState) -> bool:
    """Whether *node* may ever have a claim: for its work, or to be undone (`saga.locks_to_undo`)."""
    return bool(node.plan.locks) or any(run.nodes[name].plan.locks for name in outer(node.plan.id))


def waits_for_locks(run: Run) -> bool:
    """Whether *run* or one of its nodes waits for locks."""
    if not run.uses_locks:
        return False
    return run.status is RunStatus.PENDING or any(_waits(node, WaitReason.LOCKS) for node in run.nodes.values())


_OF_RUNS = frozenset({ev.RunInterrupted, ev.RunStopping, ev.RunEnded})
_OF_NODES = frozenset(
    {
        ev.NodeWaiting,
        ev.NodeFailed,
        ev.NodeSkipped,
        ev.NodeCancelled,
        ev.AttemptSucceeded,
        ev.AttemptFailed,
        ev.AttemptLost,
        ev.CompensationFailed,
    }
)
