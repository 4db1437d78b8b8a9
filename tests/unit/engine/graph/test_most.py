"""The most that a command with lists and loops can cost is known before it starts."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InputError
from engine.graph import check_fan_out, most_attempts, most_cost, uncapped
from engine.model.agent import Agent, AgentKind
from engine.model.plan import Plan
from engine.run.events import Limits
from tests.support.definitions import command, in_place, node, phase, plan


def covered(*, items: int = 20, agent: Agent | None = None, **fields: Any) -> Plan:  # noqa: ANN401 - JSON
    """Up to three iterations of two tries for each item, and one node beside."""
    write = node("write", repeat={"until": "iteration == 9", "maxIterations": 3}, **fields)
    cover = in_place("cover", phase("in", write), context={"inputs": [{"key": "files", "default": []}]})
    cover["forEach"] = {"items": "files", "maxItems": items}
    return plan(command(phase("one", node("find"), cover)), agents=(agent or Agent(id="worker"),))


def test_attempts_multiply_at_all_levels() -> None:
    assert most_attempts(covered()) == 20 * 3 + 1
    assert most_attempts(covered(retryPolicy={"maxAttempts": 2})) == 20 * 3 * 3 + 1
    assert most_attempts(covered(compensation={"type": "retry"})) == 20 * 3 * 2 + 1


def test_the_cost_is_that_of_all_attempts_at_their_budgets() -> None:
    worker = Agent(id="worker", max_budget_usd=0.5)
    assert most_cost(covered(agent=worker, retryPolicy={"maxAttempts": 2})) == (20 * 3 * 3 + 1) * 0.5
    program = Agent(id="program", kind=AgentKind.PROCESS, command=("true",))
    both = command(phase("one", node("write"), node("test", agentId="program")))
    assert most_cost(plan(both, agents=(worker, program))) == 0.5


def test_without_a_budget_or_a_model_there_is_no_most_cost() -> None:
    free = Agent(id="free")
    both = command(phase("one", node("write"), node("more", agentId="free")))
    assert most_cost(plan(both, agents=(Agent(id="worker", max_budget_usd=0.5), free))) is None
    assert most_cost(covered(agent=Agent(id="worker", kind=AgentKind.PROCESS, command=("true",)))) is None


@pytest.mark.parametrize("limits", [Limits(max_cost_usd=1.0), Limits(max_attempts_total=500)])
def test_many_model_agents_need_a_limit(limits: Limits) -> None:
    with pytest.raises(InputError, match="can make 121 attempts of model agents") as caught:
        check_fan_out(covered(items=40), Limits(max_parallelism=3))
    assert caught.value.code == "UNCAPPED_FAN_OUT"
    check_fan_out(covered(items=40), limits)


def test_few_of_them_programs_and_agents_with_a_budget_need_none() -> None:
    assert uncapped(covered(items=33), Limits()) is None
    assert (
        uncapped(covered(items=40, agent=Agent(id="worker", kind=AgentKind.PROCESS, command=("true",))), Limits())
        is None
    )
    assert uncapped(covered(items=40, agent=Agent(id="worker", max_budget_usd=1.0)), Limits()) is None


def test_a_command_that_is_written_out_needs_none_however_large_it_is() -> None:
    nodes = [node(f"n{number}") for number in range(200)]
    assert uncapped(plan(command(phase("one", *nodes)), agents=(Agent(id="worker"),)), Limits()) is None
