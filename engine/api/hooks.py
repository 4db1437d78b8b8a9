"""Notifies a program of events in its runs, and never lets it harm them.

Effects: calls the program's hooks, plain ones in threads, async ones on the event loop; one after another, each for a
bounded time. Exceptions are logged; a hook that hangs is abandoned, and after three times no longer called.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from engine.api.results import NodeResult, node_result
from engine.run import events as ev
from engine.run.events import Role
from engine.run.state import ZERO
from engine.views.durations import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.ids import NodeId, RunId
    from engine.run.state import Run

log = logging.getLogger(__name__)

MAX_OVERRUNS = 3
"""After this many calls that did not end in time, a hook is no longer called."""

Hook = Callable[..., Any]
Call = tuple[str, Hook, tuple[Any, ...]]
Reply = tuple[object, BaseException | None]
"""The value of a hook, and the exception that it raised: a future cannot hold every one."""


class Caller:
    """Calls hooks in the order of their requests."""

    def __init__(self, *, timeout: float, overruns: Counter[str] | None = None) -> None:
        """*timeout* limits one call, in seconds; *overruns* counts longer calls by hook."""
        self._timeout = timeout
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self._overruns: Counter[str] = Counter() if overruns is None else overruns
        self._hanging: set[asyncio.Future[Any]] = set()
        """Calls that did not end in time."""

    def ask(self, name: str, hook: Hook, *arguments: object) -> None:
        """Call *hook* once earlier calls are done; returns at once."""
        self._calls.put_nowait((name, hook, arguments))

    async def run(self) -> None:
        """Call hooks until cancelled."""
        while True:
            name, hook, arguments = await self._calls.get()
            try:
                if self._overruns[name] < MAX_OVERRUNS:
                    await self._call(name, hook, arguments)
            finally:
                self._calls.task_done()

    async def drained(self) -> None:
        """Wait until every requested call is done."""
        await self._calls.join()

    async def _call(self, name: str, hook: Hook, arguments: tuple[Any, ...]) -> None:
        call = asyncio.ensure_future(_called(hook, arguments))
        done, _ = await asyncio.wait({call}, timeout=self._timeout)
        if not done:
            self._overruns[name] += 1
            call.cancel()
            self._hanging.add(call)
            call.add_done_callback(self._forget)
            last = " and will not be called again" if self._overruns[name] == MAX_OVERRUNS else ""
            log.warning("the hook %s did not end within %g seconds%s", name, self._timeout, last)
        elif not call.cancelled():
            error = call.exception()
            if error is None:
                error = call.result()
            if error is not None:
                log.error("the hook %s raised", name, exc_info=error)

    def _forget(self, call: asyncio.Future[Any]) -> None:
        self._hanging.discard(call)
        if not call.cancelled():
            call.exception()  # retrieved, so that asyncio does not warn that it never was


async def _called(hook: Hook, arguments: tuple[Any, ...]) -> BaseException | None:
    """The exception of a hook in its thread; an async one raises its own here."""
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
        await hook(*arguments)
        return None
    reply, error = await _in_thread(hook, arguments)
    if isinstance(reply, Awaitable):
        await reply
    return error


def _in_thread(hook: Hook, arguments: tuple[Any, ...]) -> asyncio.Future[Reply]:
    """The result of a plain function, called in its own thread, which does not delay the end of the program."""
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[Reply] = loop.create_future()

    def deliver(value: object, error: BaseException | None) -> None:
        if not reply.done():
            reply.set_result((value, error))

    def call() -> None:
        value, error = None, None
        try:
            value = hook(*arguments)
        except BaseException as raised:  # noqa: BLE001 - all errors of a hook are logged
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed, and no one listens
            loop.call_soon_threadsafe(deliver, value, error)

    threading.Thread(target=call, name="hook", daemon=True).start()
    return reply


class Hooks:
    """Turns committed events into calls."""

    def __init__(
        self,
        caller: Caller,
        *,
        on_node_start: Hook | None = None,
        on_node_complete: Hook | None = None,
        on_phase_complete: Hook | None = None,
    ) -> None:
        """A hook that is None is not called."""
        self._caller = caller
        self._on_node_start = on_node_start
        self._on_node_complete = on_node_complete
        self._on_phase_complete = on_phase_complete
        self._started: defaultdict[RunId, dict[NodeId, datetime]] = defaultdict(dict)
        """Nodes reported as started, and when."""
        self._undoing: defaultdict[RunId, set[tuple[NodeId, int]]] = defaultdict(set)

    def listen(self, run: Run, events: Sequence[ev.Event]) -> None:
        """See `engine.runtime.decided.Listener`."""
        for event in events:
            for name, hook, arguments in self._calls(run, event):
                if hook is not None:
                    self._caller.ask(name, hook, *arguments)
            if isinstance(event, ev.RunEnded | ev.RunInterrupted):
                self._started.pop(run.id, None)
                self._undoing.pop(run.id, None)

    def _calls(self, run: Run, event: ev.Event) -> Iterator[tuple[str, Hook | None, tuple[Any, ...]]]:
        started, undoing = self._started[run.id], self._undoing[run.id]
        match event:
            case ev.AttemptScheduled(role=Role.COMPENSATE):
                undoing.add((event.node, event.number))
            case ev.AttemptScheduled() | ev.AttemptStarted() if self._starts(run, event):
                started[event.node] = event.at
                phase = run.phases[run.nodes[event.node].plan.phase].plan.id
                yield "on_node_start", self._on_node_start, (event.node, phase)
            case ev.AttemptSucceeded() if (event.node, event.number) not in undoing:
                yield self._complete(run, event.node, event.at, success=True)
            case ev.NodeFailed() | ev.NodeCancelled():
                yield self._complete(run, event.node, event.at, success=False)
            case ev.NodeReset():
                started.pop(event.node, None)
            case ev.PhaseEnded():
                phase_plan = run.phases[event.phase].plan
                results: Mapping[str, NodeResult] = {
                    name: node_result(run, run.nodes[name], event.at) for name in phase_plan.nodes
                }
                yield "on_phase_complete", self._on_phase_complete, (phase_plan.id, results)
            case _:
                pass

    def _starts(self, run: Run, event: ev.AttemptScheduled | ev.AttemptStarted) -> bool:
        """Whether work on a node begins with *event*: an attempt that waits for its turn has not started."""
        if event.node in self._started[run.id] or (event.node, event.number) in self._undoing[run.id]:
            return False
        return event.deadline is not None or run.nodes[event.node].plan.template is not None

    def _complete(
        self, run: Run, node: NodeId, at: datetime, *, success: bool
    ) -> tuple[str, Hook | None, tuple[Any, ...]]:
        begun = self._started[run.id].get(node)
        duration = run.lived(begun, at) if begun is not None else ZERO
        return "on_node_complete", self._on_node_complete, (node, milliseconds(duration), success)
