"""The numbers of a run: what SPEC 11 lists, from what really happened."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from engine.model.policy import Usage
from engine.run import events as ev
from engine.run.events import Limits
from engine.run.reducer import fold
from engine.simulation import Scenario, Simulated, simulate
from engine.views.metrics import CacheUse, Metrics, metrics
from tests.support.definitions import analyze_api, command, implement_feature, node, phase, plan, review_code
from tests.support.runs import simulated

MINUTE = timedelta(minutes=1)
RETRY = {"maxAttempts": 2, "strategy": "linear", "initialDelay": 60_000}
LOCKED = {"locks": [{"resource": "database"}], "maxWaitTime": 600_000}


def numbers(done: Simulated, cache: CacheUse | None = None) -> Metrics:
    return metrics(done.run, done.events[-1].at, cache)


@pytest.mark.parametrize(("raw", "minutes"), [(review_code(), 20), (analyze_api(), 20), (implement_feature(), 95)])
def test_a_run_without_waits_is_as_quick_as_it_can_be(raw: dict[str, object], minutes: int) -> None:
    found = numbers(simulated(raw))
    assert found.total == found.best == minutes * MINUTE
    assert found.parallelism_efficiency == 100


def test_waits_for_retries_cost_efficiency_but_the_work_of_failed_attempts_does_not() -> None:
    found = numbers(simulated(command(phase("one", node("a", retryPolicy=RETRY))), fail=("a:1=error",)))
    assert found.work == found.best == 1.5 * MINUTE
    assert found.total == 2.5 * MINUTE
    assert found.parallelism_efficiency == pytest.approx(60)
    assert found.retries == 1


def test_the_limit_of_a_phase_or_of_the_run_bounds_what_could_have_been() -> None:
    raw = command(phase("one", node("a", minutes=2), node("b", minutes=2), node("c", minutes=2), maxParallelism=2))
    assert numbers(simulated(raw)).best == 3 * MINUTE
    assert numbers(simulated(raw)).parallelism_efficiency == 75
    assert numbers(simulated(raw, limits=Limits(max_parallelism=1))).parallelism_efficiency == 100


def test_phases_that_overlap_are_bounded_by_their_critical_path_and_by_the_slots_of_the_run() -> None:
    raw = command(phase("one", node("a", minutes=4)), phase("two", node("b", minutes=2), barrier=False))
    assert numbers(simulated(raw)).best == 4 * MINUTE
    assert numbers(simulated(raw, limits=Limits(max_parallelism=1))).best == 6 * MINUTE


def test_the_nodes_of_a_sub_command_count_and_its_group_does_not() -> None:
    inner = command(phase("x", node("p", minutes=2), node("q", minutes=3)), name="/inner")
    outer = command(phase("one", node("call", agent="command", task="/inner"), node("side", minutes=1)))
    found = numbers(simulate(plan(outer, inner), Scenario()))
    assert found.work == 6 * MINUTE
    assert found.best == found.total == 3 * MINUTE
    assert [agent.id for agent in found.slowest] == ["call/q", "call/p", "side"]


def test_a_phase_tells_its_time_agents_greatest_crowd_and_success() -> None:
    raw = command(
        phase("one", node("a"), node("b"), node("c", "a"), continueOnError=True),
        phase("two", node("d", minutes=2)),
    )
    one, two = numbers(simulated(raw, fail=("b=error",))).phases
    assert (one.name, one.duration, one.agent_count, one.parallel_executions) == ("One", 2 * MINUTE, 3, 2)
    assert one.success_rate == pytest.approx(100 * 2 / 3)
    assert (two.duration, two.success_rate) == (2 * MINUTE, 100)


def test_one_node_after_the_other_is_no_crowd() -> None:
    assert numbers(simulated(command(phase("one", node("a"), node("b", "a"))))).phases[0].parallel_executions == 1


def test_a_phase_that_never_opened_has_neither_time_nor_success() -> None:
    last = numbers(simulated(review_code(), fail=("analyzer=error",))).phases[2]
    assert (last.duration, last.parallel_executions, last.success_rate) == (None, 0, None)


def test_a_phase_that_was_stopped_ends_with_its_last_node_and_not_with_the_rollback() -> None:
    undo = {"type": "rollback", "task": "Undo it"}
    raw = command(phase("one", node("a", compensation=undo)), phase("two", node("b", "a", minutes=2), node("c", "b")))
    found = numbers(simulated(raw, fail=("b=error",)))
    assert [one.duration for one in found.phases] == [MINUTE, MINUTE]
    lock = {"locks": [{"resource": "database"}], "maxWaitTime": 30_000}
    refused = command(phase("one", node("a", minutes=9, resources=lock)), phase("two", node("b", "missing")))
    refused["phases"][1]["agents"][0] = node("b", context={"inputs": [{"key": "nothing"}]})
    assert [one.duration for one in numbers(simulated(refused)).phases] == [9 * MINUTE, 0 * MINUTE]


def test_skipped_nodes_count_neither_as_success_nor_as_failure() -> None:
    skip = {"type": "context", "expression": "1 == 1"}
    found = numbers(simulated(command(phase("one", node("a", skipCondition=skip), node("b")))))
    assert found.phases[0].success_rate == 100
    assert [agent.id for agent in found.slowest] == ["b"]


def test_a_node_that_did_its_work_and_was_undone_did_its_work() -> None:
    raw = command(
        phase("one", node("a", compensation={"type": "rollback", "task": "Undo it"})), phase("two", node("b", "a"))
    )
    found = numbers(simulated(raw, fail=("b=error",)))
    assert [one.success_rate for one in found.phases] == [100, 0]
    assert found.undo == MINUTE
    assert found.best == found.total


def test_the_ten_slowest_come_first_with_their_estimates() -> None:
    found = numbers(simulated(command(phase("one", *(node(f"n{number}", minutes=number) for number in range(1, 13))))))
    assert [agent.id for agent in found.slowest] == [f"n{number}" for number in range(12, 2, -1)]
    assert (found.slowest[0].duration, found.slowest[0].estimate) == (12 * MINUTE, 12 * MINUTE)
    assert (found.slowest[0].agent, found.slowest[0].attempts) == ("worker", 1)


def test_waits_for_locks_are_counted_those_of_the_run_too() -> None:
    found = numbers(simulated(command(phase("one", node("a", resources=LOCKED), node("b", resources=LOCKED)))))
    assert (found.lock_waits, found.lock_wait) == (1, MINUTE)
    assert numbers(simulated(review_code())).lock_waits == 0
    done = simulated(command(phase("one", node("a")), resources=LOCKED))
    late = [done.events[0], *(replace(event, at=event.at + 2 * MINUTE) for event in done.events[1:])]
    found = metrics(fold(late), late[-1].at)
    assert (found.lock_waits, found.lock_wait) == (1, 2 * MINUTE)


def test_tokens_and_cost_are_summed_where_somebody_told_them() -> None:
    assert (numbers(simulated(review_code())).cost_usd, numbers(simulated(review_code())).input_tokens) == (None, None)
    done = simulated(review_code())
    used = Usage(cost_usd=0.25, input_tokens=1000, output_tokens=200)
    events = [replace(event, usage=used) if isinstance(event, ev.AttemptSucceeded) else event for event in done.events]
    found = metrics(fold(events), events[-1].at)
    assert (found.cost_usd, found.input_tokens, found.output_tokens) == (1.0, 4000, 800)


def test_the_cache_hit_rate_is_told_where_it_is_given() -> None:
    done = simulated(review_code())
    assert numbers(done).cache_hit_rate is None
    assert numbers(done, CacheUse(hits=3, misses=1)).cache_hit_rate == 75
    assert numbers(done, CacheUse(hits=0, misses=0)).cache_hit_rate is None


def test_what_still_runs_counts_up_to_now_and_neither_as_success_nor_as_failure() -> None:
    done = simulated(review_code())
    now = done.events[0].at + 7 * MINUTE
    found = metrics(fold([event for event in done.events if event.at <= now]), now)
    assert found.total == 7 * MINUTE
    assert found.work == 9 * MINUTE
    assert [one.success_rate for one in found.phases] == [100, None, None]


def test_a_run_that_took_no_time_has_no_efficiency() -> None:
    done = simulated(review_code())
    assert metrics(fold(done.events[:1]), done.events[0].at).parallelism_efficiency is None
