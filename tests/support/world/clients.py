"""The people and clients of a world: they ask servers for things, and hold them to what they answered.

Effects: none. Every call checks its own answer: what was acknowledged has to be in the journal in the very moment of
the answer, and never leaves it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.errors import InternalError, OrchestrationError
from engine.ids import parse_attempt_id
from engine.run.events import RunStatus
from mcp_server.answers.follow import until_calm
from tests.support.world.breakdown import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from engine.executors.port import Outcome, WorkOrder
    from engine.ids import NodeId, RunId
    from engine.model.plan import Plan
    from engine.run.events import Limits
    from engine.run.state import Run
    from engine.service import View
    from tests.support.world.record import Record
    from tests.support.world.server import Server
    from tests.support.world.world import World

CANCEL_SECONDS = 30.0
"""How long a cancel waits for agents to end, as the tool does."""


class Clients:
    """Everything that is asked of servers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[asyncio.Task[Any], str] = {}
        """Calls that wait for their answer."""

    def _call(self, server: Server, what: str, work: Coroutine[Any, Any, Any], answered: Callable[[Any], None]) -> None:
        world = self._world
        world.tell(f"{server.name}: {what}")

        def then(result: object) -> None:
            meant = not isinstance(result, InternalError) or WORDS in result.message
            if isinstance(result, OrchestrationError) and meant:
                world.tell(f"{server.name}: {what} is refused: {result.code} {result.message}")
            elif isinstance(result, BaseException):
                world.breaks(f"{server.name}: {what} raises {result!r}")
            else:
                answered(result)

        task = server.call(work, then)
        self._open[task] = f"{server.name}: {what}"
        task.add_done_callback(self._open.pop)

    def give_up(self) -> None:
        """Somebody does not wait for an answer any longer (Esc): the call ends where it stands."""
        world = self._world
        waiting = [
            task for task, what in self._open.items() if any(what.startswith(f"{s.name}:") for s in world.awake())
        ]
        if waiting:
            task = world.dice.choice(waiting)
            world.tell(f"{self._open[task]} is given up")
            task.cancel()

    def start(self, server: Server, plan: Plan, *, executor: str, limits: Limits) -> None:
        """Start a run; who was given its id finds it in the journal."""

        def started(run: RunId) -> None:
            if run not in self._world.audit.records:
                self._world.breaks(f"{run} was started, and has no journal")

        work = server.engine.start(plan, arguments="some words", executor=executor, limits=limits)
        self._call(server, f"start {plan.command} by {executor}", work, started)

    def look(self, server: Server, run: RunId | None) -> None:
        """Look at a run; all that is shown is in the journal."""
        self._call(server, f"look at {run}", server.engine.read(run, shown), lambda seen: self._durable(*seen))

    def _durable(self, run: RunId, events: int, status: RunStatus) -> None:
        record = self._world.audit.records.get(run)
        if record is None or len(record.log) < events:
            self._world.breaks(f"{run} was shown with {events} events, and its journal has fewer")
        elif record.run.ended and record.run.status is status:
            left = self._world.agents.tied_to(run, interrupted=status is RunStatus.INTERRUPTED)
            if left:
                self._world.breaks(f"{run} was shown as {status}, and its agents still run")

    def cancel(self, server: Server, run: RunId, *, compensate: bool) -> None:
        """Cancel a run, and wait as the tool does."""
        engine = server.engine

        async def work() -> tuple[RunId, int, RunStatus]:
            await engine.cancel(run, reason="enough", compensate=compensate)
            await until_calm(engine, run, seconds=CANCEL_SECONDS)
            return await engine.read(run, shown)

        self._call(server, f"cancel {run} {compensate=}", work(), lambda seen: self._durable(*seen))

    def resume(self, server: Server, run: RunId, *, failed: bool, limits: Limits | None = None) -> None:
        """Resume a run; with *limits* it may do more or less than before."""
        record = self._world.audit.records[run]
        before = len(record.log)

        def resumed(_none: None) -> None:
            if not any(kind in {"RunResumed", "RunReopened"} for kind, _data in record.log[before:]):
                self._world.breaks(f"{run} was resumed, and its journal does not say so")

        work = server.engine.resume(run, failed=failed, limits=limits)
        self._call(server, f"resume {run} {failed=} {limits or ''}", work, resumed)

    def decide(self, server: Server, run: RunId, node: NodeId, answer: str) -> None:
        """Answer a question of a run."""
        record = self._world.audit.records[run]
        mine = run in server.engine.live_runs.runs
        before = len(record.log)

        def decided(_none: None) -> None:
            if mine and len(record.log) == before:
                self._world.breaks(f"{run} was told {answer} for {node}, and its journal does not say so")

        self._call(server, f"decide {run} {node} {answer}", server.engine.decide(run, node, answer), decided)

    def report(self, server: Server, attempt: str, outcome: Outcome | None) -> None:
        """Report work that the client did, or that it still works on it (None)."""
        parsed = parse_attempt_id(attempt)
        record = None if parsed is None else self._world.audit.records.get(parsed[0])
        over = record is not None and parsed is not None and not is_open(record, parsed[1], parsed[2])

        def taken(_none: None) -> None:
            if record is None or over or parsed is None:
                self._world.breaks(f"the report of {attempt} was taken, and nothing waited for it")
            elif outcome is not None and is_open(record, parsed[1], parsed[2]):
                self._world.breaks(f"the report of {attempt} was taken, and is not in the journal")

        said = "still at work" if outcome is None else "done" if outcome.failure is None else outcome.failure.code
        self._call(server, f"report {attempt}: {said}", server.engine.report(attempt, outcome), taken)

    def prune(self, server: Server, *, keep: int, interrupted: bool) -> None:
        """Forget old runs."""
        work = server.engine.prune(keep=keep, interrupted=interrupted)
        self._call(server, f"prune {keep=} {interrupted=}", work, lambda _gone: None)

    def release(self, server: Server, run: RunId) -> None:
        """Give up the locks that are reserved for a dead run."""
        self._call(server, f"release the locks of {run}", server.engine.release_locks(run), lambda _lines: None)

    def look_after(self, server: Server) -> None:
        """See who has died."""
        self._call(server, "look after all", server.engine.archive.look_after_all(), lambda _rows: None)

    def open_work(self, server: Server, run: RunId, take: Callable[[Sequence[WorkOrder]], None]) -> None:
        """What the client is to do for *run*; only work that is in the journal is handed out."""

        def given(orders: Sequence[WorkOrder]) -> None:
            for order in orders:
                parsed = parse_attempt_id(order.attempt)
                assert parsed is not None
                if len(self._world.audit.records[run].node(order.node).attempts) < parsed[2]:
                    self._world.breaks(f"{order.attempt} was handed out, and is not in the journal")
            take(orders)

        self._call(server, f"work of {run}", server.engine.read(run, lambda view: view.work), given)


def shown(view: View) -> tuple[RunId, int, RunStatus]:
    """What an answer says of a run."""
    run: Run = view.run
    return run.id, run.events, run.status


def is_open(record: Record, node: NodeId, number: int) -> bool:
    """Whether the journal has an attempt as live."""
    state = record.run.nodes.get(node)
    live = None if state is None else state.live
    return live is not None and live.number == number
