"""Nodes behind a circuit breaker: it is asked when a node can start, not before."""

from __future__ import annotations

from engine.run import events as ev
from tests.support.definitions import command, node, phase
from tests.support.runs import simulated, starts

CALLS = [f"call-{number}" for number in range(8)]


def calling(**fields: object) -> dict[str, object]:
    nodes = [node(name, circuitBreaker="api") for name in CALLS]
    return command(phase("calls", *nodes, continueOnError=True, **fields))


def codes(**fields: object) -> list[str]:
    done = simulated(calling(**fields), fail=tuple(f"{name}=error/DOWN" for name in CALLS))
    failed = [event for event in done.events if isinstance(event, ev.NodeFailed)]
    return [event.failure.code for event in failed]


def test_the_first_node_after_the_threshold_finds_the_breaker_open() -> None:
    assert codes(parallel=False) == ["DOWN"] * 5 + ["CIRCUIT_OPEN"] * 3


def test_no_more_nodes_are_let_through_than_there_are_slots() -> None:
    assert codes(maxParallelism=2) == ["DOWN"] * 6 + ["CIRCUIT_OPEN"] * 2


def test_asking_does_not_keep_a_slot_once_the_answer_is_there() -> None:
    done = simulated(calling(maxParallelism=2))
    assert [second for _name, second in starts(done)] == [0, 0, 60, 60, 120, 120, 180, 180]


def test_a_breaker_that_rate_limits_opened_makes_nodes_wait_for_the_trial() -> None:
    faults = tuple(f"{name}:1=error/RATE_LIMIT" for name in CALLS[:5])
    done = simulated(calling(parallel=False), fail=faults)
    assert [event.failure.code for event in done.events if isinstance(event, ev.NodeFailed)] == ["RATE_LIMIT"] * 5
    after = dict(starts(done))
    assert after["call-5"] == after["call-4"] + 30 + 60
