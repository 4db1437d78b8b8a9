"""What comes after a node by order and by values, for undoing and for taking a run up again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run.events import RunStatus
from engine.scheduling.succession import after, reads, to_redo
from tests.support.by_hand import ByHand, calling, rollback
from tests.support.definitions import command, node, phase, plan


def gives(*keys: str, reads: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a context
    inputs = [{"key": key, "required": False} for key in reads]
    return {"inputs": inputs, "outputs": [{"key": key} for key in keys], **fields}


def reader(name: str, *keys: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - of a node
    return node(name, context=gives(reads=keys), **fields)


def degraded(*phases: dict[str, Any], sub: dict[str, Any] | None = None, fail: tuple[str, ...] = ("a",)) -> ByHand:
    """A run that has ended, in which the nodes of *fail* have failed."""
    story = ByHand(command(*phases), *([] if sub is None else [sub]))
    while not story.run.ended:
        name = story.live()[0]
        outputs = {output.key: f"by {name}" for output in story.node(name).plan.outputs}
        story.fail(name) if name in fail else story.succeed(name, **outputs)
    assert story.run.status is RunStatus.DEGRADED
    return story


def again(story: ByHand) -> list[str]:
    return sorted(to_redo(story.run))


GIVER = node("a", context=gives("k"))
FIRST = phase("one", GIVER, node("other", context=gives("other-key")), continueOnError=True)


def test_a_reader_in_a_later_phase_is_done_again_though_it_depends_on_nothing() -> None:
    story = degraded(FIRST, phase("two", reader("r", "k"), reader("s", "other-key")))
    assert again(story) == ["a", "r"]
    story.resume(failed=True)
    assert (story.live(), story.status("s")) == (["a"], "completed")
    story.succeed("a", k="new")
    assert story.live() == ["r"]
    version = story.node("r").version
    assert version is not None
    assert [part.version <= version for part in story.run.context["k"]] == [True]
    story.succeed("r")
    assert story.run.status is RunStatus.COMPLETED


def test_what_a_reader_gave_is_read_again_too() -> None:
    chain = phase("two", node("r", context=gives("j", reads=("k",))))
    assert again(degraded(FIRST, chain, phase("three", reader("s", "j"), reader("t")))) == ["a", "r", "s"]


def test_a_reader_that_began_before_the_giver_was_over_read_nothing_of_it() -> None:
    together = phase("one", GIVER, reader("early", "k"), continueOnError=True)
    story = ByHand(command(together))
    story.wait(seconds=1)
    story.fail("a")
    story.succeed("early")
    assert again(story) == ["a"]


def test_a_reader_of_the_same_phase_that_began_later_would_have_read_it() -> None:
    story = ByHand(command(phase("one", GIVER, reader("late", "k", priority=-1), parallel=False, continueOnError=True)))
    story.fail("a")
    story.wait(seconds=1)
    story.succeed("late")
    assert again(story) == ["a", "late"]


def test_who_is_given_everything_reads_everything() -> None:
    story = degraded(FIRST, phase("two", node("all", context=gives(passthrough=True)), reader("s", "other-key")))
    assert again(story) == ["a", "all"]


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ({"type": "context", "expression": "k == null"}, ["a", "r"]),
        ({"type": "context", "expression": "other == null"}, ["a"]),
        ({"type": "file_exists", "expression": "nothing.txt"}, ["a"]),
    ],
)
def test_a_condition_reads_what_it_names_whether_it_skips_or_not(skip: dict[str, Any], expected: list[str]) -> None:
    assert again(degraded(FIRST, phase("two", node("r", skipCondition=skip)))) == expected


def test_a_reader_inside_a_sub_command_is_done_again_with_all_of_it() -> None:
    sub = command(phase("s", node("x"), node("y", "x")), name="/sub")
    group = calling("g", "/sub", context=gives(reads=("k",)))
    story = degraded(FIRST, phase("two", group), sub=sub)
    assert again(story) == ["a", "g", "g/x", "g/y"]


def test_what_fails_inside_is_done_again_with_the_sub_command_and_who_read_its_outputs() -> None:
    sub = command(phase("s", node("x", context=gives("k")), node("y"), continueOnError=True), name="/sub")
    group = calling("g", "/sub", context=gives("k"))
    story = degraded(
        phase("one", group, continueOnError=True), phase("two", reader("r", "k"), reader("s")), sub=sub, fail=("g/x",)
    )
    assert again(story) == ["g", "g/x", "r"]


def test_what_is_inside_another_scope_is_not_what_it_is_called_like() -> None:
    sub = command(phase("s", reader("x", "k")), name="/sub")
    assert again(degraded(FIRST, phase("two", calling("g", "/sub")), sub=sub)) == ["a"]


def cascading(name: str, *needs: str) -> dict[str, Any]:
    return node(name, *needs, compensation={"type": "cascade", "rollbackTo": "a"})


def names(found: set[NodeId]) -> list[str]:
    return sorted(found)


def test_a_roll_back_covers_who_has_read_what_its_target_gave() -> None:
    read = node("r", context=gives(reads=("k",)), compensation=rollback())
    unread = node("u", compensation=rollback())
    story = ByHand(
        command(
            phase("one", GIVER),
            phase("two", read, unread, barrier=False),
            phase("three", node("z", "r", "u", compensation={"type": "cascade", "rollbackTo": "a"}), barrier=False),
        )
    )
    story.succeed("u")
    story.wait(seconds=1)
    story.succeed("a", k=1)
    assert names(after(story.run, NodeId("a"))) == []
    late = ByHand(
        command(
            phase("one", GIVER), phase("two", node("w"), node("r", "w", context=gives(reads=("k",))), barrier=False)
        )
    )
    late.succeed("a", k=1)
    late.wait(seconds=1)
    late.succeed("w")
    assert names(after(late.run, NodeId("a"))) == ["r"]


def test_what_depends_on_a_node_behind_the_barrier_comes_after_too() -> None:
    story = ByHand(
        command(
            phase("one", node("a"), node("beside")),
            phase("two", node("b")),
            phase("three", node("c", "b"), node("free"), barrier=False),
        )
    )
    assert names(after(story.run, NodeId("a"))) == ["b", "c"]
    assert names(after(story.run, NodeId("b"))) == ["c"]
    assert names(after(story.run, NodeId("free"))) == []


def test_a_later_phase_without_a_barrier_does_not_come_after() -> None:
    story = ByHand(command(phase("one", node("a")), phase("two", node("b"), barrier=False), phase("three", node("c"))))
    assert names(after(story.run, NodeId("a"))) == ["c"]


def test_what_is_inside_a_sub_command_comes_after_with_it() -> None:
    sub = command(phase("s", node("x")), phase("t", node("y")), name="/sub")
    story = ByHand(command(phase("one", node("a")), phase("two", calling("g", "/sub", "a"))), sub)
    assert names(after(story.run, NodeId("a"))) == ["g", "g/x", "g/y"]
    assert names(after(story.run, NodeId("g/x"))) == ["g/y"]
    assert names(after(story.run, NodeId("g"))) == []


def test_a_node_reads_its_inputs_and_what_its_condition_names() -> None:
    raw = command(
        phase(
            "p",
            node("plain", context=gives(reads=("a", "b"))),
            node("judged", context=gives(reads=("a",)), skipCondition={"type": "context", "expression": "c == 1"}),
            node("custom", skipCondition={"type": "custom", "expression": "mine"}),
            node("all", context=gives(passthrough=True)),
            node("broken", context=gives(reads=("b",)), skipCondition={"type": "context", "expression": "((("}),
            continueOnError=True,
        )
    )
    plans = {plan.id: plan for plan in ByHand(raw).run.plan.nodes}
    assert {name: reads(plan) for name, plan in plans.items()} == {
        "plain": {"a", "b"},
        "judged": {"a", "c"},
        "custom": None,
        "all": None,
        "broken": {"b"},
    }


def test_a_failure_that_cascades_to_a_target_undoes_its_readers() -> None:
    story = ByHand(
        command(
            phase("one", GIVER),
            phase(
                "two", node("w"), node("r", "w", context=gives(reads=("k",)), compensation=rollback()), barrier=False
            ),
            phase("three", cascading("z", "r"), barrier=False),
        )
    )
    story.succeed("a", k=1)
    story.wait(seconds=1)
    for name in ("w", "r"):
        story.succeed(name)
    story.fail("z")
    assert story.undone() == ["r"]
    assert [event.order for event in story.events if isinstance(event, ev.SagaStarted)] == [("r",)]


def test_what_reads_everything_is_not_done_again_for_a_node_that_wrote_nothing() -> None:
    program = Agent(id="worker", kind=AgentKind.PROCESS)
    first = phase("one", node("a"), continueOnError=True)
    raw = command(first, phase("two", node("all", context={"passthrough": True})))
    story = ByHand(plan(raw, agents=(program,)))
    story.fail("a")
    story.succeed("all")
    assert again(story) == ["a"]
