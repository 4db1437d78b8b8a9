from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.executors.inline import InlineExecutor, InlineFunction
from engine.executors.port import Outcome, WorkOrder
from engine.model.agent import Agent
from engine.model.policy import Failure, FailureKind, Usage
from tests.support.orders import Beats, order_for

ORDER = order_for(Agent(id="a"), project=Path("/p"), inputs={"n": 2})


async def answer_of(function: InlineFunction) -> Outcome:
    return await InlineExecutor({"a": function}).execute(ORDER, Beats())


async def test_a_plain_function_answers() -> None:
    def double(order: WorkOrder) -> Mapping[str, Any]:
        return {"outputs": {"n": order.inputs["n"] * 2}}

    assert (await answer_of(double)).outputs == {"n": 4}


async def test_an_async_function_answers() -> None:
    async def double(order: WorkOrder) -> Mapping[str, Any]:
        return {"outputs": {"n": order.inputs["n"] * 2}}

    assert (await answer_of(double)).outputs == {"n": 4}


async def test_an_outcome_is_taken_as_it_is() -> None:
    outcome = Outcome(outputs={"n": 1}, usage=Usage(cost_usd=1.0))
    assert await answer_of(lambda _: outcome) is outcome


async def test_what_json_cannot_hold_is_no_answer() -> None:
    failure = (await answer_of(lambda _: {"outputs": {"n": {1, 2}}})).failure
    assert failure is not None
    assert failure.code == "INVALID_ANSWER"
    assert "set" in failure.message


async def test_an_exception_is_a_failure_with_its_own_code_and_kind() -> None:
    class Late(Exception):
        code = "too-late"
        kind = "timeout"

    def fail(_: WorkOrder) -> Mapping[str, Any]:
        raise Late("at noon")

    failure = (await answer_of(fail)).failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.message) == (FailureKind.TIMEOUT, "TOO_LATE", "at noon")


@pytest.mark.parametrize("error", [pytest.fail.Exception, BaseExceptionGroup])
async def test_what_is_no_ordinary_exception_is_a_failure_too(error: type[BaseException]) -> None:
    def fail(_: WorkOrder) -> Mapping[str, Any]:
        raise error("no", [KeyError()]) if error is BaseExceptionGroup else error("no")

    failure = (await answer_of(fail)).failure
    assert failure is not None
    assert failure.message.startswith("no")


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
async def test_what_ends_a_task_or_the_program_ends_it(end: type[BaseException]) -> None:
    def leave(_: WorkOrder) -> Mapping[str, Any]:
        raise end

    with pytest.raises(end):
        await answer_of(leave)


async def test_an_exception_without_text_or_code_is_told_by_its_class() -> None:
    def fail(_: WorkOrder) -> Mapping[str, Any]:
        raise LookupError

    failure = (await answer_of(fail)).failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.message) == (FailureKind.ERROR, "LOOKUP_ERROR", "LookupError")
    assert failure.partial is not None
    assert "in fail" in failure.partial


async def test_an_agent_without_a_function_says_so() -> None:
    outcome = await InlineExecutor().execute(ORDER, Beats())
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.begun) == ("EXECUTOR_UNAVAILABLE", False)


async def test_the_newest_registration_counts() -> None:
    executor = InlineExecutor({"a": lambda _: {"outputs": {"n": 1}}})
    executor.register("a", lambda _: {"failure": "no"})
    executor.register("b", lambda _: {"outputs": {}})
    assert executor.agent_ids == {"a", "b"}
    failure = (await executor.execute(ORDER, Beats())).failure
    assert failure == Failure(FailureKind.ERROR, "AGENT_ERROR", "no")
