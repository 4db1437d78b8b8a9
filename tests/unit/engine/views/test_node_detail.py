from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import Failure, FailureKind, Merge, Usage
from engine.run import events as ev
from engine.run.events import ValueRef
from engine.run.reducer import apply, create
from engine.run.state import Contribution, NodeStatus
from engine.views.node_detail import node_detail
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from engine.run.state import Run

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
NAME = NodeId("first-node")
FAILURE = Failure(FailureKind.ERROR, "BROKEN", "it broke")


def at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def begun(*events: ev.Event, **fields: Any) -> Run:  # noqa: ANN401 - fields of the first node
    compiled = plan(command(phase("work", node(NAME, minutes=2, **fields), node("second-node", NAME, minutes=1))))
    run = create(ev.RunCreated(AT, RunId("r-1"), compiled, OwnerId("o"), "native"))
    for event in (ev.RunStarted(AT), ev.PhaseOpened(AT, 0), *events):
        apply(run, event)
    return run


def scheduled(number: int = 1, seconds: float = 0, *, turn: bool = False) -> ev.AttemptScheduled:
    deadline = None if turn else at(seconds + 60)
    return ev.AttemptScheduled(at(seconds), NAME, number, ev.Role.FORWARD, 0, deadline)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((scheduled(turn=True),), "waiting"),
        ((scheduled(),), "running"),
        ((scheduled(), ev.AttemptStopping(at(1), NAME, 1, FAILURE)), "stopping"),
        ((scheduled(), ev.AttemptSucceeded(at(1), NAME, 1, {})), "completed"),
        ((scheduled(), ev.AttemptFailed(at(1), NAME, 1, FAILURE)), "failed"),
    ],
)
def test_the_state_of_an_attempt_is_named(events: tuple[ev.Event, ...], state: str) -> None:
    run = begun(*events)
    [attempt] = node_detail(run, run.nodes[NAME], at(5), {}).attempts
    assert (attempt.number, attempt.state, attempt.undo) == (1, state, False)
    run.nodes[NAME].attempts[0].lost = True
    [attempt] = node_detail(run, run.nodes[NAME], at(5), {}).attempts
    assert attempt.state == "lost"


def test_an_attempt_that_had_to_wait_began_after_that() -> None:
    run = begun(scheduled(turn=True))
    [waiting] = node_detail(run, run.nodes[NAME], at(5), {}).attempts
    assert (waiting.began_at, waiting.duration) == (at(0), timedelta())
    run = begun(scheduled(turn=True), ev.AttemptStarted(at(9), NAME, 1, "w1", at(67), at(7)))
    [attempt] = node_detail(run, run.nodes[NAME], at(12), {}).attempts
    assert (attempt.began_at, attempt.duration) == (at(7), timedelta(seconds=5))


def test_a_running_node_has_its_times_its_neighbours_and_what_is_left_of_its_estimate() -> None:
    run = begun(scheduled(seconds=1))
    found = node_detail(run, run.nodes[NAME], at(31), {NAME: 100.0})
    assert (found.state, found.kind, found.phase) == (NodeStatus.RUNNING, "claude", "Work")
    assert (found.estimate, found.measured) == (timedelta(minutes=2), timedelta(seconds=100))
    assert (found.started, found.duration, found.remaining) == (
        timedelta(seconds=1),
        timedelta(seconds=30),
        timedelta(seconds=70),
    )
    assert (found.after, found.before) == ((), ("second-node",))
    second = node_detail(run, run.nodes[NodeId("second-node")], at(31), {})
    assert (second.after, second.waiting_for, second.attempts) == ((NAME,), NAME, ())
    assert (second.started, second.duration, second.measured) == (None, None, None)


def test_costs_add_up_and_an_attempt_that_tells_none_counts_nothing() -> None:
    run = begun(
        scheduled(),
        ev.AttemptFailed(at(1), NAME, 1, FAILURE, Usage(cost_usd=0.25)),
        ev.NodeWaiting(at(1), NAME, ev.WaitReason.RETRY, at(2)),
        ev.NodeReady(at(2), NAME),
        scheduled(2, 2),
        ev.AttemptSucceeded(at(3), NAME, 2, {"n": ValueRef("d", 7)}, Usage(input_tokens=3)),
        context={"outputs": [{"key": "n", "persist": True}, {"key": "m"}]},
    )
    found = node_detail(run, run.nodes[NAME], at(9), {})
    assert found.cost_usd == 0.25
    assert found.remaining is None
    assert [(one.key, one.size, one.persist) for one in found.outputs] == [("n", 7, True), ("m", None, False)]
    [line, _] = found.attempts
    assert (line.failure, line.usage, line.duration) == (FAILURE, Usage(cost_usd=0.25), timedelta(seconds=1))


def test_inputs_name_their_makers_and_a_skipped_node_its_reason() -> None:
    run = begun(
        scheduled(),
        ev.AttemptSucceeded(at(1), NAME, 1, {"n": ValueRef("d", 7)}),
        context={"inputs": [{"key": "given"}, {"key": "absent", "required": False}], "outputs": [{"key": "n"}]},
    )
    run.context["given"] = [Contribution(0, ValueRef("e", 5), Merge.REPLACE, None, AT)]
    run.context["n"] = [Contribution(1, ValueRef("d", 7), Merge.REPLACE, NAME, AT)]
    lines = node_detail(run, run.nodes[NAME], at(9), {}).inputs
    assert [(one.key, one.required, one.size, one.makers) for one in lines] == [
        ("given", True, 5, ()),
        ("absent", False, None, ()),
    ]
    second = run.nodes[NodeId("second-node")]
    second.plan = replace(second.plan, passthrough=True)
    apply(run, ev.NodeSkipped(at(2), second.plan.id, "not needed"))
    found = node_detail(run, second, at(9), {})
    assert found.skipped == "not needed"
    assert ("n", 7, (NAME,)) in [(one.key, one.size, one.makers) for one in found.inputs]
    assert node_detail(run, run.nodes[NAME], at(9), {}).skipped is None


def test_an_agent_that_the_plan_lacks_is_shown_as_a_sub_command() -> None:
    run = begun()
    run.plan.agents.clear()
    assert node_detail(run, run.nodes[NAME], at(1), {}).kind == "command"
