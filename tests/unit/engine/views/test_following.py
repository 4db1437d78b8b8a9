"""Views that follow a run agree with a look at all of it, step by step."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.simulate import parse_fault
from engine.ids import parse_attempt_id
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.run.reducer import apply, create
from engine.run.state import NodeStatus
from engine.simulation import Scenario, simulate
from engine.views.known import Known
from engine.views.outlook import remaining
from engine.views.status import first_wait, snapshot, stopped_work
from engine.views.tally import tally_of
from tests.support.by_hand import NOON, OWNER, RUN, ByHand, calling, rollback
from tests.support.definitions import Raw, command, node, phase, plan
from tests.support.looking import agree, agree_on_news

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ids import NodeId
    from engine.views.known import Mark

LEARNED: tuple[dict[str, float], ...] = ({}, {"a": 5.0, "b": 500.0, "c": 0.0})
RETRIED = {"retryPolicy": {"maxAttempts": 3, "initialInterval": 1000}}


def diamond(**fields: Any) -> Raw:  # noqa: ANN401 - any field of a node
    """Two phases, the first a diamond with a tail."""
    first = (node("a", minutes=3), node("b", "a", **fields), node("c", "a", minutes=9), node("d", "b", "c"), node("e"))
    return command(phase("p", *first, continueOnError=True), phase("q", node("x"), node("y", "x"), parallel=False))


def ends_well(story: ByHand) -> None:
    story.succeed(story.live()[0])


def fails(story: ByHand) -> None:
    story.fail(story.live()[-1])


def waits(story: ByHand) -> None:
    story.wait(seconds=30)


@pytest.mark.parametrize("turn", [(ends_well,), (ends_well, waits, fails), (fails, waits)])
@pytest.mark.parametrize("raw", [diamond(), diamond(**RETRIED), diamond(approval={"message": "Go on?"})])
def test_after_each_step_both_show_the_same(raw: Raw, turn: tuple[Callable[[ByHand], None], ...]) -> None:
    story, client = ByHand(raw), Known()
    knew: dict[NodeId, Mark] = {}
    for step in range(30):
        for learned in LEARNED:
            agree(story.run, learned, timedelta(seconds=step))
        agree_on_news(story.run, client, knew)
        if story.run.waits and story.node("b").waiting is not None and raw["phases"][0]["agents"][1].get("approval"):
            story.answer("b", "yes")
        if story.run.ended:
            break
        if story.live():
            turn[step % len(turn)](story)
        else:
            waits(story)
    assert client


def test_what_is_undone_while_the_run_goes_on_is_followed() -> None:
    inside = (node("x", compensation=rollback()), node("y", "x"), node("z", "y"))
    sub = command(phase("s", *inside), name="/sub")
    story = ByHand(
        command(phase("p", calling("g", "/sub"), node("after", "g"), node("other"), continueOnError=True)), sub
    )
    story.succeed("g/x")
    story.fail("g/y")
    agree(story.run, {}, timedelta(seconds=5))
    story.succeed("other")
    agree(story.run, {}, timedelta(seconds=5))
    for _ in range(5):
        if story.live():
            ends_well(story)
            agree(story.run, {}, timedelta(seconds=5))


def test_a_successor_that_is_over_before_its_dependency_has_all_nodes_looked_at() -> None:
    raw = command(phase("p", node("a", minutes=2), node("b", "a", minutes=4), node("c", "b", minutes=8)))
    run = create(ev.RunCreated(NOON, RUN, plan(raw), OWNER, "native"))
    run.status = RunStatus.RUNNING
    tally = tally_of(run)
    assert remaining(run, NOON, {}) == timedelta(minutes=14)
    for status, minutes in ((NodeStatus.COMPLETED, 10), (NodeStatus.PENDING, 14)):
        run.nodes[plan(raw).nodes[1].id].status = status
        tally.touch(plan(raw).nodes[1].id)
        assert remaining(run, NOON, {}) == timedelta(minutes=minutes)


def test_more_phases_than_lines_are_shown_the_same_at_each_moment() -> None:
    phases = (phase(f"p{place}", node(f"n{place}"), node(f"m{place}"), continueOnError=True) for place in range(12))
    faults = dict(parse_fault(f"n{place}=error") for place in (1, 2))
    first, *events = simulate(plan(command(*phases)), Scenario(faults=faults)).events
    assert isinstance(first, ev.RunCreated)
    run, client = create(first), Known()
    knew: dict[NodeId, Mark] = {}
    for event in events:
        apply(run, event)
        agree(run, {}, timedelta())
        agree_on_news(run, client, knew)


def test_a_look_makes_the_lines_of_those_phases_only_that_moved_since_the_last_one() -> None:
    story = ByHand(command(phase("p", node("a"), node("b")), phase("q", node("x"), node("y")), phase("r", node("z"))))
    before = snapshot(story.run, NOON).phases
    story.succeed("a")
    after = snapshot(story.run, NOON).phases
    assert [line.done for line in after] == [1, 0, 0]
    assert [one is other for one, other in zip(before, after, strict=True)] == [False, True, True]
    story.succeed("b")
    assert [line.state for line in snapshot(story.run, NOON).phases] == ["completed", "running", "pending"]


def test_a_client_that_is_to_know_nothing_is_shown_everything_again() -> None:
    story, client = ByHand(diamond()), Known()
    assert not client
    client.learn(story.run)
    assert client
    assert client.learn(story.run) == []
    story.succeed("a")
    assert set(client.learn(story.run)) == {"a", "b", "c"}
    client.clear()
    assert not client
    assert {"a", "b", "c"} <= set(client.learn(story.run))


def test_the_first_wait_is_that_of_the_first_node_that_waits() -> None:
    asking = (node("a", approval={"message": "Go on?"}), node("b", approval={"message": "And this?"}))
    story = ByHand(command(phase("p", *asking, node("c"))))
    assert first_wait(story.run) == "approval: Go on?"
    story.answer("a", "yes")
    assert first_wait(story.run) == "approval: And this?"
    assert first_wait(ByHand(diamond()).run) is None


def test_work_that_was_stopped_is_named_in_the_order_of_the_file() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), node("c"))), executor="host")
    story.succeed("b")
    story.cancel()
    assert list(story.run.stopped) == ["a", "c"]
    found = [parse_attempt_id(work) for work in stopped_work(story.run)]
    assert [one[1] for one in found if one is not None] == ["a", "c"]
