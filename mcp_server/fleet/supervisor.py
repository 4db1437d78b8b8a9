"""Keeps the process of a worker running: starts it again when it dies, and passes a request to end on.

Effects: starts processes, takes a lock on the worker's folder, prints the worker's state to stderr. The agents of a
worker that dies end by their wardens; the new one reports their attempts as lost, so that these are repeated at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from msgspec import structs

from engine.errors import EnvironmentFault, StateError
from mcp_server.fleet.folders import state_folder, unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_server.fleet.worker import Options

PAUSE = 0.5
MAX_PAUSE = 30.0
"""Seconds between two starts: the more deaths in a row before it was ready, the longer."""
LAST = 15.0
"""Seconds that the process of a worker may take to end after its time to finish (`drain`) is over."""
TRIES = 5
"""How often in a row it may die before it was ready."""


async def supervise(options: Options, tell: Callable[[str], None]) -> int:
    """Run the worker until it is asked to end, by a signal; returns its exit code. The second signal ends it at once.

    Raises `EnvironmentFault` if it cannot start or has nowhere to keep notes, `StateError` if another worker uses its
    folder.
    """
    state = state_folder(Path(options.folder))
    lock = FileLock(state / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StateError(
            f"another worker uses the folder {options.folder}",
            code="WORKER_FOLDER_IN_USE",
            hint="Give each worker a folder of its own.",
        ) from None
    except OSError as error:
        raise unusable(f"folder {state}", error.strerror) from error
    try:
        return await _keep(structs.replace(options, notes=str(state)), tell)
    finally:
        lock.release()


async def _keep(options: Options, tell: Callable[[str], None]) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    deaths = 0
    while True:
        code, was_ready, fault = await _run(options, stop, hurry, tell)
        if code == 0 or stop.is_set():
            if code == -signal.SIGTERM:  # it had not begun yet
                return 0
            return code if code >= 0 else 1
        deaths = 1 if was_ready else deaths + 1
        if fault is not None and (fault["wrong"] or deaths >= TRIES):
            raise EnvironmentFault(str(fault["message"]), code=str(fault["code"]), hint=fault.get("hint"))
        if deaths >= TRIES:
            raise EnvironmentFault(f"the worker ended {deaths} times before it was ready", code="WORKER_FAILED")
        tell(f"the worker ended with {code}; it is started again")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(PAUSE * 2 ** (deaths - 1), MAX_PAUSE)):
                await stop.wait()
        if stop.is_set():
            return 0


async def _run(
    options: Options, stop: asyncio.Event, hurry: asyncio.Event, tell: Callable[[str], None]
) -> tuple[int, bool, dict[str, Any] | None]:
    """One process of the worker: its exit code, whether it was ready, and the fault that it ended with."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcp_server.fleet.worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    process.stdin.write(json.dumps(structs.asdict(options)).encode() + b"\n")
    ending = asyncio.create_task(_end(process, stop, hurry, options, tell))
    try:
        ready, fault = await _heard(process, tell)
        code = await process.wait()
    finally:
        ending.cancel()
        process.stdin.close()
    return code, ready, fault


async def _heard(
    process: asyncio.subprocess.Process, tell: Callable[[str], None]
) -> tuple[bool, dict[str, Any] | None]:
    ready, fault = False, None
    lease: float | None = None
    while line := await _line(process, lease, tell):
        said = json.loads(line)
        if said["state"] == "alive":
            lease = said["lease"]
        elif said["state"] == "failed":
            fault = said
            tell(f"{said['code']}: {said['message']}")
        elif said["state"] == "ready":
            ready = True
            again = f", {said['lost']} attempts reported as lost" if said["lost"] else ""
            tell(f"{said['name']} is ready ({', '.join(said['queues'])}){again}")
        else:
            tell(f"{said['name']} {'finishes what it has begun' if said['state'] == 'draining' else 'has ended'}")
    return ready, fault


async def _line(process: asyncio.subprocess.Process, lease: float | None, tell: Callable[[str], None]) -> bytes:
    """The next line of *process*. If none comes within *lease* seconds it is killed, and then its agents end.

    It may be stopped, or hang, while they go on; and after that time they are repeated elsewhere.
    """
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    try:
        async with asyncio.timeout(lease):
            return await process.stdout.readline()
    except TimeoutError:
        tell(f"the worker was silent for {lease:g} s, and is killed")
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.stdout.readline()


async def _end(
    process: asyncio.subprocess.Process,
    stop: asyncio.Event,
    hurry: asyncio.Event,
    options: Options,
    tell: Callable[[str], None],
) -> None:
    """Ask *process* to end once *stop* is set; kill it on *hurry*, or when that takes too long.

    Wardens end the agents of a killed one.
    """
    await stop.wait()
    tell(f"{options.name} is asked to end (repeat to end it at once)")
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.drain + LAST):
                await hurry.wait()
        process.kill()
