"""How long runs take, how much work they are, and that nothing about them is left to chance."""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import Role, RunStatus
from engine.run.reducer import fold
from engine.run.state import Run
from engine.scheduling import admission, decide
from engine.storage.codec import encode_event
from tests.support.by_hand import NOON, OWNER, RUN, calling, comparable, decoded, rollback
from tests.support.definitions import command, node, phase, plan
from tests.support.random_commands import once_in, plain_node, random_command
from tests.support.runs import duration, simulated


@given(seed=st.integers(0, 2**64), size=st.integers(1, 8), slots=st.integers(1, 4))
def test_no_run_takes_longer_than_grahams_bound(seed: int, size: int, slots: int) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    members: list[dict[str, Any]] = []
    for place in range(size):
        members.append(plain_node(dice, f"n{place}", [item["id"] for item in members]))
    done = simulated(command(phase("p", *members)), limits=ev.Limits(max_parallelism=slots))
    ends: dict[str, int] = {}
    for item in members:
        ends[item["id"]] = item["estimatedTime"] + max((ends[name] for name in item["dependencies"]), default=0)
    work, path = sum(item["estimatedTime"] for item in members), max(ends.values())
    took = duration(done).total_seconds() * 1000
    assert max(path, work / slots) - 1 <= took <= work / slots + (1 - 1 / slots) * path + 1


@given(seed=st.integers(0, 2**64), size=st.integers(1, 5))
@settings(max_examples=50)
def test_equal_seeds_give_journals_that_are_equal_to_the_byte(seed: int, size: int) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    raw = random_command(dice, size)
    names = [node["id"] for phase in raw["phases"] for node in phase["agents"]]
    fail = tuple(f"{name}:1=error" for name in names if once_in(3, dice))
    one, other = (simulated(raw, fail=fail, seed=seed % 1000) for _ in range(2))
    assert [encode_event(event) for event in one.events] == [encode_event(event) for event in other.events]
    assert comparable(fold(decoded(one.events))) == comparable(one.run)
    assert one.run.ended


SUB = command(phase("s", node("x"), node("y", "x")), name="/sub")


def follows(place: int) -> dict[str, Any]:
    """Node number *place*, after the one before."""
    return node(f"n{place}", *([f"n{place - 1}"] if place else []))


SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "one phase": lambda count: command(phase("p", *(node(f"n{place}") for place in range(count)))),
    "one after the other": lambda count: command(phase("p", *map(follows, range(count)))),
    "many phases": lambda count: command(*(phase(f"p{place}", node(f"n{place}")) for place in range(count))),
    "many open phases": lambda count: command(
        *(phase(f"p{place}", follows(place), barrier=False) for place in range(count))
    ),
    "many sub-commands": lambda count: command(
        phase("p", *(calling(f"g{place}", "/sub") for place in range(count // 3)))
    ),
    "failures": lambda count: command(
        phase("p", *(node(f"n{place}", compensation=rollback()) for place in range(count)), continueOnError=True)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_work_of_a_run_grows_with_its_nodes_and_no_faster(shape: str) -> None:
    few, many = (calls_of(SHAPES[shape](count), failing=shape == "failures") for count in (60, 480))
    assert many < 8 * few * 1.5


def calls_of(raw: dict[str, Any], *, failing: bool) -> int:
    """How many functions are called to run *raw* from start to end."""
    compiled = plan(raw, SUB)
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    started = sig.StartRun(run=RUN, plan=compiled, owner=OWNER, limits=ev.Limits(max_parallelism=4))
    sys.setprofile(count)
    try:
        step = decide.start(started, NOON)
        while not step.run.ended:
            if step.wants is None:
                step = decide.decide(step.run, report_of(step.run, failing=failing), NOON)
            else:
                admission.go_on(step, sig.SupplyObservations(step.wants))
    finally:
        sys.setprofile(None)
    assert step.run.status in {RunStatus.COMPLETED, RunStatus.DEGRADED}
    return calls


def report_of(run: Run, *, failing: bool) -> sig.ReportOutcome:
    """The end of some live attempt."""
    state = next(node for name in run.live if not (node := run.nodes[name]).plan.inner)
    assert state.live is not None
    broken = Failure(FailureKind.ERROR, "BROKEN", "it broke") if failing and state.live.role is Role.FORWARD else None
    return sig.ReportOutcome(state.plan.id, state.live.number, {}, broken)
