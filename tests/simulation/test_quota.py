"""Model agents whose quota is used up: they wait for it together, and nothing that was paid for is rolled back."""

from __future__ import annotations

from typing import Any

from engine.executors.simulate import parse_fault
from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run.events import RunStatus, WaitReason
from engine.scheduling.outcomes import MAX_QUOTA_WAIT
from engine.simulation import Scenario, Simulated, simulate
from tests.support.by_hand import rollback
from tests.support.definitions import command, node, phase, plan
from tests.support.runs import duration, simulated, starts, undone

USED_UP = "error/QUOTA_EXHAUSTED"
TRIAL = 60
"""Seconds from opening to the first trial."""


def asked(done: Simulated) -> list[str]:
    """Nodes that asked a circuit breaker, each time they did."""
    waits = [event for event in done.events if isinstance(event, ev.NodeWaiting)]
    return [event.node for event in waits if event.reason is WaitReason.BREAKER and event.until is None]


def test_as_long_as_the_service_is_there_no_breaker_is_asked() -> None:
    assert asked(simulated(command(phase("p", node("a"), node("b", "a"))))) == []


def test_a_node_waits_for_its_quota_and_that_is_no_retry() -> None:
    retry = {"maxAttempts": 1, "initialDelay": 1000}
    raw = command(phase("p", node("a", retryPolicy=retry)))
    done = simulated(raw, fail=(f"a:1={USED_UP}", f"a:2={USED_UP}", "a:3=error"))
    assert done.run.status is RunStatus.COMPLETED
    first, second, third, fourth = (second for _node, second in starts(done))
    assert (first, second, third) == (0, 30 + TRIAL, 30 + TRIAL + 30 + 2 * TRIAL)
    assert fourth == third + 30 + 1, "the retry of its policy is still there"


def test_one_node_finds_out_whether_the_quota_is_there_again_and_the_others_follow() -> None:
    nodes = [node(name) for name in "abcd"]
    done = simulated(command(phase("p", *nodes)), fail=tuple(f"{name}:1={USED_UP}" for name in "abcd"))
    assert done.run.status is RunStatus.COMPLETED
    seconds = [second for _node, second in starts(done)]
    assert seconds[:4] == [0, 0, 0, 0]
    trial, *others = seconds[4:]
    assert trial == 30 + TRIAL
    assert all(trial + 60 <= second <= trial + 60 + 30 for second in others), "they ask now and then"
    assert len(asked(done)) < 4 * 20


def test_nodes_that_have_not_begun_wait_too() -> None:
    raw = command(phase("p", *(node(name) for name in "abc"), maxParallelism=1))
    done = simulated(raw, fail=(f"a:1={USED_UP}", f"a:2={USED_UP}"))
    assert [name for name, _second in starts(done)][:3] == ["a", "a", "a"]
    assert [len(state.attempts) for state in done.run.nodes.values()] == [3, 1, 1]
    assert done.run.status is RunStatus.COMPLETED


def test_undoing_waits_for_the_quota_as_well() -> None:
    raw = command(phase("p", node("a", compensation=rollback())), phase("q", node("b", "a")))
    done = simulated(raw, fail=("b=error", f"a:2={USED_UP}"))
    assert done.run.status is RunStatus.COMPENSATED
    assert undone(done) == ["a", "a"]


def test_a_quota_that_does_not_come_back_within_a_day_is_a_failure() -> None:
    done = simulated(command(phase("p", node("a"))), fail=(f"a={USED_UP}",))
    assert done.run.status is RunStatus.FAILED
    failure = done.run.nodes[NodeId("a")].failure
    assert failure is not None
    assert failure.code == "QUOTA_EXHAUSTED"
    assert MAX_QUOTA_WAIT < duration(done) < 2 * MAX_QUOTA_WAIT


def test_a_cancel_ends_the_wait() -> None:
    raw: Any = command(phase("p", node("a")), phase("q", node("b")))
    done = simulated(raw, fail=(f"a={USED_UP}",), limits=ev.Limits(max_duration_seconds=600))
    assert done.run.status is RunStatus.FAILED
    assert duration(done).total_seconds() == 600


def test_the_quota_of_a_program_is_its_own() -> None:
    compiled = plan(command(phase("p", node("a"))), agents=(Agent(id="worker", kind=AgentKind.PROCESS),))
    done = simulate(compiled, Scenario(faults=dict([parse_fault(f"a={USED_UP}")])))
    assert done.run.status is RunStatus.FAILED
    assert asked(done) == []
