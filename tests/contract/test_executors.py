"""What every executor keeps, whatever its agents do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.executors.port import Outcome
from engine.model.policy import Failure, FailureKind
from tests.support.agents import SETTINGS
from tests.support.orders import Beats, alive_with

pytestmark = pytest.mark.processes

everyone = pytest.mark.parametrize("name", SETTINGS)
# A simulated agent neither breaks down nor talks: it has no code of its own.
real_ones = pytest.mark.parametrize("name", [name for name in SETTINGS if name != "simulate"])


async def outcome_of(name: str, behaviour: str, folder: Path) -> Outcome:
    setting = SETTINGS[name](behaviour, folder)
    outcome = await asyncio.wait_for(setting.executor.execute(setting.order, Beats()), 30)
    assert alive_with(setting.order) == []
    return outcome


async def failure_of(name: str, behaviour: str, folder: Path) -> Failure:
    failure = (await outcome_of(name, behaviour, folder)).failure
    assert failure is not None
    return failure


@everyone
async def test_outputs_are_handed_back(name: str, tmp_path: Path) -> None:
    outcome = await outcome_of(name, "answer", tmp_path)
    assert outcome.failure is None
    assert outcome.outputs == {"n": 2}


@pytest.mark.parametrize("name", ["process", "python", "isolated"])
async def test_a_program_is_not_called_by_its_name_where_its_task_says_what_it_does(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]("answer", tmp_path)
    beats = Beats()
    await asyncio.wait_for(setting.executor.execute(setting.order, beats), 30)
    around = {"Making a worktree", "Merging changes"} if name == "isolated" else set()
    assert set(beats.actions) == {"", *around}


@everyone
async def test_a_failure_that_an_agent_tells_is_handed_back(name: str, tmp_path: Path) -> None:
    failure = await failure_of(name, "fail", tmp_path)
    assert (failure.kind, failure.code) == (FailureKind.VALIDATION, "BAD")
    assert failure.message


@real_ones
async def test_an_agent_that_breaks_down_is_a_failure_and_no_exception(name: str, tmp_path: Path) -> None:
    failure = await failure_of(name, "break", tmp_path)
    assert failure.kind is FailureKind.ERROR
    codes = {
        "process": "EXIT_1",
        "isolated": "EXIT_1",
        "python": "RUNTIME_ERROR",
        "inline": "RUNTIME_ERROR",
        "claude": "AGENT_CRASHED",
    }
    assert failure.code == codes[name]
    assert "it broke" in failure.message


@real_ones
async def test_garbage_is_an_invalid_answer(name: str, tmp_path: Path) -> None:
    failure = await failure_of(name, "garbage", tmp_path)
    assert failure.kind is FailureKind.VALIDATION
    assert failure.code == "INVALID_ANSWER"


@everyone
async def test_a_cancel_ends_everything_before_it_goes_on(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]("hang", tmp_path)
    ready = asyncio.Event()

    def listen(action: str | None, _said: str) -> None:
        if name in {"inline", "simulate", "claude"} or action is None:
            ready.set()

    before = asyncio.all_tasks()
    task = asyncio.ensure_future(setting.executor.execute(setting.order, Beats(listen)))
    if name == "inline":
        await asyncio.wait([task], timeout=0)
    else:
        await asyncio.wait_for(ready.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert alive_with(setting.order) == []
    assert asyncio.all_tasks() == before
