"""A server in one PID namespace, as in a container, and who looks at its project from another one."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.executors.subprocesses.search import end_orphans
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.statefolder.identity import this_process
from tests.support.installed import ORCHESTRATE
from tests.support.leaving import left_in, nothing_stays

INSIDE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
SECONDS = 30
"""Bound of every wait."""
ROOT = Path(__file__).parents[2]


def may_unshare() -> bool:
    """Whether this user may make PID namespaces here."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*INSIDE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not may_unshare(), reason="this user may not make PID namespaces here"),
]

OWNING = """
import asyncio, sys
from pathlib import Path
from engine.model.agent import Agent, AgentKind
from engine.opening import open_engine
from tests.support.definitions import command, node, phase, plan

root = Path(sys.argv[1])
PROGRAM = "import signal; open('ready', 'w'); signal.pause()"
AGENT = Agent(id="worker", kind=AgentKind.PROCESS, command=("{python}", "-c", PROGRAM))

async def main():
    async with open_engine(root) as engine:
        run = await engine.start(plan(command(phase("p", node("a"))), agents=(AGENT,)))
        while not (root / "ready").exists():
            await engine.wait(run, 0.1)
        print(run, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def server(project: Path, *inside: str) -> AsyncIterator[psutil.Process]:
    """The agent of a server that runs *inside* of something; both are gone at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *inside, sys.executable, "-c", OWNING, str(project), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    with nothing_stays(project):
        try:
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), SECONDS)
            yield await only_one_in(project)
        finally:
            process.kill()
            await asyncio.wait_for(process.communicate(), SECONDS)


async def only_one_in(project: Path) -> psutil.Process:
    """The agent: its warden, which starts it there, leaves the folder a moment later than the agent may be ready."""
    async with asyncio.timeout(SECONDS):
        while len(found := await asyncio.to_thread(left_in, project)) != 1:
            pass
    return found[0]


async def status(project: Path, *inside: str) -> dict[str, Any]:
    """What the command line says of the newest run, started *inside* of something."""
    process = await asyncio.create_subprocess_exec(
        *inside,
        *(ORCHESTRATE, "--project", str(project), "status", "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _nothing = await asyncio.wait_for(process.communicate(), SECONDS)
    found: dict[str, Any] = json.loads(answer)
    return found


async def test_the_agents_of_a_server_in_another_namespace_are_left_alone(tmp_path: Path) -> None:
    async with server(tmp_path, *INSIDE) as agent:
        assert (await status(tmp_path))["state"] == "running"
        assert await end_orphans(tmp_path) == 0
        async with open_engine(tmp_path) as engine:
            await engine.clean_up()
            assert (await engine.view()).run.status is RunStatus.RUNNING
        assert agent.is_running()


async def test_who_looks_from_another_namespace_ends_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as agent:
        assert (await status(tmp_path, *INSIDE))["state"] == "running"
        assert agent.is_running()


def test_a_process_of_another_namespace_is_of_another_world() -> None:
    code = "from engine.statefolder.identity import this_process as it; print(it().world, it().boot)"
    inside = subprocess.run([*INSIDE, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    world, boot = inside.stdout.split()
    assert world != this_process().world
    assert boot == this_process().boot
