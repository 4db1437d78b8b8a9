"""The process of a run in the background: starts or resumes the run, reports that in one line, and ends with it.

Effects: reads one JSON object from stdin (`project`, `log`, and `run` or `resume`), writes one line to stdout
(`{"runId": …}` or `{"error": {…}}`), and owns the run until its end. On SIGTERM it ends the run's agents and records
the run as interrupted. Started by `background.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import OrchestrationError
from engine.ids import RunId
from engine.run.events import Limits
from mcp_server.project.logs import log_to_stderr
from mcp_server.project.project import RunRequest, open_project

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_server.project.project import Project

LOOK_AGAIN = 60.0
"""Seconds after which the run is looked at even without a change."""

log = logging.getLogger(__name__)


def main() -> None:
    """Do what stdin says; the exit code is 0 if the run ended, in whatever state."""
    log_to_stderr(logging.INFO)
    request = json.load(sys.stdin)
    sys.exit(asyncio.run(_work(request)))


async def _work(request: Mapping[str, Any]) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task and task.cancel())
    home = request.get("home")
    begun = False
    try:
        async with open_project(Path(request["project"]), home=Path(home) if home else None) as project:
            run_id = await _begin(project, request)
            begun = True
            _answer({"runId": run_id})
            _name_log(request["log"], run_id)
            await _follow(project, run_id)
    except OrchestrationError as error:
        if not begun:
            _answer({"error": {"code": error.code, "message": error.message, "hint": error.hint}})
        log.error("%s", error)  # noqa: TRY400 - a user's error takes one line
        return 1
    except asyncio.CancelledError:
        log.info("terminated by a signal; the run is interrupted and can be resumed")
        return 1
    return 0


async def _begin(project: Project, request: Mapping[str, Any]) -> RunId:
    resumed = request.get("resume")
    if resumed is not None:
        await project.resume(RunId(resumed), failed=request["failed"], limits=Limits(**request["limits"]))
        return RunId(resumed)
    asked = dict(request["run"])
    return await project.start(RunRequest(**{**asked, "limits": Limits(**asked["limits"])}))


async def _follow(project: Project, run_id: RunId) -> None:
    engine = await project.engine()
    log.info("run %s started in process %d", run_id, os.getpid())
    while not (view := await engine.view(run_id)).run.ended:
        await engine.wait(run_id, LOOK_AGAIN)
    log.info("run %s ended: %s %s", run_id, view.run.status, view.run.message)


def _answer(answer: Mapping[str, Any]) -> None:
    """Write the one line that the starter waits for, and close the pipe: no one reads after it."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _name_log(given: str, run_id: RunId) -> None:
    """Name the log after its run; if an earlier owner of the run has left one, append to that."""
    old = Path(given)
    new = old.with_name(f"{run_id}.log")
    try:
        if new.exists():
            with new.open("ab") as file:
                file.write(old.read_bytes())
                os.dup2(file.fileno(), 2)
            old.unlink()
        else:
            old.rename(new)
    except OSError as error:
        log.warning("the log stays in %s: %s", old, error)
