"""Opening the engine of a project where the disk does not let it, and what becomes of a folder that goes away."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.executors.worktrees.git import nothing
from engine.executors.worktrees.isolated import IsolatedExecutor
from engine.model.agent import Agent, AgentKind
from engine.opening import _executors, open_engine
from engine.service import Engine
from engine.statefolder.guard import open_state
from engine.statefolder.links import STATE
from engine.storage.sqlite import SqliteStorage
from tests.support.definitions import command, node, phase, plan

SECONDS = 30
"""Bound of every wait."""
PLAN = plan(command(phase("p", node("a"))), agents=(Agent(id="worker", kind=AgentKind.CUSTOM),))


async def test_an_owners_folder_that_cannot_be_made_is_one_clear_fault_and_the_database_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[SqliteStorage] = []
    close = SqliteStorage.close

    async def seen(storage: SqliteStorage) -> None:
        closed.append(storage)
        await close(storage)

    monkeypatch.setattr(SqliteStorage, "close", seen)
    open_state(tmp_path)
    (tmp_path / STATE / "owners").write_text("", encoding="utf-8")
    with pytest.raises(EnvironmentFault) as caught:
        async with open_engine(tmp_path):
            pytest.fail("it was opened")
    assert caught.value.code == "READ_ONLY"
    assert str(tmp_path / STATE / "owners") in caught.value.message
    assert len(closed) == 1


async def test_runs_are_let_go_when_the_state_folder_goes_away_though_no_agent_has_ended(tmp_path: Path) -> None:
    ended = asyncio.Event()
    began = asyncio.Event()

    async def hang(_order: WorkOrder) -> Outcome:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()
        return Outcome()

    async with open_engine(tmp_path) as engine:
        engine.custom_executors["worker"] = InlineExecutor({"worker": hang})
        run = await engine.start(PLAN)
        await asyncio.wait_for(began.wait(), SECONDS)
        shutil.rmtree(tmp_path / STATE)
        await asyncio.wait_for(ended.wait(), SECONDS)
        with pytest.raises(EnvironmentFault) as caught:
            await engine.view(run)
    assert caught.value.code == "STATE_REMOVED"


def test_every_kind_of_agent_that_a_file_can_name_has_an_executor_with_worktrees() -> None:
    def engine() -> Engine:
        raise AssertionError

    executors = _executors(engine, nothing, None, None)
    assert set(executors) == {kind for kind in AgentKind if kind.traits.in_files}
    assert {type(executor) for executor in executors.values()} == {IsolatedExecutor}
