"""Real crashes at every commit: what was durable is there, what was done is not done again, the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from mcp_server.project import background
from mcp_server.project.project import RunRequest, open_project
from tests.support.definitions import command, node, phase
from tests.support.real_agents import ended, logged, make_programs, write_agents, write_command
from tests.support.workers import owner_of, wait_for_end

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.state import Run
    from mcp_server.project.project import Project

pytestmark = pytest.mark.processes

DYING = """
import os, signal, sys
sys.path.append(sys.argv.pop(1))
from engine.storage.sqlite import SqliteStorage
commit, commits = SqliteStorage.commit, 0

def reached(when):
    if (commits, when) == {point}:
        os.kill(os.getpid(), signal.SIGKILL)

async def mortal(self, batch, owner, follow):
    def following(outcomes):
        reached("within")
        return follow(outcomes)

    global commits
    commits += 1
    reached("before")
    outcomes = await commit(self, batch, owner, following)
    reached("after")
    return outcomes

SqliteStorage.commit = mortal
from mcp_server.project.worker import main
main()
"""
"""A worker that is killed at one of its commits."""
NODES = ("first-node", "second-node", "third-node")


def make_project(root: Path) -> Path:
    make_programs(root)
    write_agents(root, worker="")
    first, second, third = (node(name, resources={"locks": [{"resource": "disk"}]}) for name in NODES)
    write_command(root, command(phase("one", first, second), phase("two", third), name="/three"))
    return root


async def killed_at(project: Project, point: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> Run | None:
    """The run as the next process finds it; None where it never came to be."""
    monkeypatch.setattr(background, "START", DYING.replace("{point}", repr(point)))
    engine = await project.engine()
    try:
        run = await project.start_in_background(RunRequest(source="/three"))
    except EnvironmentFault:  # it died before it could answer
        found = await engine.storage.summaries()
        if not found:
            return None
        run = found[0].id
    wait_for_end(await owner_of(engine, run))
    return (await engine.view(run)).run


@pytest.mark.parametrize("when", ["before", "within", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3, 4])
async def test_a_worker_killed_at_a_commit_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: int, when: str
) -> None:
    root = make_project(tmp_path / "project")
    async with open_project(root, home=root / "home") as project:
        found = await killed_at(project, (commit, when), monkeypatch)
        if found is None:
            assert (commit, when) in {(1, "before"), (1, "within")}, "a run that is acknowledged, or durable, is there"
            return
        assert found.status in {RunStatus.INTERRUPTED, RunStatus.COMPLETED}
        done = {name for name, state in found.nodes.items() if state.status is NodeStatus.COMPLETED}
        engine = await project.engine()
        if found.status is RunStatus.INTERRUPTED:
            await project.resume(found.id)
        seen = await ended(engine, found.id)
        assert seen.status is RunStatus.COMPLETED
        assert await engine.locks() == []
    started = [line.partition(":")[0] for line in logged(root)]
    assert set(started) == set(NODES)
    assert all(started.count(name) == 1 for name in done)
    assert all(len(seen.nodes[name].attempts) == 1 for name in done)
    assert len(started) <= len(NODES) + 2, "only what was under way is done again"
