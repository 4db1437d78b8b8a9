"""Lists and loops of real programs in a worker that is killed: no item is lost, and nothing done is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from mcp_server.project import background
from mcp_server.project.project import RunRequest, open_project
from tests.processes.test_crashes import DYING
from tests.support.definitions import command, in_place, node, phase
from tests.support.real_agents import ended, logged, make_programs, write_agents, write_command
from tests.support.workers import owner_of, wait_for_end

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.state import Run
    from mcp_server.project.project import Project

pytestmark = pytest.mark.processes

ITEMS = ("a", "b", "c")
ALL = {f"cover/{at}/write/{turn}: Write {item}, try {turn}" for at, item in enumerate(ITEMS, 1) for turn in (1, 2)}


def make_project(root: Path) -> Path:
    """A project whose command writes each of three things twice."""
    make_programs(root)
    write_agents(root, worker="")
    write = node("write", task="Write ${thing}, try ${iteration}", repeat={"until": "iteration == 2"})
    cover = in_place("cover", phase("in", write), context={"inputs": [{"key": "things", "default": list(ITEMS)}]})
    cover["forEach"] = {"items": "things", "as": "thing", "maxParallelism": 2}
    write_command(root, command(phase("one", cover), name="/cover"))
    return root


async def killed_at(project: Project, point: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> Run | None:
    """The run as the next process finds it; None if it never came to be."""
    monkeypatch.setattr(background, "START", DYING.replace("{point}", repr(point)))
    engine = await project.engine()
    try:
        run = await project.start_in_background(RunRequest(source="/cover"))
    except EnvironmentFault:  # it died before it could answer
        found = await engine.storage.summaries()
        if not found:
            return None
        run = found[0].id
    wait_for_end(await owner_of(engine, run))
    return (await engine.view(run)).run


@pytest.mark.parametrize(
    "point", [(1, "after"), (2, "within"), (3, "before"), (4, "after"), (5, "after"), (7, "after")]
)
async def test_a_worker_killed_at_a_commit_loses_no_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: tuple[int, str]
) -> None:
    root = make_project(tmp_path / "project")
    async with open_project(root, home=root / "home") as project:
        found = await killed_at(project, point, monkeypatch)
        assert found is not None
        done = {name for name, state in found.nodes.items() if state.status is NodeStatus.COMPLETED}
        engine = await project.engine()
        if found.status is RunStatus.INTERRUPTED:
            await project.resume(found.id)
        seen = await ended(engine, found.id)
        assert seen.status is RunStatus.COMPLETED
    lines = logged(root)
    assert set(lines) == ALL
    assert all(len(seen.nodes[name].attempts) == 1 for name in done)
    again = [line for line in ALL if lines.count(line) > 1]
    assert not {line.partition(":")[0] for line in again} & done
    assert len(lines) <= len(ALL) + 2, "only what was under way is done again"
