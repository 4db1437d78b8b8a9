"""What is counted and measured: each number once, with few attributes."""

from __future__ import annotations

from datetime import timedelta

from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import Failure, FailureKind, Usage
from engine.run import signals as sig
from engine.telemetry.measures import (
    AGENT,
    ATTEMPT,
    COST,
    INSTRUMENTS,
    MAX_VALUES,
    OTHER,
    RUN,
    TOKENS,
    Measures,
)
from tests.support.by_hand import ByHand, all_queue, calling, locks, rollback
from tests.support.definitions import command, node, phase, plan
from tests.unit.engine.telemetry.story import by_hand, told

RETRY = {"maxAttempts": 1, "initialDelay": 60_000}
WORKFLOW = {"gen_ai.workflow.name": "/test"}


def test_work_is_measured_with_its_agent_role_and_failure() -> None:
    story = by_hand(command(phase("p", node("a", retryPolicy=RETRY, compensation=rollback())), phase("q", node("b"))))
    story.wait(seconds=2)
    story.fail("a")
    story.wait(minutes=1)
    story.wait(seconds=3)
    story.succeed("a")
    story.fail("b")
    story.wait(seconds=4)
    story.succeed("a")
    seen = told(story)
    assert seen.values(ATTEMPT) == [2, 3, 0, 4]
    of_worker = {**WORKFLOW, "orchestration.agent.id": "worker"}
    assert seen.attributes(ATTEMPT)[0] == {
        **of_worker,
        "orchestration.attempt.role": "forward",
        "error.type": "AGENT_ERROR",
    }
    assert seen.attributes(ATTEMPT)[3] == {**of_worker, "orchestration.attempt.role": "compensate"}
    assert seen.waits("retry") == [60]
    assert seen.values(RUN) == [69]
    assert seen.attributes(RUN) == [
        {**WORKFLOW, "orchestration.run.status": "compensated", "error.type": "AGENT_ERROR"}
    ]
    assert seen.values(AGENT) == seen.values(COST) == seen.values(TOKENS) == []


def test_tokens_and_cost_are_counted_once_for_each_attempt() -> None:
    agents = (Agent(id="thinker", kind=AgentKind.CLAUDE, model="opus"),)
    story = ByHand(plan(command(phase("p", node("a", agent="thinker", retryPolicy=RETRY))), agents=agents))
    story.wait(seconds=2)
    failure = Failure(FailureKind.ERROR, "BROKEN", "it broke")
    story.send(sig.ReportOutcome(NodeId("a"), 1, {}, failure, Usage(cost_usd=0.5, output_tokens=7)))
    story.wait(minutes=1)
    story.send(sig.ReportOutcome(NodeId("a"), 2, {}, None, Usage(cost_usd=0.0, input_tokens=9, output_tokens=1)))
    seen = told(story)
    assert seen.values(COST) == [0.5]
    assert seen.values(TOKENS) == [7, 9, 1]
    model = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": "thinker",
        "gen_ai.request.model": "opus",
    }
    assert seen.attributes(TOKENS)[1] == {**model, "gen_ai.token.type": "input"}
    assert seen.attributes(AGENT) == [{**model, "error.type": "BROKEN"}, model]


def test_each_wait_is_measured_when_it_ends() -> None:
    raw = command(
        phase("p", node("a", resources=locks("disk"), approval={"message": "Really?"})), resources=locks("house")
    )
    story = by_hand(raw)
    story.wait(seconds=2)
    story.grant()
    story.wait(seconds=3)
    story.answer("a", "yes")
    story.queue("a")
    story.wait(seconds=4)
    story.grant("a")
    story.succeed("a")
    seen = told(story)
    assert (seen.waits("locks"), seen.waits("approval"), seen.waits("slot")) == ([2, 4], [3], [])


def test_a_wait_for_a_place_and_one_for_a_turn_are_measured_too() -> None:
    story = by_hand(command(phase("p", node("a"), node("b"), maxParallelism=1)), queues=all_queue)
    story.wait(seconds=3)
    story.began("a")
    story.wait(seconds=4)
    story.succeed("a")
    story.began("b")
    story.succeed("b")
    seen = told(story)
    assert (seen.waits("turn"), seen.waits("slot")) == ([3], [7])


def test_a_turn_that_was_heard_of_later_was_waited_for_until_it_came() -> None:
    story = by_hand(command(phase("p", node("a"))), queues=all_queue)
    story.wait(seconds=5)
    story.send(sig.StartAttempt(NodeId("a"), 1, "w-1", timedelta(seconds=2)))
    story.succeed("a")
    assert told(story).waits("turn") == [3]


def test_a_wait_is_measured_up_to_an_interruption_and_from_the_resume_on() -> None:
    story = by_hand(command(phase("p", node("a", approval={"message": "Really?"}), node("b"))))
    story.wait(seconds=3)
    story.crash()
    story.wait(hours=1)
    story.resume()
    story.wait(seconds=4)
    story.leap(hours=2)
    story.wait(seconds=5)
    story.answer("a", "yes")
    story.succeed("a")
    story.succeed("b")
    assert told(story).waits("approval") == [3, 9]


def test_a_process_that_finds_a_dead_one_measures_what_that_has_waited() -> None:
    story = by_hand(command(phase("p", node("a", approval={"message": "Really?"}))))
    story.wait(seconds=3)
    story.crash()
    measures = Measures()
    [found] = measures.of(story.run, [story.events[-1]])
    assert (found.value, found.attributes["orchestration.wait.reason"]) == (3, "approval")


def test_a_run_that_never_gets_its_locks_has_waited_for_them() -> None:
    story = by_hand(command(phase("p", node("a")), resources=locks("house")))
    story.wait(seconds=5)
    story.refuse()
    seen = told(story)
    assert seen.waits("locks") == [5]
    assert seen.attributes(RUN) == [{**WORKFLOW, "orchestration.run.status": "failed", "error.type": "LOCK_TIMEOUT"}]


def test_a_sub_command_is_measured_by_its_nodes() -> None:
    inner = command(phase("x", node("s")), name="/inner")
    story = by_hand(command(phase("p", calling("call", "/inner"))), inner)
    story.wait(seconds=1)
    story.succeed("call/s")
    assert told(story).values(ATTEMPT) == [1]


def test_an_attribute_has_no_more_values_than_a_collector_can_bear() -> None:
    measures = Measures()
    codes: list[str] = []
    for number in range(MAX_VALUES + 5):
        story = by_hand(command(phase("p", node("a"))))
        story.fail("a", code=f"CODE_{number}")
        codes += [
            one.attributes["error.type"]
            for event in story.events
            for one in measures.of(story.run, [event])
            if one.name == ATTEMPT
        ]
    assert codes[MAX_VALUES - 1] == f"CODE_{MAX_VALUES - 1}"
    assert codes[MAX_VALUES:] == [OTHER] * 5


def test_no_node_and_no_run_is_an_attribute_of_a_metric() -> None:
    story = by_hand(command(phase("p", node("a", approval={"message": "Really?"}))))
    story.wait(seconds=1)
    story.answer("a", "yes")
    story.succeed("a")
    seen = told(story)
    assert {one.name for one in seen.measures} <= {one.name for one in INSTRUMENTS}
    keys = {key for one in seen.measures for key in one.attributes}
    assert not [key for key in keys if "node" in key or "run.id" in key]
