"""Waits for a run and reports its progress to the client in the meantime.

Effects: reads runs and sends progress messages; changes nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.views.status import failures, questions, snapshot, works
from mcp_server.answers.guidance import progress_line
from mcp_server.answers.work_orders import new_work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.ids import AttemptId, NodeId, RunId
    from engine.run.state import Run
    from engine.service import Engine, View
    from mcp_server.answers.wire import Until
    from mcp_server.project.project import Project

HEARTBEAT_SECONDS = 20.0
"""Maximum number of seconds between two progress messages."""
ANSWERED_SECONDS = 5.0
"""How long an answer may take to be read by the process of its run, before the run is shown as it is."""
SMALLEST_STEP = 0.001
"""How much the number of a progress message grows when no node has ended: clients expect it to grow."""


class SendProgress(Protocol):
    """Sends one progress message."""

    async def __call__(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """*message* is one line."""


class Glimpse(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run as far as a wait needs it."""

    events: int
    line: str
    shape: tuple[object, ...]
    """Parts whose changes are reported without delay: phases, failures, the run's state."""
    done: int
    total: int
    over: bool
    """It has ended, has new work for the client or work to stop, or waits for a person and nothing else."""
    seen: Seen
    run: Run
    """The run itself, to see later that it has changed."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run that a client knows."""

    events: int
    phases: tuple[tuple[bool, bool], ...]
    """Of each phase, whether it has opened and whether it has ended."""
    failures: int = 0
    questions: frozenset[tuple[NodeId, int]] = frozenset()
    """Open questions: the node and its attempts so far, since it may ask again."""


def seen_in(run: Run) -> Seen:
    """The knowledge of a client that has been sent all of *run*."""
    return Seen(
        events=run.events,
        phases=tuple((phase.opened_at is not None, phase.ended_at is not None) for phase in run.phases),
        failures=len(failures(run)),
        questions=frozenset((one.node, len(run.nodes[one.node].attempts)) for one in questions(run)),
    )


def is_due(now: Seen, seen: Seen, until: Until, *, at_failures: bool = True) -> bool:
    """Whether a client that knows *seen*, and waits *until* something happens, has to know *now*.

    A question always ends a wait, and so does a failure unless *at_failures* is false.
    """
    if now.questions - seen.questions or (at_failures and now.failures > seen.failures):
        return True
    return {"end": False, "phase": now.phases != seen.phases, "change": now.events != seen.events}[until]


def glimpse(view: View, handed: Collection[AttemptId] = (), note: str = "") -> Glimpse:
    """A glimpse of *view*; *handed* are attempts whose work orders the client has, *note* goes behind its line."""
    run = view.run
    now = snapshot(run, view.now, view.estimates, locks=view.locks, lists=False)
    news = bool(new_work(view, handed)) or not set(handed).isdisjoint(view.stop)
    return Glimpse(
        events=run.events,
        line=progress_line(now, run, view.actions, note),
        shape=(*((phase.id, phase.state) for phase in now.phases), len(now.failures), now.state),
        done=now.progress.done,
        total=now.progress.total,
        over=now.ended or news or (bool(now.questions) and not works(run)),
        seen=seen_in(run),
        run=run,
    )


class Reporter:
    """Sends a line at each change, at most once in *interval* seconds, and as a heartbeat."""

    def __init__(self, send: SendProgress, *, interval: float, time: Callable[[], float]) -> None:
        """*time* is a monotonic clock in seconds."""
        self._send = send
        self._interval = interval
        self._time = time
        self._line = ""
        self._shape: tuple[object, ...] = ()
        self._progress = -1.0
        self._at = float("-inf")

    async def show(self, seen: Glimpse) -> float:
        """Send the run's line if that is due; returns the seconds until the next look."""
        since = self._time() - self._at
        changed = seen.line != self._line
        urgent = changed and seen.shape != self._shape
        if urgent or (changed and since >= self._interval) or since >= HEARTBEAT_SECONDS:
            self._line, self._shape = seen.line, seen.shape
            self._progress = max(self._progress + SMALLEST_STEP, float(seen.done))
            await self._send(self._progress, max(float(seen.total), self._progress), seen.line)
            self._at = self._time()
            return HEARTBEAT_SECONDS
        return (self._interval if changed else HEARTBEAT_SECONDS) - since


async def follow(
    project: Project,
    run_id: RunId,
    send: SendProgress,
    *,
    seconds: float,
    seen: Seen,
    until: Until = "end",
    at_failures: bool = True,
    handed: Collection[AttemptId] = (),
    note: str = "",
) -> None:
    """Wait until a run has ended or needs the client, or as `is_due` says, at most *seconds*; report its progress.

    *seen* is what the client knows of it, *handed* are the attempts whose work orders it has: only other work, or the
    end of that, ends the wait. *note* is added to each line.
    """
    engine = await project.reader()
    time = asyncio.get_running_loop().time
    end = time() + seconds
    reporter = Reporter(send, interval=project.settings.todos.batch_delay_ms / 1000, time=time)
    while (left := end - time()) > 0:
        now = await engine.read(run_id, lambda view: glimpse(view, handed, note))
        pause = await reporter.show(now)
        if now.over or is_due(now.seen, seen, until, at_failures=at_failures):
            return
        if now.run.events == now.events:  # nothing changed while the message was sent
            await engine.wait(run_id, max(0.0, min(left, pause)))


async def until_calm(engine: Engine, run_id: RunId, *, seconds: float) -> None:
    """Wait until no forward attempt of a cancelled run is running, at most *seconds*."""
    await _until(engine, run_id, lambda run: run.saga is not None, seconds)


async def until_answered(engine: Engine, run_id: RunId, nodes: Collection[str]) -> None:
    """Wait until a run has read the answers for *nodes*, which are in the inbox of one of another process until then.

    At most `ANSWERED_SECONDS`: a process that is stopped or hangs reads none.
    """
    await _until(engine, run_id, lambda run: all(one.node not in nodes for one in questions(run)), ANSWERED_SECONDS)


async def _until(engine: Engine, run_id: RunId, wanted: Callable[[Run], bool], seconds: float) -> None:
    """Wait until a run is as *wanted*, or has ended, at most *seconds*."""
    time = asyncio.get_running_loop().time
    end = time() + seconds
    while (left := end - time()) > 0:
        found, events, run = await engine.read(
            run_id, lambda view: (view.run.ended or wanted(view.run), view.run.events, view.run)
        )
        if found:
            return
        if run.events == events:
            await engine.wait(run_id, left)
