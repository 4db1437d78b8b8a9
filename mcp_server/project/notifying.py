"""Notifications about runs: to a program and to a web hook, of the user's settings and, after a yes, of the project's.

Effects: starts programs, sends requests, each with a time limit, and never in the way of a run: news waits in a short
queue for each target, and a target that fails is named in one warning.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from engine.statefolder.executables import find_outside
from engine.views.news import body_of, news
from mcp_server.project.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from engine.run.events import Event
    from engine.run.state import Run
    from engine.service import Engine
    from mcp_server.project.settings import NotifySettings

LIMIT_SECONDS = 10.0
"""For one notification."""
PATIENCE_SECONDS = 5.0
"""For what is on its way when the process ends."""
MAX_QUEUED = 100
"""Notifications that wait for one target; further ones are dropped."""

log = logging.getLogger(__name__)


class Target(Protocol):
    """Takes notifications."""

    @property
    def name(self) -> str:
        """Its name in a warning; an address may hold a secret."""

    async def send(self, body: bytes) -> str:
        """Deliver *body*; returns what went wrong, or nothing."""


class Program:
    """A program that gets the notification on stdin."""

    def __init__(self, command: Sequence[str], project: Path, variables: Callable[[], Mapping[str, str]]) -> None:
        word, *self._arguments = command
        self._word = os.path.expanduser(word)  # noqa: PTH111 - it may be a name
        self._project = project
        self._variables = variables
        self.name = f"the program {command[0]}"

    async def send(self, body: bytes) -> str:
        """See `Target.send`; the program and its group are ended after `LIMIT_SECONDS`."""
        path = os.sep in self._word
        found = str(self._project / self._word) if path else find_outside(self._word, self._project)
        if found is None:
            return "it was not found"
        nowhere = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                found,
                *self._arguments,
                cwd=self._project,
                env=self._variables(),
                stdin=asyncio.subprocess.PIPE,
                stdout=nowhere,
                stderr=nowhere,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"it cannot be started: {error}"
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await process.communicate(body)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if isinstance(error, TimeoutError):
                return f"it took longer than {LIMIT_SECONDS:g} s"
            raise
        return f"it exited with code {process.returncode}" if process.returncode else ""


class Webhook:
    """An address that the notification is posted to."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.name = f"the web hook at {urlsplit(address).hostname}"

    async def send(self, body: bytes) -> str:
        """See `Target.send`."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        def told(problem: str) -> None:
            if not answer.done():
                answer.set_result(problem)

        def post() -> None:
            problem = _post(self._address, body)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(told, problem)

        threading.Thread(target=post, daemon=True).start()  # not in a pool, whose threads the end of Python waits for
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await answer
        except TimeoutError:
            return f"it took longer than {LIMIT_SECONDS:g} s"


def _post(address: str, body: bytes) -> str:
    import http.client  # noqa: PLC0415 - for those who set an address
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    class Stays(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_request: object) -> None:
            return None

    direct = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(address).hostname or "") else []
    headers = {"Content-Type": "application/json", "User-Agent": "orchestration-mcp"}
    request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310 - https or this machine
    try:
        with urllib.request.build_opener(Stays, *direct).open(request, timeout=LIMIT_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"it cannot be reached: {getattr(error, 'reason', None) or type(error).__name__}"


class Notifier:
    """Sends the news of one engine's runs to its targets."""

    def __init__(self, engine: Engine) -> None:
        """Without targets; `add` adds some."""
        self._engine = engine
        self._queues: list[tuple[frozenset[str], asyncio.Queue[tuple[Run, bytes]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        engine.live_runs.listeners.append(self._committed)

    def add(
        self,
        settings: NotifySettings,
        variables: Callable[[], Mapping[str, str]],
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Add the targets of *settings*; *allowed* is asked before each notification, in a thread."""
        targets: list[Target] = []
        if settings.command is not None:
            targets.append(Program(settings.command, self._engine.project, variables))
        if settings.webhook is not None:
            targets.append(Webhook(settings.webhook))
        for target in targets:
            queue: asyncio.Queue[tuple[Run, bytes]] = asyncio.Queue(MAX_QUEUED)
            self._queues.append((frozenset(settings.events), queue))
            self._tasks.append(asyncio.create_task(self._serve(target, queue, allowed)))

    async def close(self) -> None:
        """Deliver what waits, or give up after `PATIENCE_SECONDS`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*(queue.join() for _events, queue in self._queues))
        except TimeoutError:
            log.warning("some notifications could not be delivered within %g s", PATIENCE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _committed(self, run: Run, events: Sequence[Event]) -> None:
        if run.executor == "simulate":
            return
        for one in news(run, events):
            body = json.dumps(body_of(run, one, str(self._engine.project)), ensure_ascii=False).encode()
            for kinds, queue in self._queues:
                if one.kind.value in kinds:
                    with contextlib.suppress(asyncio.QueueFull):
                        queue.put_nowait((run, body))

    async def _serve(
        self, target: Target, queue: asyncio.Queue[tuple[Run, bytes]], allowed: Callable[[], bool]
    ) -> None:
        warned = False
        while True:
            run, body = await queue.get()
            try:
                problem = await target.send(body) if await asyncio.to_thread(allowed) else "its yes no longer holds"
            except Exception as error:
                log.exception("a notification failed")
                problem = type(error).__name__
            finally:
                queue.task_done()
            if problem and not warned:
                warned = True
                self._warn(run, f"{target.name} of the notifications failed ({problem}); runs go on without it")

    def _warn(self, run: Run, text: str) -> None:
        """Warn once: in the status of the run and, if that may be over, in the log."""
        self._engine.activity.warn(run.id, text)
        if run.ended:
            log.warning("%s", text)
