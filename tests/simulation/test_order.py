"""Which of the nodes that can start does: the one that matters most, whatever it has to ask for first."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.run import events as ev
from tests.support.by_hand import locks
from tests.support.definitions import command, node, phase
from tests.support.runs import simulated, starts

FREE = {"locks": [{"resource": "database", "priority": 100}], "maxWaitTime": 600_000}


def order(*nodes: dict[str, object], slots: int = 1) -> list[str]:
    return [name for name, _second in starts(simulated(command(phase("work", *nodes, maxParallelism=slots))))]


def test_an_urgent_node_with_a_free_lock_starts_before_a_chore_without_one() -> None:
    urgent, chore = node("urgent", priority=100, resources=FREE), node("chore", priority=1, minutes=5)
    assert order(urgent, chore) == ["urgent", "chore"]


def test_an_urgent_node_with_a_closed_breaker_and_a_free_lock_starts_before_a_chore_without_them() -> None:
    urgent, chore = node("urgent", priority=100, resources=FREE, circuitBreaker="api"), node("chore", priority=1)
    assert order(urgent, chore) == ["urgent", "chore"]


def test_a_node_that_waits_for_a_lock_keeps_no_slot_from_those_behind_it() -> None:
    holder, urgent = (
        node("holder", priority=100, minutes=3, resources=FREE),
        node("urgent", priority=50, resources=FREE),
    )
    done = simulated(command(phase("work", holder, urgent, node("chore", priority=1, minutes=1), maxParallelism=2)))
    assert starts(done) == [("holder", 0), ("chore", 0), ("urgent", 180)]
    waits = [(event.node, event.until is None) for event in done.events if isinstance(event, ev.NodeWaiting)]
    assert waits == [("holder", True), ("urgent", True), ("urgent", False)]


@given(seed=st.integers(0, 2**64), size=st.integers(2, 6))
@settings(max_examples=40)
def test_with_one_slot_and_all_locks_and_breakers_free_nodes_start_by_priority(seed: int, size: int) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    nodes = []
    for place, priority in enumerate(dice.sample(range(1, 101), size)):
        asks: dict[str, Any] = {}
        if dice.randrange(2):
            asks["resources"] = locks(*dice.sample(("db.a", "db.b", "disk"), dice.randint(1, 2)))
        if dice.randrange(2):
            asks["circuitBreaker"] = dice.choice(("api", "search"))
        nodes.append(node(f"n{place}", priority=priority, minutes=dice.randint(1, 9), **asks))
    ranked = sorted(nodes, key=lambda one: -one["priority"])
    assert order(*nodes) == [one["id"] for one in ranked]
