"""A disk that is full in the middle of a run, and a server that is killed there; a real disk, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from engine.ids import NodeId, RunId
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.statefolder.links import STATE
from mcp_server.project.project import open_project
from tests.interaction.projects import call, environment, text_of
from tests.support.definitions import command, node, phase
from tests.support.installed import ORCHESTRATE
from tests.support.leaving import nothing_stays
from tests.support.real_agents import ended, let_go, logged, make_programs, ready, write_agents, write_command
from tests.support.small_disks import full, may_mount, small_disk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SECONDS = 50
SERVER = 'echo $$ > server; exec "$0" -m mcp_server'


pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not may_mount(), reason="this user may not mount a small disk here"),
]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Three nodes, one after the other, of which the second waits; all of `.claude` is on a small disk."""
    root = make_programs(tmp_path / "project", "second-node")
    with small_disk(root / STATE.parent):
        write_agents(root, worker="wait:second-node")
        phases = [phase(name, node(f"{name}-node", minutes=0.1)) for name in ("first", "second", "third")]
        write_command(root, command(*phases, name="/three"))
        settings = root / STATE.parent / "orchestration.toml"
        settings.write_text('claude_program = "no-such-program"\n', encoding="utf-8")
        yield root


@contextlib.asynccontextmanager
async def server(project: Path) -> AsyncIterator[Client]:
    """A client of the real server, which writes its number down."""
    parameters = StdioServerParameters(
        command="sh", args=["-c", SERVER, sys.executable], env=environment(project), cwd=project
    )
    async with Client(stdio_client(parameters), read_timeout_seconds=SECONDS) as client:
        yield client


def kill(project: Path) -> None:
    os.kill(int((project / "server").read_text(encoding="utf-8")), signal.SIGKILL)


def orchestrate(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, whose disk may be full."""
    return subprocess.run(
        [ORCHESTRATE, *words],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def told(project: Path, *words: str) -> Any:  # noqa: ANN401 - any JSON value
    """What a new process answers as JSON."""
    done = orchestrate(project, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("noticed", [False, True])
async def test_a_run_whose_server_is_killed_on_a_full_disk_keeps_what_was_done_and_goes_on(
    project: Path,
    noticed: bool,  # noqa: FBT001
) -> None:
    with nothing_stays(project):
        async with server(project) as client:
            run = RunId((await call(client, "run", command="/three"))["runId"])
            await ready(project, "second-node")
            with full(project / STATE.parent):
                if noticed:
                    await let_go(project, "second-node")
                    while not (answer := await client.call_tool("status", {"wait_seconds": 20})).is_error:
                        pass
                    assert text_of(answer).startswith("DISK_FULL")
                kill(project)
                seen = told(project, "status", run)
    assert (seen["state"], seen["progress"]["done"]) == ("interrupted", 1)
    async with open_project(project, home=project / "home") as opened:
        engine = await opened.engine()
        found = (await engine.view(run)).run
        assert found.status is RunStatus.INTERRUPTED
        assert found.nodes[NodeId("first-node")].status is NodeStatus.COMPLETED
        assert found.ended_at is not None
        assert found.ended_at > found.created_at
        await opened.resume(run)
        await ready(project, "second-node")
        await let_go(project, "second-node")
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    nodes = [line.partition(":")[0] for line in logged(project)]
    assert nodes == ["first-node", "second-node", "second-node", "third-node"], "what was lost alone is done again"


def test_on_a_full_disk_questions_are_answered_and_simulations_made_in_memory(project: Path) -> None:
    run = told(project, "run", "/three", "--executor", "simulate")["runId"]
    with full(project / STATE.parent):
        assert told(project, "status")["runId"] == run
        assert [row["runId"] for row in told(project, "runs")] == [run]
        assert run in orchestrate(project, "report").stdout
        assert orchestrate(project, "plan", "/three").returncode == 0
        tried = told(project, "run", "/three", "--executor", "simulate")
        assert tried["state"] == "completed"
        assert any("no run was recorded" in text for text in tried["warnings"])
        refused = orchestrate(project, "run", "/three")
        assert refused.returncode == 2
        assert refused.stderr.startswith("error DISK_FULL")
    assert [row["runId"] for row in told(project, "runs")] == [run]


def test_a_state_folder_may_be_a_disk_of_its_own(project: Path) -> None:
    state = project / STATE
    with small_disk(state):
        run = told(project, "run", "/three", "--executor", "simulate")["runId"]
        assert [row["runId"] for row in told(project, "runs")] == [run]
        assert (stat.S_IMODE(state.stat().st_mode), (state / ".gitignore").exists()) == (0o700, True)
        assert not [path for path in state.parent.iterdir() if path.name.startswith(f".{state.name}")]
