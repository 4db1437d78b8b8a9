from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.executors.subprocesses.process_tags import TAG_VARIABLE
from engine.executors.subprocesses.search import end_orphans
from engine.model.agent import Agent
from engine.opening import open_engine
from engine.run.events import Limits, RunStatus
from engine.run.state import NodeStatus
from tests.support.agents import write_program
from tests.support.definitions import command, node, phase, plan
from tests.support.real_agents import ended, let_go, logged, make_programs, program_agent, ready, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


def marked(project: Path) -> list[psutil.Process]:
    """Every live process that some attempt of *project* has started, found without code of ours but the marks' name."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            inside = process.cwd() == str(project)
            if TAG_VARIABLE in environment and inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_a_cancel_is_over_when_no_process_of_the_run_is_left(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node", "second-node")
    compiled = plan(
        command(phase("work", node("first-node"), node("second-node"))),
        agents=(program_agent("worker", "tree", "stubborn", "wait"),),
    )
    async with open_engine(project) as engine:
        run = await engine.start(compiled)
        await asyncio.gather(ready(project, "first-node"), ready(project, "second-node"))
        assert len(marked(project)) >= 8
        await engine.cancel(run, reason="enough")
        seen = await ended(engine, run)
        assert marked(project) == []
    assert seen.status is RunStatus.CANCELLED
    assert {state.status for state in seen.nodes.values()} == {NodeStatus.CANCELLED}


async def test_a_timeout_ends_the_whole_tree_before_the_next_try_begins(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node")
    policy = {"maxAttempts": 1, "strategy": "immediate"}
    compiled = plan(
        command(phase("work", node("first-node", timeout=400, estimatedTime=100, retryPolicy=policy))),
        agents=(program_agent("worker", "tree", "stubborn", "wait"),),
    )
    async with open_engine(project) as engine:
        run = await engine.start(compiled)
        seen = await ended(engine, run)
        assert marked(project) == []
    state = seen.nodes[compiled.nodes[0].id]
    assert [attempt.failure.code for attempt in state.attempts if attempt.failure] == ["TIMEOUT", "TIMEOUT"]
    assert seen.status is RunStatus.FAILED


ANSWERED = """
import json, sys, time
print(json.dumps({"type": "result", "is_error": False, "structured_output": {"outputs": {}}}))
print(json.dumps({"type": "system", "subtype": "init"}), flush=True)
time.sleep(600)
"""


async def test_a_model_agent_that_answered_in_time_has_succeeded_when_its_time_is_up(tmp_path: Path) -> None:
    program = write_program(tmp_path / "fake-claude", f"#!{sys.executable}{ANSWERED}")
    compiled = plan(
        command(phase("work", node("first-node"))), agents=(Agent(id="worker", idle_timeout=timedelta(seconds=1)),)
    )
    async with open_engine(tmp_path, claude_program=str(program)) as engine:
        run = await engine.start(compiled)
        seen = await ended(engine, run)
        assert marked(tmp_path) == []
    assert seen.status is RunStatus.COMPLETED
    (attempt,) = seen.nodes[compiled.nodes[0].id].attempts
    assert attempt.stopping is not None, "it was stopped, and not over by itself"


async def test_the_end_of_the_engine_leaves_no_process_and_an_interrupted_run(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node")
    compiled = plan(
        command(phase("work", node("first-node"))), agents=(program_agent("worker", "tree", "stubborn", "wait"),)
    )
    async with open_engine(project) as engine:
        run = await engine.start(compiled)
        await ready(project, "first-node")
    assert marked(project) == []
    async with open_engine(project) as engine:
        assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED


async def test_a_silent_agent_times_out_with_its_last_output(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node")
    limit = timedelta(seconds=1)
    compiled = plan(
        command(phase("work", node("first-node"))),
        agents=(program_agent("worker", "say", "wait", idle_timeout=limit),),
    )
    async with open_engine(project) as engine:
        seen = await ended(engine, await engine.start(compiled))
    failure = seen.nodes[compiled.nodes[0].id].failure
    assert failure is not None
    assert (failure.kind.value, failure.code) == ("timeout", "IDLE_TIMEOUT")
    assert failure.partial == "half done"
    assert "was silent for" in failure.message


async def test_an_idle_limit_of_the_settings_holds_for_agents_without_one(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node", "second-node")
    compiled = plan(
        command(phase("work", node("first-node"), node("second-node", agent="patient"))),
        agents=(
            program_agent("worker", "wait"),
            program_agent("patient", "wait", idle_timeout=timedelta(hours=1)),
        ),
    )
    async with open_engine(project) as engine:
        engine.idle_timeout = timedelta(milliseconds=500)
        seen = await ended(engine, await engine.start(compiled))
    failures = {str(name): state.failure.code for name, state in seen.nodes.items() if state.failure}
    assert failures == {"first-node": "IDLE_TIMEOUT"}
    assert seen.nodes[compiled.nodes[1].id].status is NodeStatus.CANCELLED


async def test_the_agents_own_limit_caps_the_nodes_timeout(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node")
    agent = program_agent("worker", "wait", timeout=timedelta(milliseconds=300))
    compiled = plan(command(phase("work", node("first-node"))), agents=(agent,))
    async with open_engine(project) as engine:
        seen = await ended(engine, await engine.start(compiled))
    failure = seen.nodes[compiled.nodes[0].id].failure
    assert failure is not None
    assert failure.message.startswith('Node "first-node" timed out after 300ms')


async def test_a_run_that_takes_too_long_stops_and_undoes_its_work(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "second-node")
    undo = {"type": "rollback", "task": "Undo it", "agentId": "undoer"}
    compiled = plan(
        command(phase("work", node("first-node", compensation=undo), node("second-node", "first-node"))),
        agents=(program_agent("worker", "wait:second-node"), program_agent("undoer")),
    )
    async with open_engine(project) as engine:
        run = await engine.start(compiled, limits=Limits(max_duration_seconds=2))
        seen = await ended(engine, run)
        assert marked(project) == []
    assert seen.status is RunStatus.COMPENSATED
    assert seen.stop is not None
    assert seen.stop.failure is not None
    assert seen.stop.failure.code == "DURATION_EXCEEDED"
    assert logged(project)[-1] == "first-node: Undo it"


async def test_attempts_beyond_the_limit_are_not_made(tmp_path: Path) -> None:
    project = make_programs(tmp_path)
    compiled = plan(
        command(phase("work", *(node(f"node-{number}") for number in range(4)), parallel=False)),
        agents=(program_agent("worker"),),
    )
    async with open_engine(project) as engine:
        run = await engine.start(compiled, limits=Limits(max_attempts_total=2))
        seen = await ended(engine, run)
    assert seen.status is RunStatus.FAILED
    assert "used all 2 allowed attempts" in seen.message
    assert [line.partition(":")[0] for line in logged(project)] == ["node-0", "node-1"]


async def test_what_carries_no_mark_of_the_project_is_never_ended(tmp_path: Path) -> None:
    project = make_programs(tmp_path, "first-node")
    compiled = plan(command(phase("work", node("first-node"))), agents=(program_agent("worker", "wait"),))
    async with open_engine(project) as engine:
        run = await engine.start(compiled)
        await ready(project, "first-node")
        [agent] = marked(project)
        assert await end_orphans(project) == 0, "its server lives"
        assert agent.is_running()
        await let_go(project, "first-node")
        seen = await until(engine, run, lambda run: run.ended)
    assert seen.status is RunStatus.COMPLETED
