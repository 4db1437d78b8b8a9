from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.errors import InputError
from engine.executors.port import OutputSpec, WorkOrder
from engine.executors.simulate import Fault, SimulateExecutor, faults_by_place, parse_fault, parse_value, values_by_node
from engine.ids import NodeId
from engine.model.agent import Agent
from engine.model.policy import FailureKind
from tests.support.orders import Beats, order_for

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """Lets no time pass: where the loop would wait, its clock jumps to what it waits for."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self.now = 0.0

    def time(self) -> float:
        return getattr(self, "now", 0.0)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


def run(work: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """What *work* gives, and how many virtual seconds it took."""

    async def timed() -> tuple[T, float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        return await work(), loop.time() - start

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(timed())


def order(**options: Any) -> WorkOrder:  # noqa: ANN401 -- options of order_for
    return order_for(Agent(id="rev"), project=Path("/p"), estimate=timedelta(minutes=4), **options)


def test_a_node_takes_its_estimate_and_makes_its_outputs_up() -> None:
    outputs = (OutputSpec(key="n", schema={"type": "integer"}), OutputSpec(key="text"))
    beats = Beats()
    outcome, seconds = run(lambda: SimulateExecutor().execute(order(outputs=outputs), beats))
    assert outcome.outputs == {"n": 0, "text": "<text by rev>"}
    assert outcome.failure is None
    assert seconds == pytest.approx(240)
    assert beats.actions == ["Simulating rev"]


def test_a_value_that_was_set_is_the_output() -> None:
    executor = SimulateExecutor(values={NodeId("check"): {"n": None}})
    outcome, _ = run(lambda: executor.execute(order(), Beats()))
    assert outcome.outputs == {"n": None}


def test_a_fault_comes_at_half_of_the_estimate() -> None:
    executor = SimulateExecutor(faults={(NodeId("check"), None): Fault(FailureKind.ERROR, "RATE_LIMIT")})
    outcome, seconds = run(lambda: executor.execute(order(), Beats()))
    assert outcome.failure is not None
    assert outcome.failure.code == "RATE_LIMIT"
    assert "check" in outcome.failure.message
    assert seconds == pytest.approx(120)


def test_a_timeout_hangs_until_it_is_ended() -> None:
    executor = SimulateExecutor(faults={(NodeId("check"), None): Fault(FailureKind.TIMEOUT, "TIMEOUT")})

    async def impatient() -> str:
        try:
            await asyncio.wait_for(executor.execute(order(), Beats()), 10_000)
        except TimeoutError:
            return "ended"
        return "answered"

    ending, seconds = run(impatient)
    assert ending == "ended"
    assert seconds == pytest.approx(10_000)


@pytest.mark.parametrize(
    ("key", "number", "role", "fails"),
    [
        ((NodeId("check"), 2), 2, "forward", True),
        ((NodeId("check"), 2), 1, "forward", False),
        ((NodeId("check"), None), 3, "forward", True),
        ((NodeId("check"), None), 2, "compensate", False),
        ((NodeId("check"), 2), 2, "compensate", True),
        ((NodeId("other"), None), 1, "forward", False),
    ],
)
def test_a_fault_without_a_number_hits_all_forward_attempts_and_one_with_it_that_attempt(
    key: tuple[NodeId, int | None], number: int, role: str, *, fails: bool
) -> None:
    executor = SimulateExecutor(faults={key: Fault(FailureKind.ERROR, "X")})
    outcome, _ = run(lambda: executor.execute(order(number=number, role=role), Beats()))
    assert (outcome.failure is not None) is fails


@pytest.mark.parametrize(
    ("text", "key", "fault"),
    [
        ("deploy=error", ("deploy", None), Fault(FailureKind.ERROR, "AGENT_ERROR")),
        ("deploy/build:2=error/rate limit", ("deploy/build", 2), Fault(FailureKind.ERROR, "RATE_LIMIT")),
        ("tests=timeout", ("tests", None), Fault(FailureKind.TIMEOUT, "TIMEOUT")),
        ("a=b=validation", ("a=b", None), Fault(FailureKind.VALIDATION, "INVALID_OUTPUT")),
        ("a=cancel", ("a", None), Fault(FailureKind.CANCEL, "CANCELLED")),
    ],
)
def test_a_fault_is_read(text: str, key: tuple[str, int | None], fault: Fault) -> None:
    assert parse_fault(text) == (key, fault)


@pytest.mark.parametrize(
    "text", ["", "deploy", "=error", "deploy=", "deploy=boom", "a:0=error", "a:x=error", ":1=error", "a=timeout/SLOW"]
)
def test_a_fault_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_fault(text)
    assert caught.value.code == "INVALID_FAULT"
    assert caught.value.hint


def test_values_are_read() -> None:
    texts = ["a.x=1", 'a.y.z={"k": [true]}', 'deploy/b.u="a=b"']
    assert values_by_node(map(parse_value, texts)) == {"a": {"x": 1, "y.z": {"k": [True]}}, "deploy/b": {"u": "a=b"}}


def test_of_two_values_or_failures_for_one_place_neither_is_left_out_in_silence() -> None:
    with pytest.raises(InputError) as caught:
        values_by_node(map(parse_value, ["a.x=1", "b.x=1", "a.x=2"]))
    assert (caught.value.code, caught.value.message) == ("INVALID_VALUE", "two values are given for a.x")
    faults = faults_by_place(map(parse_fault, ["a=error", "a:1=timeout", "a:2=error", "b:1=error"]))
    assert [place for place, _ in faults.items()] == [("a", None), ("a", 1), ("a", 2), ("b", 1)]
    for text, where in (("a=timeout", 'node "a"'), ("a:2=timeout", 'attempt 2 of node "a"')):
        with pytest.raises(InputError) as caught:
            faults_by_place([*faults.items(), parse_fault(text)])
        assert (caught.value.code, caught.value.message) == ("INVALID_FAULT", f"two failures are given for {where}")


@pytest.mark.parametrize("text", ["", "a=1", ".x=1", "a.=1", "a.x", "a.x=text"])
def test_a_value_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_value(text)
    assert caught.value.code == "INVALID_VALUE"
    assert caught.value.hint
