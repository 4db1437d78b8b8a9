"""What killed servers leave running, as the next start finds and ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.executors.subprocesses.process_tags import environment_of, orphans, tag_of
from engine.executors.subprocesses.search import end_orphans
from engine.ids import AttemptId
from tests.processes.test_executors import SLEEP

pytestmark = pytest.mark.processes


@contextmanager
def killed_server(
    project: Path, *attempts: str, kept: str = "", waited_for: bool = True
) -> Iterator[list[psutil.Process]]:
    """What a server leaves that was killed in the middle of *attempts*: one process for each."""
    code = f"""
import subprocess, sys, time
from pathlib import Path
from engine.executors.subprocesses.process_tags import environment_of, tag_of
for attempt in {attempts!r}:
    mark = tag_of(attempt, Path({str(project)!r}), keep=attempt == {kept!r})
    child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], stdout=subprocess.PIPE,
                             env=environment_of(attempt, mark, {{}}), start_new_session=True)
    child.stdout.readline()
    print(child.pid, flush=True)
time.sleep(600)
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, text=True, env={**os.environ, "PYTHONPATH": "."}
    ) as server:
        assert server.stdout is not None
        left = [psutil.Process(int(server.stdout.readline())) for _ in attempts]
        os.kill(server.pid, signal.SIGKILL)
        if waited_for:
            server.wait()
        else:
            os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        try:
            yield left
        finally:
            for process in left:
                if process.is_running():
                    process.kill()


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_the_next_start_ends_what_a_killed_server_left(tmp_path: Path) -> None:
    with killed_server(tmp_path, "r-1:a#1", "r-1:b#1") as left:
        assert await asyncio.wait_for(end_orphans(tmp_path), 30) == 2
        assert all(map(gone, left))
        assert await end_orphans(tmp_path) == 0


async def test_a_server_that_has_ended_lives_no_more_though_nobody_has_waited_for_it(tmp_path: Path) -> None:
    with killed_server(tmp_path, "r-1:a#1", waited_for=False) as left:
        assert await asyncio.wait_for(end_orphans(tmp_path), 30) == 1
        assert all(map(gone, left))


async def test_an_attempt_that_is_alive_elsewhere_is_spared(tmp_path: Path) -> None:
    with killed_server(tmp_path, "r-1:a#1", "r-1:b#1") as (spared, lost):
        assert await asyncio.wait_for(end_orphans(tmp_path, alive={AttemptId("r-1:a#1")}), 30) == 1
        assert not gone(spared)
        assert gone(lost)


async def test_processes_of_another_project_are_not_ours(tmp_path: Path) -> None:
    with killed_server(tmp_path, "r-1:a#1") as (theirs,):
        assert await asyncio.wait_for(end_orphans(tmp_path / "other"), 30) == 0
        assert not gone(theirs)


def test_processes_whose_server_runs_are_not_orphans(tmp_path: Path) -> None:
    attempt = AttemptId("r-1:a#1")
    environment = environment_of(attempt, tag_of(attempt, tmp_path), {})
    with subprocess.Popen([sys.executable, "-c", SLEEP], env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            assert orphans(tmp_path) == []
        finally:
            child.kill()


async def test_what_may_be_kept_is_an_orphan_only_if_its_attempt_was_cut_off(tmp_path: Path) -> None:
    attempt = AttemptId("r-1:a#1")
    with killed_server(tmp_path, attempt, kept=attempt) as (kept,):
        assert await asyncio.wait_for(end_orphans(tmp_path), 30) == 0
        assert not gone(kept)
        assert await asyncio.wait_for(end_orphans(tmp_path, lost={attempt}), 30) == 1
        assert gone(kept)
