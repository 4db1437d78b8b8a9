"""In a project on a read-only file system all that is asked is answered, and what is tried is tried in memory."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from engine.statefolder.stamps import open_stamps
from tests.interaction.projects import call, environment, make_project, open_gate, refused
from tests.support.installed import ORCHESTRATE
from tests.support.readonly import read_only
from tests.support.state import contents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

SECONDS = 50


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    make_project(root)
    (root / "gate").unlink()
    (root / "home").rename(tmp_path / "home")
    return root


@pytest.fixture
def env(tmp_path: Path, project: Path) -> dict[str, str]:
    """The home of the user lies elsewhere, and can be written to."""
    home = tmp_path / "home"
    return {**environment(project), "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}


def orchestrate(project: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    before = contents(project)
    with read_only(project) as prefix:
        done = asked([*prefix, ORCHESTRATE, *words], project, env)
    assert contents(project) == before
    return done


def asked(words: list[str], project: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=project, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)


def recorded(project: Path, env: dict[str, str]) -> str:
    """A run that was made while the project could be written to."""
    done = asked([ORCHESTRATE, "run", "/hello", "--json"], project, env)
    run: str = json.loads(done.stdout)["runId"]
    return run


def test_what_needs_no_runs_works_as_it_does_elsewhere(project: Path, env: dict[str, str]) -> None:
    for words in (("validate", "/hello"), ("plan", "/hello"), ("runs",), ("agents",)):
        done = orchestrate(project, env, *words)
        assert done.returncode == 0, done.stderr
    assert "RUN_NOT_FOUND" in orchestrate(project, env, "status").stderr


def test_earlier_runs_are_told(project: Path, env: dict[str, str]) -> None:
    run = recorded(project, env)
    [row] = json.loads(orchestrate(project, env, "runs", "--json").stdout)
    assert (row["runId"], row["state"]) == (run, "completed")
    assert "hello from first-greeting" in orchestrate(project, env, "status", "--view", "outputs").stdout
    assert run in orchestrate(project, env, "status").stdout
    assert run in orchestrate(project, env, "report").stdout
    assert orchestrate(project, env, "plan", "/hello").returncode == 0
    assert orchestrate(project, env, "status", "--watch").returncode == 0


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_simulation_is_made_in_memory_and_says_that_it_is_not_recorded(
    project: Path, env: dict[str, str], earlier: int
) -> None:
    runs = [recorded(project, env) for _ in range(earlier)]
    done = orchestrate(project, env, "run", "/hello", "--executor", "simulate")
    assert done.returncode == 0, done.stderr
    assert "/hello completed" in done.stdout
    assert "no run was recorded" in done.stderr
    told: dict[str, Any] = json.loads(
        orchestrate(project, env, "run", "/hello", "--executor", "simulate", "--json").stdout
    )
    assert told["state"] == "completed"
    assert any("no run was recorded" in text for text in told["warnings"])
    assert [row["runId"] for row in json.loads(orchestrate(project, env, "runs", "--json").stdout)] == runs


def test_a_real_run_is_one_clear_error(project: Path, env: dict[str, str], tmp_path: Path) -> None:
    done = orchestrate(project, env, "run", "/hello")
    assert done.returncode == 2
    assert "READ_ONLY" in done.stderr
    assert not open_stamps(tmp_path / "home").file.exists(), "nothing is noted of a folder that cannot be made"


PROGRAM = """
import asyncio
from engine import OrchestrationEngine
async def main():
    async with OrchestrationEngine() as engine:
        print((await engine.execute("/hello", executor="simulate")).status)
asyncio.run(main())
"""


def test_a_program_simulates(project: Path, env: dict[str, str]) -> None:
    before = contents(project)
    with read_only(project) as prefix:
        done = asked([*prefix, sys.executable, "-c", PROGRAM], project, env)
    assert done.stdout == "completed\n", done.stderr
    assert contents(project) == before


@contextlib.contextmanager
def at_work(project: Path, env: dict[str, str]) -> Iterator[str]:
    """A run of another process, whose second agent waits at a gate."""
    for name in ("started", "gate"):
        os.mkfifo(project / name)
    run = asked([ORCHESTRATE, "run", "/wait", "--detach"], project, env).stdout.strip()
    try:
        assert (project / "started").read_text(encoding="utf-8") == "x"
        yield run
    finally:
        asked([ORCHESTRATE, "cancel", run], project, env)


def test_who_watches_sees_what_another_process_records(project: Path, env: dict[str, str]) -> None:
    with at_work(project, env) as run, read_only(project) as prefix:
        words = [*prefix, ORCHESTRATE, "status", run, "--watch"]
        with subprocess.Popen(words, cwd=project, env=env, stdout=PIPE, stderr=PIPE, text=True) as watching:
            assert watching.stderr is not None
            assert "Do first-greeting (completed" in watching.stderr.readline()
            open_gate(project)
            shown, _ = watching.communicate(timeout=SECONDS)
    assert "/wait completed" in shown


async def test_a_client_that_waits_sees_what_another_process_records(project: Path, env: dict[str, str]) -> None:
    with at_work(project, env) as run, read_only(project) as prefix:
        async with client_of(project, env, prefix) as client:
            assert (await call(client, "status"))["state"] == "running"
            tried = (await call(client, "run", command="/hello", executor="simulate"))["runId"]
            open_gate(project)
            while (status := await call(client, "status", run_id=run, wait_seconds=20))["state"] == "running":
                pass
            assert status["state"] == "completed"
            assert (await call(client, "status", run_id=tried))["state"] == "completed"


@contextlib.asynccontextmanager
async def client_of(project: Path, env: dict[str, str], prefix: list[str]) -> AsyncIterator[Client]:
    command, *args = [*prefix, sys.executable, "-m", "mcp_server"]
    parameters = StdioServerParameters(command=command, args=args, env=env, cwd=project)
    async with Client(stdio_client(parameters), read_timeout_seconds=SECONDS) as client:
        yield client


async def test_a_client_reads_and_simulates(project: Path, env: dict[str, str]) -> None:
    run = recorded(project, env)
    before = contents(project)
    with read_only(project) as prefix:
        async with client_of(project, env, prefix) as client:
            assert (await call(client, "status"))["runId"] == run
            tried = await call(client, "run", command="/hello", executor="simulate")
            assert tried["state"] == "completed"
            assert any("no run was recorded" in text for text in tried["warnings"])
            assert (await call(client, "status", run_id=tried["runId"]))["state"] == "completed"
            assert (await refused(client, "run", {"command": "/hello"})).startswith("READ_ONLY")
    assert contents(project) == before
