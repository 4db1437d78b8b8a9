"""Orders of a fleet on a worker: which it runs, with which executor, and what it reports about them.

Effects: starts agents in the worker's folder; keeps a note about each attempt while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError

from engine.executors.answer import failed
from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.fleet import wire
from engine.executors.fleet.store import StoreFault
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.executors.shielding import uncancelled
from engine.executors.worktrees.git import IsolationUnavailable
from engine.model.agent import AgentKind
from engine.model.policy import NOT_TRUSTED, FailureKind
from engine.text.cut import some
from engine.text.redaction import redact
from mcp_server.fleet.room import Room
from mcp_server.project.fleet import agreed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.executors.fleet.clones import Away, Clones
    from engine.executors.fleet.connection import Link
    from engine.executors.port import Executor, Outcome, WorkOrder
    from engine.model.log import LogLine
    from mcp_server.fleet.slots import SharedSlots

BEAT = 1.0
"""Seconds between two heartbeats, whatever the agent does: a cancel is heard with the next one."""
KEEPING = 30.0
"""Seconds that the changes of an attempt that was ended may take on their way into the store."""
MAX_SAID = 8 * 1024
MAX_NAMED = 5

log = logging.getLogger(__name__)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms that a worker works on."""

    name: str
    folder: Path
    """Its copy of the project."""
    notes: Path
    """A folder for notes about attempts."""
    projects: frozenset[str]
    """Names of the projects that it works for."""
    package: str
    once: bool = False
    """Whether it takes one order, and returns any other."""
    writes: bool = False
    """Whether it runs model agents, for which private files are kept in *folder*."""


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

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        """See `Heartbeat.started`: the coordinator has heard that from the server."""

    def news(self) -> bytes:
        """The news since the last call."""
        said, self._said = self._said, ""
        return wire.encode(wire.Progress(self._number, self._action, redact(said)))


