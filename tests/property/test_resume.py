"""A run that is taken up at its failed nodes ends as if they had not failed: who read what changed reads it again."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.run import events as ev
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from tests.support.by_hand import ByHand, calling
from tests.support.definitions import command, node, phase
from tests.support.reading import stale

KEYS = ("a", "b", "c")


def reading(dice: Random, name: str, earlier: list[str]) -> dict[str, Any]:
    """A node that may read any key, gives one, and depends on little: mostly order and values alone hold it."""
    inputs = [{"key": key, "required": False} for key in dice.sample(KEYS, dice.randint(0, 2))]
    merge = dice.choice(("replace", "append"))
    key = f"{dice.choice(KEYS)}" if merge == "append" else f"{name}-out"
    outputs = [{"key": key, "merge": merge}, {"key": f"{name}-out"}] if merge == "append" else [{"key": key}]
    reads = [{"key": f"{one}-out", "required": False} for one in dice.sample(earlier, min(len(earlier), 2))]
    needs = dice.sample(earlier, 1) if earlier and dice.randrange(4) == 0 else []
    return node(name, *needs, context={"inputs": [*inputs, *reads], "outputs": outputs})


def family(dice: Random, size: int) -> list[dict[str, Any]]:
    """A command of phases that go on after failures, some without a barrier, perhaps with a sub-command."""
    sub = command(phase("s", *(reading(dice, name, []) for name in ("x", "y")), continueOnError=True), name="/sub")
    phases: list[dict[str, Any]] = []
    names: list[str] = []
    for number in range(dice.randint(2, 4)):
        members = [reading(dice, f"n{number}{place}", list(names)) for place in range(dice.randint(1, size))]
        here = [item["id"] for item in members]
        if dice.randrange(3) == 0:
            members.append(calling(f"g{number}", "/sub", context={"inputs": [{"key": "a", "required": False}]}))
        barrier = {} if dice.randrange(3) else {"barrier": False}
        phases.append(phase(f"p{number}", *members, continueOnError=True, **barrier))
        names += here
    return [command(*phases), sub]


def drive(story: ByHand, dice: Random, *, fail: float) -> None:
    """Bring the run to its end; a part of the attempts fails."""
    for turn in range(1000):
        if story.run.ended:
            return
        name = dice.choice(story.live())
        if dice.random() < fail:
            story.fail(name)
        else:
            outputs = {output.key for output in story.node(name).plan.outputs}
            merges = {output.key: output.merge for output in story.node(name).plan.outputs}
            story.succeed(
                name, **{key: [f"{name} {turn}"] if merges[key] == "append" else f"{name} {turn}" for key in outputs}
            )
    message = "the run does not end"
    raise AssertionError(message)


@given(seed=st.integers(0, 2**64), size=st.integers(1, 3))
@settings(max_examples=150)
def test_after_a_resume_every_completed_node_has_read_what_those_before_it_gave(seed: int, size: int) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    story = ByHand(*family(dice, size))
    story.every = 20
    drive(story, dice, fail=0.3)
    assert stale(story.run) == []
    for _ in range(2):
        if story.run.status is not RunStatus.DEGRADED:
            return
        before = len(story.events)
        story.resume(failed=True)
        drive(story, dice, fail=0.2)
        assert stale(story.run) == []
        check_untouched(story, before)


def check_untouched(story: ByHand, since: int) -> None:
    """What was not reset was not done again."""
    reset = {event.node for event in story.events[since:] if isinstance(event, ev.NodeReset)}
    done = {event.node for event in story.events[since:] if isinstance(event, ev.AttemptScheduled)}
    assert done <= reset
    assert all(story.node(name).status is not NodeStatus.CANCELLED for name in reset)
