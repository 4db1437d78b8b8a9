"""The laws of the simulated worlds can fail: engines with one thing broken break one of them within a few worlds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest

from engine.errors import InternalError, OrchestrationError
from engine.executors.subprocesses import search
from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run import node_events
from engine.run.events import RunStatus
from engine.run.state import Run
from engine.runtime.attempts import Attempts, Key
from engine.runtime.live_runs import LiveRuns
from engine.runtime.outcome_cleanup import OutcomeCleanup
from engine.runtime.placement import Placement
from engine.runtime.resource_requests import ResourceRequests
from engine.scheduling import admission, budget, losses, outcomes, readiness, saga
from engine.scheduling.step import Step
from engine.service import Engine
from engine.statefolder.owners import LATE_SECONDS, Record, Servers
from engine.storage.cache import ValueCache
from engine.tables import breakers
from engine.tables.locks import LockTable
from tests.support.world import fleet
from tests.support.world.world import Broken, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.policy import Failure
    from engine.run.state import NodeState
    from engine.statefolder.identity import Process

pytestmark = pytest.mark.worlds
Patch: TypeAlias = pytest.MonkeyPatch
WORLDS = 250


def caught(first: int) -> str:
    """What a world says in which a law is broken, the *first* or another one; nothing where all stand."""
    for seed in (first, *range(WORLDS)):
        try:
            World(seed).play()
        except Broken as error:
            said = str(error).partition("\n")[0]
            assert ".<locals>." not in said, f"what is broken breaks down by itself: {said}"
            return said
    return ""


def agents_start_before_it_is_durable(patch: Patch) -> None:
    collect = LiveRuns._collect

    def eager(live_runs: LiveRuns, run: Run, events: list[ev.Event]) -> None:
        collect(live_runs, run, events)
        for listener in live_runs.listeners:
            listener(run, events)

    patch.setattr(LiveRuns, "_collect", eager)


def whoever_asks_for_a_lock_gets_it(patch: Patch) -> None:
    patch.setattr(LockTable, "request", lambda table, claim, _now: table._grant(claim))


def locks_are_kept_after_the_end(patch: Patch) -> None:
    patch.setattr(ResourceRequests, "_locks_of_run", lambda *_: None)


def what_dies_in_a_crash_is_not_ended(patch: Patch) -> None:
    async def nothing(_engine: Engine, _run: RunId, _lost: Sequence[AttemptId], _worktree: str) -> None:
        """Leave it running."""

    patch.setattr(Engine, "_end_orphans_of", nothing)


def a_lost_attempt_is_always_made_again(patch: Patch) -> None:
    def again(turn: Step, node: NodeState) -> None:
        turn.emit(ev.NodeReady(turn.now, node.plan.id))

    patch.setattr(losses, "repeat", again)


def what_workers_still_run_is_made_again(patch: Patch) -> None:
    async def nothing(*_given: object) -> frozenset[NodeId]:
        return frozenset()

    patch.setattr(Placement, "standing", nothing)


def an_attempt_is_lost_as_soon_as_its_worker_is_silent(patch: Patch) -> None:
    patch.setattr(fleet, "GRACE", 0.0)


def undoing_goes_forward(patch: Patch) -> None:
    order = saga._order
    patch.setattr(saga, "_order", lambda nodes: tuple(reversed(order(nodes))))


def nothing_is_undone(patch: Patch) -> None:
    patch.setattr(saga, "undo_order", lambda _run: ())


def what_is_inside_a_sub_command_is_not_undone(patch: Patch) -> None:
    patch.setattr(saga, "undo_order_inside", lambda _run, _group, _kind: ())


def a_failed_commit_is_shrugged_off(patch: Patch) -> None:
    def shrug(live_runs: LiveRuns, fault: OrchestrationError) -> None:
        for waiter in live_runs._decided.waiters:
            if not waiter.done():
                waiter.set_exception(fault)
        live_runs._decided.waiters = []

    patch.setattr(LiveRuns, "_fail", shrug)


def a_decision_that_breaks_down_costs_all_runs(patch: Patch) -> None:
    def let_all_go(live_runs: LiveRuns, run: Run, error: Exception) -> InternalError:
        fault = InternalError(f"{run.id}: {error}")
        live_runs._fail(fault)
        return fault

    patch.setattr(LiveRuns, "_drop", let_all_go)


def half_a_decision_is_written(patch: Patch) -> None:
    carry_out = LiveRuns._carry_out

    def as_far_as_it_came(live_runs: LiveRuns, turn: Step) -> None:
        batch = live_runs._decided.batch
        try:
            carry_out(live_runs, turn)
        except InternalError:
            batch.events += [(turn.run.id, turn.run.events - len(turn.events), turn.events[0])] if turn.events else []
            raise

    patch.setattr(LiveRuns, "_carry_out", as_far_as_it_came)


def answers_are_given_before_they_are_durable(patch: Patch) -> None:
    async def at_once(live_runs: LiveRuns) -> None:
        live_runs._check()

    patch.setattr(LiveRuns, "committed", at_once)


def values_are_not_stored(patch: Patch) -> None:
    patch.setattr(ValueCache, "uncommitted", lambda _values: {})


def retries_have_no_end(patch: Patch) -> None:
    try_again = outcomes._try_again

    def stubborn(turn: Step, node: NodeState, failure: Failure) -> bool:
        node.retries = 0
        return try_again(turn, node, failure)

    patch.setattr(outcomes, "_try_again", stubborn)


def trials_are_never_given_back(patch: Patch) -> None:
    patch.setattr(breakers, "abandon", lambda state, *_: state)


def budgets_are_not_looked_at(patch: Patch) -> None:
    patch.setattr(budget, "spent", lambda _run, _node: None)


def phases_have_all_slots(patch: Patch) -> None:
    patch.setattr(readiness, "_is_full", lambda _phase: False)


def a_cancelled_attempt_counts_as_ended_at_once(patch: Patch) -> None:
    cancel = Attempts._cancel

    def hasty(attempts: Attempts, key: Key, why: FailureKind = FailureKind.CANCEL) -> None:
        work = attempts._works.get(key)
        cancel(attempts, key, why)
        if work is not None and key in attempts._works:
            work.begun = False
            cancel(attempts, key, why)

    patch.setattr(Attempts, "_cancel", hasty)


def what_asks_for_a_lock_lets_others_pass(patch: Patch) -> None:
    patch.setattr(node_events, "ask", lambda _run, _node: None)


def the_clock_is_believed(patch: Patch) -> None:
    def unaware(live_runs: LiveRuns) -> datetime:
        live_runs._clock.jump()
        return live_runs._clock.now()

    patch.setattr(LiveRuns, "_now", unaware)


def what_waits_for_its_turn_counts_as_at_work(patch: Patch) -> None:
    place = Step.place
    patch.setattr(Step, "place", lambda turn, node, role: (turn.now + node.timeout, place(turn, node, role)[1]))


def runs_end_as_they_like(patch: Patch) -> None:
    end = admission._end
    patch.setattr(admission, "_end", lambda turn: (RunStatus.COMPLETED, end(turn)[1]))


def what_was_merged_is_not_asked_for(patch: Patch) -> None:
    async def nothing(*_given: object) -> tuple[()]:
        return ()

    patch.setattr(OutcomeCleanup, "reports", nothing)


def numbers_of_processes_are_believed_in_every_namespace(patch: Patch) -> None:
    def live(servers: Servers, _world: str | None, pid: int, start: int | None, *, unknown: bool = False) -> bool:
        return unknown and servers._held.get((servers._world, pid, start or 0), False)

    patch.setattr(Servers, "live", live)


def the_lock_of_another_namespace_counts_for_nothing(patch: Patch) -> None:
    def lives(record: Record, here: Process, _now: float) -> bool:
        return record.held and record.process is not None and record.process.world == here.world

    patch.setattr(Record, "lives", lives)


def whoever_holds_no_lock_that_can_be_seen_is_dead(patch: Patch) -> None:
    patch.setattr(Record, "lives", lambda record, _here, _now: record.held)


def a_machine_that_starts_again_is_another_one(patch: Patch) -> None:
    def lives(record: Record, here: Process, now: float) -> bool:
        elsewhere = record.process is not None and record.process.boot != here.boot
        return record.held or (elsewhere and now - record.renewed < LATE_SECONDS)

    patch.setattr(Record, "lives", lives)


def nobody_waits_for_the_wardens_of_the_dead(patch: Patch) -> None:
    async def at_once(_held: Callable[[], bool], _grace: timedelta) -> None:
        """Go on."""

    patch.setattr(search, "_held_no_more", at_once)


def nobody_looks_for_the_marks_of_the_dead(patch: Patch) -> None:
    async def nothing(_left: Callable[[], list[search.Endable]], *, grace: timedelta) -> list[search.Endable]:
        del grace
        return []

    patch.setattr(search, "end_all", nothing)


BROKEN: dict[Callable[[Patch], None], int] = {
    agents_start_before_it_is_durable: 0,
    whoever_asks_for_a_lock_gets_it: 0,
    locks_are_kept_after_the_end: 0,
    what_dies_in_a_crash_is_not_ended: 9,
    a_lost_attempt_is_always_made_again: 0,
    what_workers_still_run_is_made_again: 12,
    an_attempt_is_lost_as_soon_as_its_worker_is_silent: 37,
    undoing_goes_forward: 47,
    nothing_is_undone: 0,
    what_is_inside_a_sub_command_is_not_undone: 16,
    a_failed_commit_is_shrugged_off: 6,
    a_decision_that_breaks_down_costs_all_runs: 7,
    half_a_decision_is_written: 27,
    answers_are_given_before_they_are_durable: 0,
    values_are_not_stored: 0,
    retries_have_no_end: 46,
    trials_are_never_given_back: 83,
    budgets_are_not_looked_at: 13,
    phases_have_all_slots: 3,
    a_cancelled_attempt_counts_as_ended_at_once: 5,
    what_asks_for_a_lock_lets_others_pass: 25,
    the_clock_is_believed: 25,
    what_waits_for_its_turn_counts_as_at_work: 1,
    runs_end_as_they_like: 0,
    what_was_merged_is_not_asked_for: 7,
    numbers_of_processes_are_believed_in_every_namespace: 150,
    the_lock_of_another_namespace_counts_for_nothing: 0,
    whoever_holds_no_lock_that_can_be_seen_is_dead: 18,
    a_machine_that_starts_again_is_another_one: 0,
    nobody_waits_for_the_wardens_of_the_dead: 9,
    nobody_looks_for_the_marks_of_the_dead: 118,
}
"""Each with a world that shows it; where worlds have changed, another one is looked for."""


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_an_engine_with_one_thing_broken_breaks_a_law(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    assert caught(BROKEN[broken])