class Duties:
    """The orders of one worker."""

    def __init__(
        self,
        link: Link,
        terms: Terms,
        clones: Clones,
        slots: SharedSlots,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """*clones* are for isolated agents; *environment* is added to that of every agent, as the user has set it."""
        self._link = link
        self._slots = slots
        self.room = Room(terms.notes, terms.folder, slots, writes=terms.writes)
        self._terms = terms
        self._clones = clones
        self._executors: dict[AgentKind, Executor] = {
            AgentKind.PROCESS: ProcessExecutor(environment),
            AgentKind.PYTHON: PythonExecutor(environment),
            AgentKind.CLAUDE: ClaudeExecutor(environment=environment),
        }
        self.taken = 0
        """How many orders it has begun."""
        self.ended = asyncio.Event()
        """Set when one of them has ended."""
        self._closed = False
        self.given_back = 0
        """How many orders it did not take."""
        self.running = 0
        """How many of them run now."""
        self._working: dict[asyncio.Future[wire.Answer], float] = {}
        """Attempts under way, with the seconds without a connection after which each counts as lost."""
        self.begun = asyncio.Event()
        """Set with each attempt that begins."""

    @activity.defn(name=wire.ACTIVITY)
    async def work_order(self, data: bytes) -> bytes:
        """Run one order; the answer says how it ended."""
        lacking = await self.room.check()
        if self._closed or lacking is not None:
            self.given_back += 1
            raise _unanswered(wire.NOT_TAKEN, lacking or "the worker takes no more attempts")
        if self._terms.once:
            self.close()
        self.taken += 1
        self.running += 1
        try:
            return await self._answered(data)
        finally:
            self.running -= 1
            self.ended.set()

    def close(self) -> None:
        """Take no more orders: what polls that are under way still bring is returned."""
        self._closed = True
        self._slots.close()

    async def _answered(self, data: bytes) -> bytes:
        info = activity.info()
        attempt, relay = info.activity_id, Relay()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        beating = asyncio.create_task(self._beat(attempt, relay))
        try:
            try:
                order = wire.decode_order(await self._link.unpack(data, f"order {attempt}"))
            except StoreFault as fault:
                answer = self._failed(fault.code, f"cannot read the order: {fault.message}", fault.hint, begun=False)
            except ValueError as error:
                answer = wire.refusal(
                    self._terms.name,
                    "ORDER_REFUSED",
                    f"the worker {self._terms.name} refuses the order: {error}",
                    wire.SAME_EVERYWHERE,
                )
            else:
                answer = self._unwelcome(order) or await self._begun(order, relay, info)
            took = timedelta(seconds=loop.time() - begun)
            return await self._sealed(structs.replace(answer, took=took), attempt)
        finally:
            beating.cancel()

    async def _begun(self, order: wire.Order, relay: Relay, info: activity.Info) -> wire.Answer:
        """The answer to an order, of which a note is kept while it runs: for a worker that is started again."""
        run = info.activity_run_id or ""
        note = self._terms.notes / f"{run}.json"
        try:
            try:
                note.write_text(json.dumps({"attempt": info.activity_id, "run": run}), encoding="utf-8")
            except OSError as error:
                hint = "Free some disk space on its machine, or make the folder writable."
                what = f"cannot write in {note.parent}: {error.strerror}"
                return self._failed("WORKER_FAILED", what, hint, begun=False)
            return await self._run(order, relay)
        finally:
            with contextlib.suppress(OSError):
                note.unlink(missing_ok=True)

    async def _sealed(self, answer: wire.Answer, attempt: str) -> bytes:
        """*answer* as it is sent; without its outputs and as a failure, but with its cost, if they cannot be sent."""
        try:
            return await self._link.pack(wire.encode(answer), f"answer {attempt}")
        except StoreFault as fault:
            instead = self._failed(fault.code, f"cannot send the outputs: {fault.message}", fault.hint)
        except ValueError as error:
            hint = "Set `blobs` in [fleet] and for every worker, or return large data by path."
            instead = self._failed("OUTPUT_TOO_LARGE", f"cannot send the outputs: {error}", hint)
        answer = structs.replace(
            instead, usage=answer.usage, left=answer.left, changes=answer.changes, took=answer.took
        )
        return await self._link.pack(wire.encode(answer), f"answer {attempt}")

    def _failed(self, code: str, what: str, hint: str | None, *, begun: bool = True) -> wire.Answer:
        outcome = failed(FailureKind.ERROR, code, f"the worker {self._terms.name} {what}", hint=hint, begun=begun)
        return wire.answer_of(outcome, worker=self._terms.name)

    def _unwelcome(self, order: wire.Order) -> wire.Answer | None:
        """The refusal of an order of a project that this worker does not work for; None if it is fine."""
        terms = self._terms
        if terms.projects.isdisjoint({order.project, "*"}):
            return wire.refusal(
                terms.name,
                NOT_TRUSTED,
                f'the worker {terms.name} does not work for the project "{order.project}"',
                f"If it should, start it with `--allow-project {order.project}`; if not, give the projects a "
                "`namespace` each: within one the server hands an attempt to any worker.",
            )
        if order.agent.isolation is not None and order.files is None:
            return wire.refusal(
                terms.name,
                "ORDER_REFUSED",
                f'the order brings no files for the isolated agent "{order.agent.id}"',
                "Install the same version of the package for the coordinator and for every worker.",
            )
        return None

    async def _differing(self, order: wire.Order, folder: Path) -> wire.Answer | None:
        """The refusal of an order whose agent is another one in *folder* than the user agreed to; None if it is not."""
        here = await asyncio.to_thread(agreed, order.agent, folder)
        if here == order.trust:
            return None
        before, now = (dict((side or {}).get("files", {})) for side in (order.trust, here))
        changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        what = some(changed, MAX_NAMED) if changed else "its file"
        return wire.refusal(
            self._terms.name,
            NOT_TRUSTED,
            f'the agent "{order.agent.id}" is not the same on the worker {self._terms.name}: {what}',
            f"Update the worker's folder {folder} to the commit of the coordinator."
            if order.files is None
            else "An isolated agent runs no files that git ignores: add them to the repository.",
        )

    async def _run(self, order: wire.Order, relay: Relay) -> wire.Answer:
        work = asyncio.ensure_future(self._made(order, relay))
        limit = activity.info().heartbeat_timeout
        self._working[work] = float("inf") if limit is None else limit.total_seconds()
        self.begun.set()
        try:
            return await work
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is None or own.cancelling():
                raise
            raise _unanswered(wire.LOST, "the worker had lost its connection") from None  # see `watch_connection`
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
            del self._working[work]

    async def _made(self, order: wire.Order, relay: Relay) -> wire.Answer:
        """The answer to an order that is done in the worker's folder or, by an isolated agent, in a worktree."""
        if order.files is None:
            return await self._differing(order, self._terms.folder) or self._answer(
                order, await self._execute(order.placed(self._terms.folder), relay)
            )
        try:
            async with self._clones.worktree(self._link, order, relay) as away:
                return await self._differing(order, away.tree.folder) or await self._changed(order, away, relay)
        except (IsolationUnavailable, StoreFault) as fault:
            code, why, hint = fault.code, fault.message, fault.hint
        except OSError as error:
            code, why, hint = IsolationUnavailable.code, str(error), None
        what = f"the worker {self._terms.name} cannot make a worktree: {why}"
        return self._answer(order, failed(FailureKind.ERROR, code, what, hint=hint))

    async def _changed(self, order: wire.Order, away: Away, relay: Relay) -> wire.Answer:
        """Run an isolated agent, and send what it has changed, even if it is ended on request."""
        placed = structs.replace(order.placed(self._terms.folder), worktree=away.tree.folder)
        try:
            outcome = await self._execute(placed, relay)
            relay("Sending changes")
            return self._answer(order, *await away.returned(self._link, placed, outcome))
        except asyncio.CancelledError:
            if is_cancel_requested():
                await uncancelled(self._keep(order, away, placed))
            raise

    async def _keep(self, order: wire.Order, away: Away, placed: WorkOrder) -> None:
        """Put what an agent that was ended has changed where the coordinator looks for it."""
        ended = failed(FailureKind.CANCEL, "CANCELLED", "cancelled")
        try:
            async with asyncio.timeout(KEEPING):
                outcome, changes = await away.returned(self._link, placed, ended)
                if changes is not None:
                    answer = wire.encode(self._answer(order, outcome, changes))
                    await self._link.share(wire.ended_key(order.attempt), answer)
        except (TimeoutError, ValueError, StoreFault) as error:
            log.warning("the changes of %s, which was ended, are not kept: %s", order.attempt, error)

    async def _execute(self, order: WorkOrder, relay: Relay) -> Outcome:
        return await self._executors[order.agent.kind].execute(order, relay)

    def _answer(self, order: wire.Order, outcome: Outcome, changes: str | None = None) -> wire.Answer:
        notes: tuple[str, ...] = ()
        if order.package != self._terms.package:
            notes = (
                f"The worker {self._terms.name} has version {self._terms.package}, the coordinator {order.package}.",
            )
        return wire.answer_of(outcome, worker=self._terms.name, warnings=notes, changes=changes)

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


def _unanswered(kind: str, why: str) -> ApplicationError:
    """The error for an order that gets no answer; benign, or the library would log it with a traceback."""
    return ApplicationError(why, type=kind, non_retryable=True, category=ApplicationErrorCategory.BENIGN)


def is_cancel_requested() -> bool:
    """Whether the coordinator has asked for the end of this attempt; otherwise it is repeated elsewhere."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


async def report_lost(link: Link, notes: Path) -> int:
    """Tell the server what the former process of this worker was running, which has ended; returns how many."""
    told = 0
    for note in await asyncio.to_thread(lambda: sorted(notes.glob("*.json"))):
        try:
            found = json.loads(note.read_bytes())
            handle = link.client.get_async_activity_handle(activity_id=found["attempt"], run_id=found["run"])
            await handle.fail(_unanswered(wire.LOST, "the worker was started again"))
            told += 1
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the note %s cannot be read: %s", note, error)
        except RPCError as error:  # the server knows already, or has forgotten it
            log.info("%s is not reported as lost: %s", note.name, error)
        note.unlink(missing_ok=True)
    return told
