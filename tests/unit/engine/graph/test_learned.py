"""Ranks follow what nodes really took, as soon as that is known."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from engine.errors import InternalError
from engine.graph import as_learned, with_estimates
from engine.ids import NodeId
from engine.model.plan import Plan
from tests.support.definitions import command, node, phase, plan

MINUTE = 60.0


def _ranks(compiled: Plan) -> dict[str, float]:
    """Minutes of the remaining path, by node."""
    return {item.id: item.rank / timedelta(minutes=1) for item in compiled.nodes}


def _fork() -> Plan:
    """Node a before b and c, which are independent; five minutes, three, two."""
    return plan(
        command(phase("one", node("a", minutes=5), node("b", "a", minutes=3), node("c", "a", minutes=2), parallel=True))
    )


def test_a_learned_duration_replaces_the_estimate_in_every_rank_that_it_is_part_of() -> None:
    before = _fork()
    after = with_estimates(before, {"c": 10 * MINUTE})
    assert _ranks(before) == {"a": 8, "b": 3, "c": 2}
    assert _ranks(after) == {"a": 15, "b": 3, "c": 10}


def test_estimates_and_timeouts_stay_those_of_the_file() -> None:
    before = _fork()
    after = with_estimates(before, {"a": 1.0, "b": 1.0, "c": 1.0})
    assert [(item.estimate, item.timeout) for item in after.nodes] == [
        (item.estimate, item.timeout) for item in before.nodes
    ]


@pytest.mark.parametrize("learned", [{}, {"gone": 60.0}])
def test_a_plan_of_which_nothing_is_learned_stays_as_it_is(learned: dict[str, float]) -> None:
    before = _fork()
    assert with_estimates(before, learned) is as_learned(before, learned) is before


def test_ranks_go_on_over_phases() -> None:
    two = plan(command(phase("one", node("a", minutes=1)), phase("two", node("b", minutes=1))))
    assert _ranks(with_estimates(two, {"b": 30 * MINUTE})) == {"a": 31, "b": 30}


def test_a_sub_command_is_as_long_as_what_is_inside_it() -> None:
    inner = command(phase("steps", node("build", minutes=2)), name="/deploy")
    outer = plan(command(phase("one", {"id": "ship", "agentId": "command", "task": "/deploy"})), inner)
    learned = {"ship": 99 * MINUTE, "ship/build": 4 * MINUTE}
    assert _ranks(with_estimates(outer, learned)) == {"ship": 4, "ship/build": 4}


def test_a_plan_with_a_cycle_is_a_broken_invariant() -> None:
    compiled = _fork()
    first, *others = compiled.nodes
    broken = structs.replace(compiled, nodes=(structs.replace(first, depends_on=(NodeId("b"),)), *others))
    with pytest.raises(InternalError):
        with_estimates(broken, {"a": 1.0})
