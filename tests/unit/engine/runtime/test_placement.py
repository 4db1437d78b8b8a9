"""Where attempts run, and what becomes of those on other machines when their run has lost its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.ids import AttemptId, NodeId
from engine.model.agent import AgentKind
from engine.run.events import Role
from engine.runtime.placement import Placement
from tests.support.by_hand import RUN, ByHand, all_queue, calling, locks
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.executors.port import Executor, Heartbeat, WorkOrder


class Machines:
    """Other machines, which know the attempts *known*."""

    def __init__(self, *known: str) -> None:
        self.known = {AttemptId(f"{RUN}:{name}") for name in known}
        self.ended: list[AttemptId] = []

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        del order, heartbeat
        return Outcome()

    async def standing(self, attempts: Collection[AttemptId]) -> Collection[AttemptId]:
        return self.known & set(attempts)

    async def end(self, attempts: Collection[AttemptId]) -> None:
        self.ended += attempts


HERE: Executor = InlineExecutor({})


def placed(executor: Executor) -> Placement:
    return Placement(dict.fromkeys(AgentKind, executor), {})


def far(*nodes: dict[str, object]) -> ByHand:
    return ByHand(command(phase("p", *nodes)), queues=all_queue, elsewhere=all_queue)


def test_only_an_executor_that_has_other_machines_work_is_elsewhere() -> None:
    run = far(node("a")).run
    plan = run.nodes[NodeId("a")].plan
    assert [placed(one).elsewhere(run, plan, Role.FORWARD) for one in (HERE, Machines())] == [False, True]


async def test_what_other_machines_know_goes_on() -> None:
    machines = Machines("a#1", "c#1")
    run = far(node("a"), node("b")).run
    assert await placed(machines).standing(run) == {"a"}
    assert machines.ended == []


async def test_what_relies_on_locks_is_ended_and_does_not_go_on() -> None:
    machines = Machines("a#1", "b#1")
    story = far(node("a", resources=locks("db")), node("b"))
    story.grant("a")
    assert await placed(machines).standing(story.run) == {"b"}
    assert machines.ended == [f"{RUN}:a#1"]


async def test_what_lies_inside_something_with_locks_is_ended_too() -> None:
    sub = command(phase("s", node("x")), name="/sub")
    inside = ByHand(
        command(phase("p", calling("g", "/sub", resources=locks("db")))), sub, queues=all_queue, elsewhere=all_queue
    )
    inside.grant("g")
    whole = ByHand(command(phase("p", node("a")), resources=locks("db")), queues=all_queue, elsewhere=all_queue)
    whole.grant()
    machines = Machines("g/x#1", "a#1")
    for story in (inside, whole):
        assert await placed(machines).standing(story.run) == frozenset()
    assert machines.ended == [f"{RUN}:g/x#1", f"{RUN}:a#1"]


async def test_a_run_that_gives_up_everything_ends_all_that_it_has_elsewhere() -> None:
    machines = Machines()
    await placed(machines).end(far(node("a"), node("b")).run)
    assert machines.ended == [f"{RUN}:a#1", f"{RUN}:b#1"]


async def test_without_the_fleet_nothing_is_guessed_about_what_it_runs() -> None:
    with pytest.raises(EnvironmentFault) as refused:
        await placed(HERE).standing(far(node("a")).run)
    assert refused.value.code == "FLEET_NOT_CONFIGURED"
    assert await placed(HERE).standing(ByHand(command(phase("p", node("a")))).run) == frozenset()
