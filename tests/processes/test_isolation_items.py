"""Isolated agents of a list: their work comes back item by item, and a conflict is one failed item."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.worktrees.branches import branch_of
from engine.ids import NodeId
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from tests.processes.test_isolation import failure_of, state_of
from tests.support.definitions import command, node, phase, plan
from tests.support.real_agents import ended, let_go, ready, until
from tests.support.repositories import branches, editor, leftovers, make_repository, on_branch

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.plan import Plan

pytestmark = pytest.mark.processes

ITEMS = ("red", "green", "blue")
LINES = "".join(f"line {number}\n" for number in range(1, 21))


def painting(project: Path, task: str, **shape: object) -> Plan:
    """A node that does *task* for each of three items, all at once; its agents meet the test at their pipes."""
    (project / "paint").mkdir()
    for number in range(1, len(ITEMS) + 1):
        for end in ("ready", "go"):
            os.mkfifo(project / "paint" / f"{number}.{end}")
    paint: dict[str, Any] = node("paint", task=f"{task}; meet()", forEach={"items": "colors", "as": "color", **shape})
    paint["context"] = {"inputs": [{"key": "colors", "default": list(ITEMS)}]}
    return plan(command(phase("work", paint)), agents=(editor(project),))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", {"color.txt": "none\n", "lines.txt": LINES, ".gitignore": "paint/\n"})


async def test_items_that_change_different_parts_of_one_file_all_come_back(project: Path) -> None:
    change = "replace('lines.txt', 'line ' + str(${number} * 5) + '\\n', '${color}\\n')"
    async with open_engine(project) as engine:
        run = await engine.start(painting(project, change))
        await asyncio.gather(*(ready(project, f"paint/{number}") for number in (1, 2, 3)))
        await asyncio.gather(*(let_go(project, f"paint/{number}") for number in (1, 2, 3)))
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED
    lines = (project / "lines.txt").read_text().splitlines()
    assert [lines[number * 5 - 1] for number in (1, 2, 3)] == list(ITEMS)
    assert (branches(project), leftovers(project)) == ([], [])


async def test_work_comes_back_as_items_end_and_a_conflict_is_a_failed_item_whose_branch_stays(project: Path) -> None:
    """A retry of the failed items then works on top of what has come back."""
    change = "write('color.txt', pathlib.Path('color.txt').read_text().replace('none', '') + '${color}\\n')"
    compiled = painting(project, change, continueOnError=True, failures="lost")
    async with open_engine(project) as engine:
        run = await engine.start(compiled)
        await asyncio.gather(*(ready(project, f"paint/{number}") for number in (1, 2, 3)))
        await let_go(project, "paint/3")
        await until(engine, run, lambda seen: state_of(seen, "paint/3").status is NodeStatus.COMPLETED)
        await asyncio.gather(let_go(project, "paint/1"), let_go(project, "paint/2"))
        seen = await ended(engine, run)
        assert (seen.status, (project / "color.txt").read_text()) == (RunStatus.DEGRADED, "\nblue\n")
        lost = {name: branch_of(run, NodeId(name), 1) for name in ("paint/1", "paint/2")}
        for name, branch in lost.items():
            failure = failure_of(seen, name)
            assert (failure.code, branch in (failure.hint or "")) == ("MERGE_CONFLICT", True)
        kept = [branch.removeprefix("orchestration/") for branch in lost.values()]
        assert (branches(project), leftovers(project)) == (kept, [])
        assert [on_branch(project, branch, "color.txt") for branch in kept] == ["\nred", "\ngreen"]

        await engine.resume(run, failed=True)
        await asyncio.gather(*(ready(project, name) for name in lost))
        await let_go(project, "paint/1")
        await until(engine, run, lambda seen: state_of(seen, "paint/1").status is NodeStatus.COMPLETED)
        await let_go(project, "paint/2")
        seen = await ended(engine, run)
    assert (project / "color.txt").read_text() == "\nblue\nred\n"
    assert len(state_of(seen, "paint/3").attempts) == 1
    assert failure_of(seen, "paint/2").code == "MERGE_CONFLICT", "it began before the other came back"
