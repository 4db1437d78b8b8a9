"""A status line shows the run under way, of any process, and what became of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.runtime.clock import SystemClock
from engine.runtime.run_notes import NOTE_SECONDS
from engine.statefolder.links import STATE
from engine.statefolder.owners import FOLDER
from mcp_server.cli.line import RECENT_SECONDS, line_in
from mcp_server.project.project import RunRequest, open_project
from tests.interaction.projects import environment, make_project, open_gate
from tests.support.real_agents import SECONDS, ended, until
from tests.support.terminal import wait_until
from tests.support.workers import owner_of

if TYPE_CHECKING:
    from engine.ids import RunId

pytestmark = pytest.mark.processes


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def shown(root: Path, *options: str) -> str:
    """What `orchestrate status --line` prints in a folder of the project."""
    program = Path(sys.executable).parent / "orchestrate"
    command = [str(program), *options, "status", "--line"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def state_files(root: Path) -> set[str]:
    return {path.name for path in (root / STATE / FOLDER).iterdir()}


async def begin(root: Path) -> tuple[RunId, psutil.Process]:
    async with open_project(root) as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        await until(engine, run, lambda run: run.settled == 1)
        return run, psutil.Process(await owner_of(engine, run))


async def test_the_line_follows_a_run_of_another_process_to_its_end(root: Path) -> None:
    assert shown(root) == ""
    _, worker = await begin(root)
    text = wait_until(lambda: shown(root), lambda seen: " left" in seen, timeout=20 * NOTE_SECONDS)
    assert text.startswith("⚙️ /wait ")
    assert " · 1/2 · ~" in text
    assert text.count("\n") == 1
    assert shown(root.parent, "--project", str(root)).startswith("⚙️ /wait ")
    open_gate(root)
    psutil.wait_procs([worker], timeout=SECONDS)
    assert shown(root).startswith("✅ /wait ")
    assert not [name for name in state_files(root) if name.endswith(".runs")]


async def test_a_run_whose_process_was_killed_is_shown_as_interrupted(root: Path) -> None:
    run, worker = await begin(root)
    wait_until(lambda: str(state_files(root)), lambda seen: ".runs" in seen)
    worker.kill()
    psutil.wait_procs([worker], timeout=SECONDS)
    assert shown(root) == "⏸️ /wait interrupted · 1/2\n"
    async with open_project(root) as project:
        engine = await project.engine()
        await project.resume(run)
        await asyncio.to_thread(open_gate, root)
        await ended(engine, run)
    assert shown(root).startswith("✅ /wait ")


async def test_a_line_leaves_nothing_behind_and_an_old_run_is_no_news(root: Path) -> None:
    async with open_project(root) as project:
        engine = await project.engine()
        await ended(engine, await project.start(RunRequest(source="/hello", executor="simulate")))
    folder = root / STATE
    before = sorted(path.name for path in folder.rglob("*"))
    assert shown(root).startswith("✅ /hello ")
    assert sorted(path.name for path in folder.rglob("*")) == before
    assert line_in(str(folder), SystemClock().now().timestamp() + 2 * RECENT_SECONDS) == ""


def watched(root: Path) -> subprocess.Popen[str]:
    """A process with a monitor of the project as its child; their output is one."""
    starts = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    command = [sys.executable, "-c", starts, str(Path(sys.executable).parent / "orchestrate"), "monitor"]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


async def test_a_monitor_reports_each_change_once_and_ends_with_its_parent(root: Path) -> None:
    with watched(root) as parent:
        assert parent.stdout is not None
        [monitor] = await asyncio.to_thread(children_of, parent.pid)
        _, worker = await begin(root)
        await asyncio.to_thread(open_gate, root)
        psutil.wait_procs([worker], timeout=SECONDS)
        line = await asyncio.to_thread(parent.stdout.readline)
        assert " has ended: completed, 2/2. " in line
        assert line.startswith("/wait (run r-")
        parent.kill()
        psutil.wait_procs([monitor], timeout=SECONDS)
        assert not monitor.is_running()
        assert await asyncio.to_thread(parent.stdout.read) == ""


def children_of(pid: int) -> list[psutil.Process]:
    """The children of *pid*, once it has any."""
    wait_until(lambda: str(psutil.Process(pid).children()), lambda seen: seen != "[]")
    return psutil.Process(pid).children()
