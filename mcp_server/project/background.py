"""Starts a run in a separate process, which outlives the process that asked for it.

Effects: starts a worker (`worker.py`) in its own session, and waits for its answer of one line. The worker logs to the
state folder.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.errors import EnvironmentFault, OrchestrationError
from engine.executors.answer import signal_name
from engine.ids import RunId
from engine.statefolder.links import make_below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.statefolder.links import Place

LOGS = "logs"
"""Folder of the logs in the state folder."""
START_SECONDS = 60.0
"""Seconds that a worker may take until its run is durable."""
END_SECONDS = 2.0
"""Seconds that a worker without an answer may take to end."""
MAX_TAIL_LENGTH = 2000
# The package is appended, not prepended: nothing in its folder can stand in for a module of Python's own.
START = "import sys; sys.path.append(sys.argv.pop(1)); from mcp_server.project.worker import main; main()"


def start_worker(root: Path, request: Mapping[str, Any], *, state: Place) -> RunId:
    """Start a worker for *request* (see `worker.py`) in the project *root*, whose state folder is at *state*.

    Its run is durable when this returns.

    Blocks; call it in a thread. Raises the error that the worker reports, and `EnvironmentFault` (WORKER_FAILED) if it
    cannot be started or dies before it has answered.
    """
    folder = state.folder / LOGS
    log = folder / f"worker-{secrets.token_hex(6)}.log"
    try:
        make_below(*state.inside(LOGS))
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-c", START, str(Path(__file__).parents[2])],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
    except OSError as error:
        raise _failed(f"it cannot be started: {error}", log) from error
    # Waited for without a timeout, so that it does not stay a zombie while this process lives.
    threading.Thread(target=process.wait, daemon=True).start()
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    with process.stdout as stdout:
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps({**request, "project": str(root), "log": str(log)}).encode())
            answer = _answer(stdout)
        except OSError:  # it died before it had read the whole request
            answer = {}
    if "runId" in answer:
        return RunId(answer["runId"])
    if "error" in answer:
        raise OrchestrationError(**{key: answer["error"][key] for key in ("message", "code", "hint")})
    raise _failed(_end(process), log)


def _end(process: subprocess.Popen[bytes]) -> str:
    """How a worker ended without starting its run; one that has not ended is killed."""
    try:
        code = process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return "it hung before its run started"
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    return f"it {how} before its run started"


def _answer(stdout: IO[bytes]) -> dict[str, Any]:
    """The worker's first line; empty if it closes the pipe without one, or takes too long."""
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if not selector.select(START_SECONDS):
            return {}
    try:
        answer = json.loads(stdout.readline())
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _failed(reason: str, log: Path) -> EnvironmentFault:
    try:
        tail = log.read_bytes()[-MAX_TAIL_LENGTH:].decode("utf-8", "replace").strip()
    except OSError:
        tail = ""
    last = f"; last line of its log: {tail.splitlines()[-1]}" if tail else ""
    return EnvironmentFault(
        f"the run cannot be started in the background: {reason}{last}",
        code="WORKER_FAILED",
        hint=f"The log is {log}. Without `detach` the run starts in this process.",
    )
