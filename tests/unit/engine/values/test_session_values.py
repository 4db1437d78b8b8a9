"""Persisted outputs reach later commands of the project, merged ones as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.inline import InlineExecutor
from engine.model.agent import Agent, AgentKind
from engine.runtime.clock import SystemClock
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from pathlib import Path

    from engine.executors.port import WorkOrder

WORKER = Agent(id="worker", kind=AgentKind.CUSTOM)


def gives(key: str, **more: object) -> dict[str, Any]:
    return {"context": {"outputs": [{"key": key, "persist": True, **more}]}}


def reads(*keys: str) -> dict[str, Any]:
    return {"context": {"inputs": [{"key": key, "required": False, "default": "absent"} for key in keys]}}


@pytest.fixture
def seen() -> dict[str, Any]:
    return {}


async def run(engine: Engine, raw: dict[str, Any]) -> str:
    run_id = await engine.start(plan(raw, agents=(WORKER,)))
    while not await engine.read(run_id, lambda view: view.run.ended):
        await engine.wait(run_id, 5)
    return (await engine.view(run_id)).run.status.value


async def test_a_key_that_two_nodes_appended_to_is_one_value_for_the_next_command(
    tmp_path: Path, seen: dict[str, Any]
) -> None:
    def work(order: WorkOrder) -> dict[str, Any]:
        seen.update(order.inputs)
        return {"outputs": {output.key: order.node for output in order.outputs}}

    executors = {AgentKind.CUSTOM: InlineExecutor({"worker": work})}
    engine = Engine(tmp_path, storage=MemoryStorage(), owner=None, clock=SystemClock(), executors=executors)
    async with engine.serving():
        first = command(
            phase("one", node("left", **gives("names", merge="append"))),
            phase("two", node("right", **gives("names", merge="append")), node("top", **gives("title"))),
        )
        assert await run(engine, first) == "completed"
        assert (
            await run(engine, command(phase("read", node("reader", **reads("names", "title", "other"))))) == "completed"
        )
    assert seen == {"names": ["left", "right"], "title": "top", "other": "absent"}


async def test_a_failed_run_leaves_nothing_to_later_commands(tmp_path: Path, seen: dict[str, Any]) -> None:
    def work(order: WorkOrder) -> dict[str, Any]:
        seen.update(order.inputs)
        if order.node == "breaks":
            return {"failure": {"kind": "error", "code": "NO", "message": "no"}}
        return {"outputs": {output.key: order.node for output in order.outputs}}

    executors = {AgentKind.CUSTOM: InlineExecutor({"worker": work})}
    engine = Engine(tmp_path, storage=MemoryStorage(), owner=None, clock=SystemClock(), executors=executors)
    async with engine.serving():
        first = command(phase("one", node("top", **gives("title"))), phase("two", node("breaks")))
        assert await run(engine, first) == "failed"
        assert await run(engine, command(phase("read", node("reader", **reads("title"))))) == "completed"
    assert seen == {"title": "absent"}
