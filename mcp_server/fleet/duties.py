"""Orders of a fleet on a worker: which it runs, with which executor, and what it reports about them.

Effects: starts agents in the worker's folder; keeps a note about each attempt while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.fleet import wire
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.model.agent import AgentKind
from engine.model.policy import NOT_TRUSTED
from engine.text.cut import some
from engine.text.redaction import redact
from mcp_server.project.fleet import agreed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.executors.fleet.connection import Link
    from engine.executors.port import Executor, Outcome
    from engine.model.log import LogLine

BEAT = 1.0
"""Seconds between two heartbeats, whatever the agent does: a cancel is heard with the next one."""
MAX_SAID = 8 * 1024
MAX_NAMED = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms that a worker works on."""

    name: str
    folder: Path
    """Its copy of the project."""
    notes: Path
    """A folder for notes about attempts."""
    projects: frozenset[str]
    """Names of the projects that it works for."""
    package: str


class Relay:
    """The heartbeat of one attempt: keeps what to report with the next one to the server."""

    def __init__(self) -> None:
        self._number = 0
        self._action: str | None = None
        self._said = ""

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:  # noqa: ARG002 - the port's
        """See `Heartbeat.__call__`."""
        self._number += 1
        self._action = self._action if action is None else action
        self._said = (self._said + said)[-MAX_SAID:]

    def started(self, worker: str) -> None:
        """See `Heartbeat.started`: the coordinator has heard that from the server."""

    def news(self) -> bytes:
        """The news since the last call."""
        said, self._said = self._said, ""
        return wire.encode(wire.Progress(self._number, self._action, redact(said)))


class Duties:
    """The orders of one worker."""

    def __init__(self, link: Link, terms: Terms, environment: Mapping[str, str] | None = None) -> None:
        """*environment* is added to that of every agent, as the worker's user has set it."""
        self._link = link
        self._terms = terms
        self._executors: dict[AgentKind, Executor] = {
            AgentKind.PROCESS: ProcessExecutor(environment),
            AgentKind.PYTHON: PythonExecutor(environment),
            AgentKind.CLAUDE: ClaudeExecutor(environment=environment),
        }
        self.taken = 0
        """How many orders it has begun."""
        self.running = 0
        """How many of them run now."""
        self._working: dict[asyncio.Future[Outcome], float] = {}
        """Attempts under way, with the seconds without a connection after which each counts as lost."""
        self.begun = asyncio.Event()
        """Set with each attempt that begins."""

    @activity.defn(name=wire.ACTIVITY)
    async def work_order(self, data: bytes) -> bytes:
        """Run one order; the answer says how it ended."""
        self.taken += 1
        self.running += 1
        try:
            return await self._answered(data)
        finally:
            self.running -= 1

    async def _answered(self, data: bytes) -> bytes:
        info = activity.info()
        attempt = info.activity_id
        try:
            order = wire.decode_order(await self._link.unpack(data, f"order {attempt}"))
        except ValueError as error:
            answer = wire.refusal(
                self._terms.name,
                "ORDER_REFUSED",
                f"the worker {self._terms.name} refuses the order: {error}",
                "Set the same ORCHESTRATE_FLEET_KEY and `blobs` for the coordinator and for every worker.",
            )
        else:
            with self._noted(attempt, info.activity_run_id or ""):
                answer = await self._refused(order) or await self._run(order)
        return await self._link.pack(wire.encode(answer), f"answer {attempt}")

    async def _refused(self, order: wire.Order) -> wire.Answer | None:
        """The refusal of an order that this worker's own user did not agree to; None if it is fine."""
        terms = self._terms
        if terms.projects.isdisjoint({order.project, "*"}):
            return wire.refusal(
                terms.name,
                NOT_TRUSTED,
                f'the worker {terms.name} does not work for the project "{order.project}"',
                f"If it should, start it with `--allow-project {order.project}`.",
            )
        here = await asyncio.to_thread(agreed, order.agent, terms.folder)
        if here == order.trust:
            return None
        before, now = (dict((side or {}).get("files", {})) for side in (order.trust, here))
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        what = some(changed, MAX_NAMED) if changed else "its file"
        return wire.refusal(
            terms.name,
            NOT_TRUSTED,
            f'the agent "{order.agent.id}" is not the same on the worker {terms.name}: {what}',
            f"Update the worker's folder {terms.folder} to the commit of the coordinator.",
        )

    async def _run(self, order: wire.Order) -> wire.Answer:
        relay = Relay()
        beating = asyncio.create_task(self._beat(order.attempt, relay))
        try:
            placed = order.placed(self._terms.folder)
            work = asyncio.ensure_future(self._executors[order.agent.kind].execute(placed, relay))
            limit = activity.info().heartbeat_timeout
            self._working[work] = float("inf") if limit is None else limit.total_seconds()
            self.begun.set()
            try:
                outcome = await work
            finally:
                if not work.done():
                    work.cancel()
                    await asyncio.wait([work])
                del self._working[work]
        finally:
            beating.cancel()
        notes: tuple[str, ...] = ()
        if order.package != self._terms.package:
            notes = (
                f"The worker {self._terms.name} has version {self._terms.package}, the coordinator {order.package}.",
            )
        return wire.answer_of(outcome, worker=self._terms.name, warnings=notes)

    @property
    def lease(self) -> float | None:
        """Seconds of silence after which an attempt under way counts as lost; None: there is none."""
        shortest = min(self._working.values(), default=float("inf"))
        return None if shortest == float("inf") else shortest

    async def watch_connection(self) -> None:
        """End attempts that the server must take for lost by now: they are repeated elsewhere after its grace."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while True:
            await asyncio.sleep(BEAT)
            if not self._working:
                heard = loop.time()
                continue
            with contextlib.suppress(RPCError, RuntimeError):
                if await self._link.client.service_client.check_health(retry=False, timeout=timedelta(seconds=BEAT)):
                    heard = loop.time()
            for work, limit in self._working.items():
                if loop.time() - heard >= limit and not work.done():
                    log.warning("the fleet's server was not heard of for %.0f s: attempts here are ended", limit)
                    work.cancel()

    async def _beat(self, attempt: str, relay: Relay) -> None:
        while True:  # the first one after a while: short attempts need none
            await asyncio.sleep(BEAT)
            activity.heartbeat(await self._link.pack(relay.news(), f"progress {attempt}"))

    @contextlib.contextmanager
    def _noted(self, attempt: str, run: str) -> Iterator[None]:
        """Keep a note about an attempt while it runs, for a worker that is started again after this one died."""
        note = self._terms.notes / f"{run}.json"
        note.write_text(json.dumps({"attempt": attempt, "run": run}), encoding="utf-8")
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


async def report_lost(link: Link, notes: Path) -> int:
    """Tell the server what the former process of this worker was running, which has ended; returns how many."""
    told = 0
    for note in await asyncio.to_thread(lambda: sorted(notes.glob("*.json"))):
        try:
            found = json.loads(note.read_bytes())
            handle = link.client.get_async_activity_handle(activity_id=found["attempt"], run_id=found["run"])
            await handle.fail(ApplicationError("the worker was started again", type=wire.LOST, non_retryable=True))
            told += 1
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the note %s cannot be read: %s", note, error)
        except RPCError as error:  # the server knows already, or has forgotten it
            log.info("%s is not reported as lost: %s", note.name, error)
        note.unlink(missing_ok=True)
    return told
