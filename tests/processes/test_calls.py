"""Functions of this program itself are called in forks that have imported them, and are processes like any other."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.executors.port import Outcome, WorkOrder
from engine.executors.python import PythonExecutor
from engine.executors.subprocesses import wardens
from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE, TAG_VARIABLE
from engine.model.agent import Agent, AgentSource
from engine.model.policy import FailureKind
from tests.support.leaving import left_in, nothing_stays
from tests.support.orders import Beats, order_for

pytestmark = pytest.mark.processes
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has wardens, and so such forks")
SECONDS = 30


def order_of(function: str, folder: Path, **inputs: str) -> WorkOrder:
    agent = Agent(id="a", callable=f"tests.support.called:{function}", source=AgentSource.PACKAGED)
    return order_for(agent, project=folder, inputs=inputs)


async def run(order: WorkOrder) -> Outcome:
    return await asyncio.wait_for(PythonExecutor({"GREETING": "hello"}).execute(order, Beats()), SECONDS)


async def facts_of(order: WorkOrder) -> dict[str, Any]:
    outcome = await run(order)
    assert outcome.failure is None
    facts: dict[str, Any] = outcome.outputs["n"]
    return facts


@linux
async def test_the_module_is_imported_once_and_each_call_finds_it_untouched(tmp_path: Path) -> None:
    for _ in range(2):
        facts = await facts_of(order_of("look", tmp_path))
        assert not facts["imported by itself"]
        assert facts["calls"] == 1


@linux
async def test_modules_that_are_imported_ahead_are_there_for_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wardens, "_started", {})
    wardens.start_ahead(["tests.support.missing:f", "tests.support.called:look"])
    ahead = wardens._ahead["calls"]
    facts = await facts_of(order_of("look", tmp_path))
    assert not facts["imported by itself"]
    assert wardens._started == {"calls": ahead}
    ahead.close()


@linux
async def test_a_process_that_was_started_ahead_and_has_ended_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wardens, "_started", {})
    with monkeypatch.context() as broken:
        broken.setattr(wardens, "_PROGRAM", "raise SystemExit(1)")
        wardens.start_ahead([])
    await facts_of(order_of("look", tmp_path))
    wardens._started["calls"].close()


@linux
async def test_a_call_has_the_process_that_a_program_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    facts = await facts_of(order_of("look", tmp_path))
    assert facts["environment"]["GREETING"] == "hello"
    assert facts["environment"]["LANG"] == "en_GB.UTF-8"
    assert facts["environment"][ATTEMPT_VARIABLE] == "r-1:check#1"
    assert facts["environment"][TAG_VARIABLE]
    assert facts["folder"] == str(tmp_path)
    assert facts["open"] == [0, 1, 2, 3], "the last one takes the answer"
    assert facts["leads"]
    assert facts["interrupted"]
    assert facts["blocked"] == 0
    # Python itself ignores these, and the last two are the C library's.
    assert facts["ignored"] & ~sum(1 << one - 1 for one in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33)) == 0


async def test_functions_of_anyone_else_are_called_by_an_interpreter_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\nPID = os.getpid()\ndef f(_): return {'outputs': {'n': PID == os.getpid()}}"
    )
    order = order_for(Agent(id="a", callable="own:f", source=AgentSource.PROJECT), project=tmp_path)
    assert (await run(order)).outputs == {"n": True}


async def test_variables_that_speak_to_an_interpreter_get_one(tmp_path: Path) -> None:
    (tmp_path / "brought.py").write_text("def f(_): return {'outputs': {'n': 1}}")
    order = order_for(Agent(id="a", callable="brought:f", source=AgentSource.PACKAGED), project=tmp_path)
    outcome = await PythonExecutor({"PYTHONPATH": str(tmp_path)}).execute(order, Beats())
    assert outcome.outputs == {"n": 1}


@pytest.mark.parametrize("way", ["plain", "daemon without a trace, ignores TERM"])
async def test_what_a_call_leaves_has_ended_when_its_attempt_has(way: str, tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        assert (await run(order_of("leave", tmp_path, way=way))).failure is None
        assert (tmp_path / "pids").exists()
        assert left_in(tmp_path) == []


async def test_a_cancelled_call_has_ended_with_all_that_it_started(tmp_path: Path) -> None:
    ready = asyncio.Event()
    beats = Beats(lambda action, said: ready.set() if "ready" in said and action is None else None)
    with nothing_stays(tmp_path):
        task = asyncio.ensure_future(PythonExecutor().execute(order_of("wait", tmp_path), beats))
        await asyncio.wait_for(ready.wait(), SECONDS)
        assert len(left_in(tmp_path)) == 2
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, SECONDS)
        assert left_in(tmp_path) == []


@linux
async def test_a_call_ends_with_its_warden_though_nothing_could_find_it(tmp_path: Path) -> None:
    with nothing_stays(tmp_path):
        outcome = await run(order_of("bereave", tmp_path))
        assert outcome.failure is not None
        assert (tmp_path / "pids").exists()
        assert left_in(tmp_path) == []
    assert (await run(order_of("look", tmp_path))).failure is None, "the next one has another warden"


@pytest.mark.parametrize("system", ["this one", "without wardens"])
async def test_failures_are_those_that_an_interpreter_of_its_own_has(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if system == "without wardens":
        monkeypatch.setattr(wardens, "_unsupported", True)
    raised = (await run(order_of("fail", tmp_path))).failure
    assert raised is not None
    assert (raised.kind, raised.code, raised.message) == (FailureKind.ERROR, "VALUE_ERROR", "no such luck")
    assert "called.py" in str(raised.partial)
    assert "python_child" not in str(raised.partial)
    left = (await run(order_of("leave_with_code", tmp_path))).failure
    assert left is not None
    assert "3" in left.message
    missing = (await run(order_of("no_such_function", tmp_path))).failure
    assert missing is not None
    assert missing.code == "CALLABLE_NOT_FOUND"
    order = order_for(Agent(id="a", callable="tests.no_such_module:f", source=AgentSource.PACKAGED), project=tmp_path)
    absent = (await run(order)).failure
    assert absent is not None
    assert absent.code == "CALLABLE_NOT_FOUND"
