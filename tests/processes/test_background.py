from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.errors import EnvironmentFault, InputError, OrchestrationError, StateError
from engine.run.events import Limits, RunStatus
from engine.statefolder.links import STATE
from mcp_server.project import background
from mcp_server.project.project import Project, RunRequest, open_project
from tests.interaction.projects import make_project, open_gate
from tests.support.real_agents import SECONDS, ended, until
from tests.support.workers import owner_of, wait_for_end

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine.ids import RunId
    from engine.service import Engine

pytestmark = pytest.mark.processes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return make_project(folder)


def opened(root: Path) -> AbstractAsyncContextManager[Project]:
    return open_project(root, home=root / "home")


async def worker_of(engine: Engine, run: RunId) -> psutil.Process:
    """The process that owns *run*, which has not ended."""
    return psutil.Process(await owner_of(engine, run))


async def test_a_run_in_the_background_outlives_who_started_it(root: Path) -> None:
    async with opened(root) as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        worker = await worker_of(engine, run)
        assert worker.pid != os.getpid()
        assert os.getsid(worker.pid) == worker.pid
    async with opened(root) as project:
        engine = await project.engine()
        seen = await until(engine, run, lambda run: run.settled == 1)
        assert seen.status is RunStatus.RUNNING
        open_gate(root)
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    psutil.wait_procs([worker], timeout=SECONDS)
    assert not worker.is_running()
    log = root / STATE / background.LOGS / f"{run}.log"
    assert f"run {run} ended: completed" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o777 == 0o600


async def test_any_process_can_cancel_a_run_in_the_background(root: Path) -> None:
    async with opened(root) as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        worker = await worker_of(engine, run)
        await until(engine, run, lambda run: run.settled == 1)
        await engine.cancel(run, reason="enough")
        seen = await ended(engine, run)
        assert (seen.status, seen.message) == (RunStatus.CANCELLED, "cancelled: enough")
    psutil.wait_procs([worker], timeout=SECONDS)
    assert not worker.is_running()


async def test_a_killed_worker_leaves_a_run_that_goes_on_in_another_one(root: Path) -> None:
    async with opened(root) as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        await until(engine, run, lambda run: run.settled == 1)
        worker = await worker_of(engine, run)
        agents = worker.children(recursive=True)
        worker.kill()
        psutil.wait_procs([worker], timeout=SECONDS)
        assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
        psutil.wait_procs(agents, timeout=SECONDS)
        assert not any(agent.is_running() for agent in agents)
        await project.resume_in_background(run)
        open_gate(root)
        seen = await ended(engine, run)
        assert await owner_of(engine, run) not in {worker.pid, os.getpid()}
    assert seen.status is RunStatus.COMPLETED
    assert [len(node.attempts) for node in seen.nodes.values()] == [1, 2]


async def test_a_worker_that_is_told_to_end_leaves_an_interrupted_run(root: Path) -> None:
    async with opened(root) as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        await until(engine, run, lambda run: run.settled == 1)
        worker = await worker_of(engine, run)
        worker.send_signal(signal.SIGTERM)
        assert (await ended(engine, run)).status is RunStatus.INTERRUPTED
        psutil.wait_procs([worker], timeout=SECONDS)
        assert not worker.is_running()


async def test_the_limits_and_arguments_of_a_request_reach_the_worker(root: Path) -> None:
    async with opened(root) as project:
        request = RunRequest(
            source="/argued", arguments={"target": "the world"}, limits=Limits(max_attempts_total=7, max_parallelism=2)
        )
        run = await project.start_in_background(request)
        seen = await ended(await project.engine(), run)
    assert seen.status is RunStatus.COMPLETED
    assert (seen.limits.max_attempts_total, seen.limits.max_parallelism) == (7, 2)
    assert "target" in seen.context


async def test_what_is_wrong_with_a_request_is_told_as_without_a_worker(root: Path) -> None:
    async with opened(root) as project:
        with pytest.raises(InputError, match='needs the argument "target"'):
            await project.start_in_background(RunRequest(source="/argued"))
        with pytest.raises(EnvironmentFault) as caught:
            await project.start_in_background(RunRequest(source="/model"))
        assert caught.value.code == "EXECUTOR_UNAVAILABLE"
        (root / "worker.py").write_text("print('changed')", encoding="utf-8")
        with pytest.raises(StateError) as refused:
            await project.start_in_background(RunRequest(source="/hello"))
        assert refused.value.code == "NOT_TRUSTED"
        with pytest.raises(OrchestrationError) as unknown:
            await project.resume_in_background("r-doesnotexist")  # type: ignore[arg-type]
        assert unknown.value.code == "RUN_NOT_FOUND"


async def test_the_work_of_a_client_is_taken_up_only_where_a_client_is(root: Path) -> None:
    async with open_project(root, host=True, home=root / "home") as project:
        run = await project.start(RunRequest(source="/model", executor="host"))
    async with opened(root) as project:
        for resume in (project.resume, project.resume_in_background):
            with pytest.raises(OrchestrationError, match="and none is connected") as caught:
                await resume(run)
            assert caught.value.code == "EXECUTOR_UNAVAILABLE"
        assert (await project.view(run)).run.status is RunStatus.INTERRUPTED
    async with open_project(root, host=True, home=root / "home") as project:
        await project.resume(run)
        assert (await project.view(run)).work


async def test_a_worker_that_cannot_start_is_one_clear_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "START", "raise SystemExit('no room for a worker')")
    async with opened(root) as project:
        with pytest.raises(EnvironmentFault, match="last line of its log: no room for a worker") as caught:
            await project.start_in_background(RunRequest(source="/hello"))
    assert caught.value.code == "WORKER_FAILED"
    assert str(root / STATE / background.LOGS) in (caught.value.hint or "")


async def test_a_worker_that_hangs_is_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = "import os, signal; open('pid', 'w').write(str(os.getpid())); signal.pause()"
    monkeypatch.setattr(background, "START", hang)
    monkeypatch.setattr(background, "START_SECONDS", 2.0)
    monkeypatch.setattr(background, "END_SECONDS", 0.1)
    async with opened(root) as project:
        with pytest.raises(EnvironmentFault, match="it hung before its run started"):
            await project.start_in_background(RunRequest(source="/hello"))
    wait_for_end(int((root / "pid").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("last", "how"),
    [("os.kill(os.getpid(), 9)", "was ended by SIGKILL"), ("os._exit(3)", "ended with exit code 3")],
)
async def test_a_worker_that_dies_at_its_start_is_told_with_how_it_ended(
    root: Path, monkeypatch: pytest.MonkeyPatch, last: str, how: str
) -> None:
    monkeypatch.setattr(background, "START", f"import os; {last}")
    async with opened(root) as project:
        with pytest.raises(EnvironmentFault, match=f"it {how} before its run started"):
            await project.start_in_background(RunRequest(source="/hello"))


async def test_pruning_removes_the_logs_of_runs(root: Path) -> None:
    async with opened(root) as project:
        run = await project.start_in_background(RunRequest(source="/hello"))
        engine = await project.engine()
        await ended(engine, run)
        wait_for_end(await owner_of(engine, run))
        assert [row.id for row in await project.prune(keep=0)] == [run]
        assert await engine.storage.summaries() == []
    assert list((root / STATE / background.LOGS).iterdir()) == []
