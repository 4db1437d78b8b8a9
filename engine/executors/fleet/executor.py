"""Has the workers of a fleet make attempts: each is one activity of a Temporal server, named by the attempt's id.

Effects: network.

Theory of operation
===================

**The problem.** A worker, the server or this process may be gone at any moment, for a while or for good. Each attempt
must be made at most once, and end exactly once in the journal; two attempts of a node must never run at a time.

**The server only delivers.** It holds the attempts that wait, hands each to one worker, watches its heartbeats and
passes on cancels. It never retries (`maximum_attempts=1`): only the journal decides about another attempt, so it knows
of each, and of its cost.

**Starting twice is starting once.** The id of the activity is that of the attempt. To start one that exists, running
or ended, returns that one. So a coordinator that was killed, or that has an old copy of its journal, asks again and
gets the answers that it has missed, until the server forgets them (its retention).

**Lost, and when that is certain.** The server says that a worker fell silent (`heartbeat`). Its processes may still
run: it has lost its connection, not its life. A worker that hears nothing ends what it runs within `grace`; only after
that this module returns an attempt as lost, or as cancelled. A worker that was started again reports itself what its
former process was running, which has ended by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import ActivityExecutionStatus, ActivityFailureError
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy, Priority, RetryPolicy
from temporalio.exceptions import ActivityAlreadyStartedError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as ServerTimeout
from temporalio.service import RPCError, RPCStatusCode

from engine.errors import EnvironmentFault, OrchestrationError
from engine.executors.answer import failed
from engine.executors.fleet import wire
from engine.executors.fleet.connection import Address, Link, connect, few_heaps, result_of, unreachable
from engine.executors.fleet.store import SECONDS, StoreFault
from engine.executors.port import CLOSING, Outcome
from engine.executors.worktrees.git import IsolationUnavailable
from engine.model.policy import FailureKind
from engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
    from pathlib import Path

    from temporalio.client import ActivityHandle

    from engine.executors.fleet.files import ProjectFiles, Sent
    from engine.executors.port import Heartbeat, WorkOrder
    from engine.ids import AttemptId
    from engine.model.agent import Agent, AgentKind

T = TypeVar("T")
MARGIN = timedelta(seconds=60)
"""How much later than this process the server ends an attempt that takes too long."""
LEAVING = 4.0
"""Seconds that this process, when it ends, waits for workers to end their attempts."""
WAITING = "Waiting for the fleet's server"
NO_WORKER = "EXECUTOR_UNAVAILABLE"
_SHUTDOWN = "WorkerShutdown"
"""The type of the error of an attempt that a worker ended because its time to finish was over."""
_LOOK = 1.0
"""Seconds between two looks at an attempt."""
_PASSING = frozenset(
    {
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,
    }
)
"""Errors of a server that is starting, or away for a while."""
_ENDED_BY_US = frozenset({ActivityExecutionStatus.CANCELED, ActivityExecutionStatus.TERMINATED})

log = logging.getLogger(__name__)


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """A fleet as the settings describe it."""

    address: Address
    kinds: frozenset[AgentKind]
    project: str
    """The name under which workers allow the project."""
    package: str
    heartbeat: timedelta = timedelta(seconds=60)
    """How long a worker may be silent before it counts as lost."""
    grace: timedelta = timedelta(seconds=10)
    """How long a worker that was cut off may take to end what it runs."""
    wait_for_worker: timedelta = timedelta(minutes=10)


class FleetExecutor:
    """See `engine.executors.port.ElsewhereExecutor`."""

    def __init__(self, fleet: Fleet, trust: Callable[[Agent], Mapping[str, Any] | None], files: ProjectFiles) -> None:
        """*trust* returns what the user agreed to for an agent, for the worker to compare.

        *files* are those of the project, for isolated agents.
        """
        few_heaps()
        self._fleet = fleet
        self._trust = trust
        self._files = files
        self._opening = asyncio.Lock()
        self._link: Link | None = None

    def takes(self, agent: Agent) -> bool:
        """Whether attempts of *agent* go to the fleet."""
        return agent.kind in self._fleet.kinds

    def queues(self, agent: Agent) -> bool:  # noqa: ARG002 - the port's
        """See `engine.executors.port.starts_later`."""
        return True

    async def check(self, agents: Collection[Agent], project: Path) -> None:
        """Raise `EnvironmentFault` if the server or the store cannot be reached, or *agents* could not work.

        So it is if no worker runs a model agent, or if the files of *project* cannot be sent to an isolated one.
        """
        link = await self._linked()
        await link.check_store()
        if any(agent.isolation is not None for agent in agents):
            await self._files.check(link, project)
        for queue in sorted({self._queue(agent) for agent in agents if agent.kind.traits.needs_model}):
            if not await self._has_workers(link, queue):
                raise EnvironmentFault(
                    f"no worker of the fleet at {self._fleet.address.connect} runs model agents (queue {queue})",
                    code=NO_WORKER,
                    hint="Start `orchestrate worker` with `--kind claude`, and the labels in the queue's name, where "
                    "Claude Code is installed and signed in.",
                )

    async def standing(self, attempts: Collection[AttemptId]) -> Collection[AttemptId]:
        """See `ElsewhereExecutor.standing`."""
        link = await self._linked()
        found = []
        for attempt in attempts:
            try:
                status = (await self._now(link.client.get_activity_handle(attempt).describe())).status
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise unreachable(self._fleet.address, error) from error
            except TimeoutError as error:
                raise unreachable(self._fleet.address, error) from error
            else:
                found += [] if status in _ENDED_BY_US else [attempt]
        return found

    async def end(self, attempts: Collection[AttemptId]) -> None:
        """See `ElsewhereExecutor.end`."""
        if attempts:
            await self._linked()
            await asyncio.gather(*(self._end(attempt) for attempt in attempts))

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """See `Executor.execute`."""
        try:
            sent = None if order.agent.isolation is None else await self._sent(order, heartbeat)
            message = await self._packed(order, None if sent is None else sent.files, heartbeat)
        except ValueError as error:
            return failed(
                FailureKind.VALIDATION,
                "ORDER_TOO_LARGE",
                f"the inputs of the attempt cannot be sent to the fleet: {error}",
                hint="Set `blobs` in [fleet], or pass large data by path.",
                begun=False,
            )
        except OrchestrationError as error:
            kind = FailureKind.ERROR if isinstance(error, EnvironmentFault) else FailureKind.VALIDATION
            return failed(kind, error.code, error.message, hint=error.hint, begun=False)
        except OSError as error:
            what = f"files cannot be sent: {error}"
            return failed(FailureKind.ERROR, IsolationUnavailable.code, what, begun=False)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        starting = asyncio.ensure_future(self._patient(lambda: self._start(order, message), heartbeat))
        try:
            while (followed := await self._followed(order, await asyncio.shield(starting), begun, heartbeat)) is None:
                begun = loop.time()
                starting = asyncio.ensure_future(
                    self._patient(lambda: self._start(order, message, given_back=True), heartbeat)
                )
            outcome, answer = followed
        except asyncio.CancelledError as error:
            starting.cancel()
            note = await _unless_closing(self._ended(order.attempt, starting, sent), error)
            if note:
                error.add_note(note)
            raise
        if sent is None or answer is None:
            return outcome
        return await sent.settle(outcome, answer.changes, answer.worker, heartbeat)

    async def _sent(self, order: WorkOrder, heartbeat: Heartbeat) -> Sent:
        """The files of an isolated attempt, on the fleet: sent now, or before by a coordinator that is gone.

        Raises `OrchestrationError`, `ValueError` for an order on the server that cannot be read here.
        """
        link = await self._patient(self._linked, heartbeat)
        handle = link.client.get_activity_handle(order.attempt)
        try:
            known = await self._patient(lambda: handle.describe(include_input=True), heartbeat)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(self._fleet.address, error) from error
            return await self._files.send(link, order, heartbeat)
        data = await known.input([bytes])
        before = wire.decode_order(await link.unpack(data[0] if data else b"", f"order {order.attempt}"))
        if before.files is None:
            message = "the order on the server has no files"
            raise ValueError(message)
        try:
            return await self._files.found(link, order, before.files)
        except BaseException as error:  # nothing waits for the attempt then
            why = error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError()
            with contextlib.suppress(EnvironmentFault):
                await _unless_closing(self._end(order.attempt), why)
            raise

    async def _packed(self, order: WorkOrder, files: wire.Files | None, heartbeat: Heartbeat) -> bytes:
        fleet = self._fleet
        trust = await asyncio.to_thread(self._trust, order.agent)
        message = wire.order_of(order, project=fleet.project, package=fleet.package, trust=trust, files=files)
        link = await self._patient(self._linked, heartbeat)
        return await link.pack(wire.encode(message), f"order {order.attempt}")

    async def _start(self, order: WorkOrder, message: bytes, *, given_back: bool = False) -> ActivityHandle[Any]:
        client, fleet = (await self._linked()).client, self._fleet
        reuse = ActivityIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY if given_back else None
        try:
            return await client.start_activity(
                wire.ACTIVITY,
                message,
                id=order.attempt,
                task_queue=self._queue(order.agent),
                result_type=bytes,
                schedule_to_start_timeout=fleet.wait_for_worker,
                start_to_close_timeout=order.timeout + MARGIN,
                heartbeat_timeout=fleet.heartbeat,
                retry_policy=RetryPolicy(maximum_attempts=1),
                id_reuse_policy=reuse or ActivityIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING,
                priority=Priority(priority_key=wire.priority_of(order.priority), fairness_key=order.run[:64]),
            )
        except ActivityAlreadyStartedError:  # it has ended, and its answer was not read
            return client.get_activity_handle(order.attempt, result_type=bytes)

    async def _followed(
        self, order: WorkOrder, handle: ActivityHandle[Any], begun: float, heartbeat: Heartbeat
    ) -> tuple[Outcome, wire.Answer | None] | None:
        """The outcome of an attempt, and the answer of its worker if there is one; None if a worker returned it.

        *begun* is when it was started, by the loop's clock.
        """
        watching = asyncio.create_task(self._watch(order.attempt, begun, heartbeat))
        try:
            data = await self._patient(lambda: result_of(handle), heartbeat)
            link = await self._linked()
            answer = wire.decode_answer(await link.unpack(data, f"answer {order.attempt}"))
        except ActivityFailureError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == wire.NOT_TAKEN:
                return None
            return await self._why(order, handle, error.cause, heartbeat), None
        except ValueError as error:
            refused = failed(
                FailureKind.ERROR,
                "ANSWER_REFUSED",
                f"the answer of the worker cannot be read: {error}",
                hint=wire.SAME_EVERYWHERE,
            )
            return refused, None
        except StoreFault as fault:
            return failed(FailureKind.ERROR, fault.code, fault.message, hint=fault.hint), None
        finally:
            watching.cancel()
        heartbeat.started(answer.worker, answer.took)
        return answer.outcome(), answer

    async def _why(
        self, order: WorkOrder, handle: ActivityHandle[Any], cause: BaseException | None, heartbeat: Heartbeat
    ) -> Outcome:
        """The outcome of an attempt that no worker has answered."""
        if isinstance(cause, ServerTimeout):
            if cause.type is TimeoutType.SCHEDULE_TO_START or cause.type is TimeoutType.SCHEDULE_TO_CLOSE:
                return failed(
                    FailureKind.TIMEOUT,
                    "NO_WORKER",
                    f"no worker took the attempt within {self._fleet.wait_for_worker.total_seconds():g} s",
                    hint=f"Start `orchestrate worker`, of a version that serves the queue {self._queue(order.agent)}.",
                    begun=False,
                )
            if cause.type is TimeoutType.START_TO_CLOSE:
                return failed(FailureKind.TIMEOUT, "TIMEOUT", f'Node "{order.node}" took longer than its timeout')
        worker = await self._worker(handle)
        told = isinstance(cause, ApplicationError)
        if isinstance(cause, ApplicationError) and cause.type not in {wire.LOST, _SHUTDOWN}:
            return failed(
                FailureKind.ERROR,
                "WORKER_FAILED",
                f"the worker {worker} could not run the attempt: {redact(str(cause))[:500]}",
                hint="Its log says more; the packages of the coordinator and of the worker may differ.",
            )
        if not told:
            heartbeat(f"Waiting until the lost worker {worker} must have ended what it runs")
            await asyncio.sleep(self._fleet.grace.total_seconds())
        log.info("%s is lost with the worker %s: %s", order.attempt, worker, type(cause).__name__)
        return Outcome(lost_worker=worker)

    async def _worker(self, handle: ActivityHandle[Any]) -> str:
        with contextlib.suppress(RPCError, RuntimeError, TimeoutError):
            return (await self._now(handle.describe())).last_worker_identity or "unknown"
        return "unknown"

    async def _watch(self, attempt: AttemptId, begun: float, heartbeat: Heartbeat) -> None:
        """Pass on what a worker reports about an attempt that was started at *begun*, and when the worker began it.

        How long it waited is known by the server's clock alone, which need not agree with ours.
        """
        seen, known = 0, b""
        while True:
            await asyncio.sleep(_LOOK)
            asked, known = known, b""
            with contextlib.suppress(RPCError, RuntimeError, ValueError, EnvironmentFault):
                link = await self._linked()
                found = await link.described(attempt, asked)
                known = found.long_poll_token or asked
                worker = found.info.last_worker_identity
                if not worker:
                    continue
                waited = found.info.last_started_time.ToDatetime() - found.info.schedule_time.ToDatetime()
                heartbeat.started(worker, timedelta(seconds=asyncio.get_running_loop().time() - begun) - waited)
                payloads = found.info.heartbeat_details.payloads
                if not payloads:
                    continue
                details = await link.client.data_converter.decode(payloads, [bytes])
                news = wire.decode_progress(await link.unpack(details[0], f"progress {attempt}"))
                if news.number > seen:
                    seen = news.number
                    heartbeat(news.action, news.said)

    async def _ended(self, attempt: AttemptId, starting: asyncio.Task[Any], sent: Sent | None) -> str | None:
        """End an attempt whose start may still be under way; a note about what is left of it."""
        await asyncio.wait([starting])
        try:
            note = await self._end(attempt)
        except EnvironmentFault as fault:
            return f"It could not be ended on the fleet: {fault.message}."
        changes = None if sent is None else await sent.ended()
        return " ".join(filter(None, (note, changes))) or None

    async def _end(self, attempt: AttemptId) -> str | None:
        """Have the worker of an attempt end it, and wait until all that it has started must have ended.

        Returns a note if the worker did not confirm it. Raises `EnvironmentFault` if the server was away all the time.
        """
        handle = (await self._linked()).client.get_activity_handle(attempt, result_type=bytes)
        limit = self._fleet.heartbeat + self._fleet.grace
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._patient(lambda: handle.cancel(reason="the run ends it"), lambda *_: None)
                await self._patient(lambda: result_of(handle), lambda *_: None)
        except ActivityFailureError as error:
            if isinstance(error.cause, ServerTimeout) and error.cause.type is TimeoutType.HEARTBEAT:
                await asyncio.sleep(self._fleet.grace.total_seconds())
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(self._fleet.address, error) from error
        except TimeoutError:
            try:
                await self._now(handle.terminate(reason="its worker did not answer a cancel"))
            except (RPCError, TimeoutError) as error:
                if not isinstance(error, RPCError) or error.status is not RPCStatusCode.NOT_FOUND:
                    raise unreachable(self._fleet.address, error) from error
            await asyncio.sleep(self._fleet.grace.total_seconds())
            return "Its worker did not confirm the end; a worker without a connection ends what it runs by itself."
        return None

    async def _has_workers(self, link: Link, queue: str) -> bool:
        request = DescribeTaskQueueRequest(
            namespace=link.client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            return bool((await self._now(link.client.workflow_service.describe_task_queue(request))).pollers)
        except (RPCError, TimeoutError) as error:
            raise unreachable(self._fleet.address, error) from error

    def _queue(self, agent: Agent) -> str:
        return wire.queue_of(agent.kind, agent.labels)

    async def _linked(self) -> Link:
        async with self._opening:
            if self._link is None:
                self._link = await connect(self._fleet.address)
            return self._link

    async def _now(self, answer: Awaitable[T]) -> T:
        """*answer*, for which nothing waits long."""
        async with asyncio.timeout(SECONDS):
            return await answer

    async def _patient(self, ask: Callable[[], Awaitable[T]], heartbeat: Callable[[str], object]) -> T:
        """The answer of a server that may be away for a while: the attempt's own timeout ends the wait."""
        delay = 0.25
        while True:
            try:
                return await ask()
            except (RPCError, EnvironmentFault) as error:
                if isinstance(error, RPCError) and error.status not in _PASSING:
                    raise
                log.warning("%s: %s", WAITING, str(error)[:200])
            heartbeat(WAITING)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 4.0)


async def _unless_closing(work: Coroutine[Any, Any, str | None], why: asyncio.CancelledError) -> str | None:
    """Finish *work* after the cancellation *why*, and further ones; if this process ends, within `LEAVING` seconds."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.wait([task], timeout=LEAVING if why.args == (CLOSING,) else None)
        except asyncio.CancelledError as again:
            why = again
        else:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                return "It was left on the fleet, where it may go on."
    return task.result()
