"""The state of one client's connection: the project, and what the client already knows of its runs.

Theory of operation. A server starts with each session of Claude Code, mostly to be asked nothing. So connecting must be
cheap, and yet runs that a killed server left must not stay as they are until a user asks. And a model reads every
answer, so an answer carries only what is new, although each request is handled on its own.

- Late. The engine, the registry and all they import are several times what the server needs to answer a first request.
  They are imported, in a thread, when `project` is first called, under a lock, so that parallel calls open it once. A
  project that cannot be opened is not remembered: the next call tries again, since the user may have fixed the cause.
- Early enough. The first request of any kind schedules `look_after`. After `QUIET_SECONDS`, so that the client's
  first requests are answered before, it opens the reader of a project that has a journal; that finds the orphans of
  killed servers. Without a journal there is nothing to look after and nothing is imported.
- Only the new. `seen`, `known`, `tasks`, `orders`, `asked` and `completed_tasks` hold what this client has been sent.
  They are never persisted: a new connection knows nothing, and gets everything once. Losing an entry costs a repeated
  answer, never a lost one; `status` with view `nodes` clears the orders on purpose.
- Out of time, not cancelled. Many clients end a call after a minute, and say so in the same notification as a person's
  Esc. `ran_out_of_time` reads the reason: such a run goes on, and the client is asked to make shorter calls.
- Left, not cancelled. A client that disconnects cancels its open calls just as a user's Esc does. `closing`
  distinguishes them: it is set before the calls end, so that runs of a client that left are interrupted and can be
  resumed, while those of a cancelled call are cancelled and rolled back.

Effects: opens and closes the project.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from typing import TYPE_CHECKING, Any

from engine.errors import OrchestrationError
from engine.statefolder.location import has_journal
from mcp_server.project import root
from mcp_server.protocol.notifications import Notifications

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import ModuleType

    from mcp.server.subscriptions import SubscriptionBus

    from engine.ids import AttemptId, RunId
    from engine.views.known import Known
    from mcp_server.answers.follow import Seen
    from mcp_server.answers.task_tools import Sent
    from mcp_server.answers.wire import InterruptedLine
    from mcp_server.live.watching import Watching
    from mcp_server.project.project import Project


QUIET_SECONDS = 1.0
"""Delay after a client's first request: what it asks next is answered before anything else is done."""

MAX_REASONS = 100
REASON_SECONDS = 0.5
"""The reason of a cancellation is read after the call was cancelled."""
OUT_OF_TIME = ("timed out", "timeout", "time out")
"""In the reason that the SDKs give when a client's own limit on the time of a call is reached."""

log = logging.getLogger(__name__)


class Session:
    """One client's connection."""

    def __init__(self, bus: SubscriptionBus, *, place: str | Path | None = None, home: Path | None = None) -> None:
        """*place* is the project root, *home* the user's home directory; by default those of the environment.

        *bus* carries notifications to clients of protocol 2026-07-28.
        """
        self.notifications = Notifications(bus)
        self.seen: dict[RunId, Seen] = {}
        """The state of each run at the client's last status."""
        self.known: dict[RunId, Known] = {}
        """The state of each node of a run that it knows."""
        self.answered = False
        """It has had an answer: only the first one names runs that earlier sessions left."""
        self.first_task: RunId | None = None
        """The run whose task had that answer."""
        self.left: list[InterruptedLine] | None = None
        """Those runs, once they were looked for."""
        self.hurries = False
        """A call of it ran out of time: it does not wait as long as it says."""
        self.tasks: dict[RunId, Sent] = {}
        """The state of each run's tasks in the client's Task tools."""
        self.orders: dict[RunId, set[AttemptId]] = {}
        """Attempts of each run whose work orders the client has."""
        self.asked: set[str] = set()
        """Questions that the person at the client was asked: none is asked twice."""
        self.completed_tasks: set[RunId] = set()
        """Runs whose task was reported as completed: it stays so, whatever happens to the run."""
        self.closing = False
        """The client has left: calls that end now were not cancelled by anyone."""
        self._place = place
        self._home = home
        self._project: Project | None = None
        self._watching: Watching | None = None
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._looking: asyncio.Task[None] | None = None
        self._reasons: dict[str, str] = {}
        self._reasoned = asyncio.Event()

    async def project(self) -> Project:
        """The project. Raises `OrchestrationError` if it cannot be opened; the next call tries again."""
        async with self._opening:
            if self._project is not None:
                return self._project
            module = await asyncio.to_thread(_import_project)
            found = root.find_root(self._place, home=self._home)
            opened: AbstractAsyncContextManager[Project] = module.open_project(
                found.root, host=True, home=self._home, notes=root.notes_on(found)
            )
            project = self._project = await self._stack.enter_async_context(opened)
            self.notifications.watch(project)
            return project

    def cancelled(self, params: Mapping[str, Any] | None) -> None:
        """Note the reason of a `notifications/cancelled`, for the call that it cancels."""
        request, reason = (params or {}).get("requestId"), (params or {}).get("reason")
        if isinstance(request, int | str):
            self._reasons[str(request)] = reason if isinstance(reason, str) else ""
            for old in list(self._reasons)[:-MAX_REASONS]:
                del self._reasons[old]
            self._reasoned.set()

    async def ran_out_of_time(self, request_id: str) -> bool:
        """Whether the client cancelled its call because it lasted too long: no person did that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REASON_SECONDS):
                while request_id not in self._reasons:
                    self._reasoned.clear()
                    await self._reasoned.wait()
        reason = self._reasons.pop(request_id, "").lower()
        late = any(word in reason for word in OUT_OF_TIME)
        self.hurries = self.hurries or late
        return late

    def look_after(self) -> None:
        """Clean up after killed servers shortly, even if the client never asks about runs."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after())

    async def _look_after(self) -> None:
        await asyncio.sleep(QUIET_SECONDS)
        try:
            if has_journal(root.find_root(self._place, home=self._home).root):
                await (await self.project()).reader()
        except OrchestrationError as error:  # later calls about runs report it
            log.warning("cannot clean up after earlier servers: %s", error)

    def watching(self, project: Project) -> Watching:
        """The runs that the client's live views follow."""
        if self._watching is None:
            from mcp_server.live.watching import Watching  # noqa: PLC0415 - most clients show no view

            self._watching = Watching(project)
        return self._watching

    @property
    def opened(self) -> Project | None:
        """The project if it is open already."""
        return self._project

    async def close(self) -> None:
        """End live runs and record them as interrupted."""
        self.closing = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._watching is not None:
            await self._watching.close()
        await self.notifications.close()
        await self._stack.aclose()


def _import_project() -> ModuleType:
    """Import the engine, the registry and all they need."""
    importlib.import_module("mcp_server.protocol.run_answers")
    return importlib.import_module("mcp_server.project.project")
