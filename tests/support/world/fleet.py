"""A fleet: workers that make attempts for any server, outlive all of them, vanish, come back late, and answer twice.

Effects: none. The fleet keeps what it was asked for by the attempt's id; who asks again is told of the same one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from engine.executors.port import Outcome
from engine.executors.shielding import uncancelled
from engine.ids import parse_attempt_id
from engine.model.policy import Failure, FailureKind
from tests.support.world.agents import GRACE as END_GRACE
from tests.support.world.agents import Program
from tests.support.world.scripts import AgentBroke, script_for, seconds_in_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.executors.port import Heartbeat, WorkOrder
    from engine.ids import AttemptId
    from engine.model.agent import Agent
    from tests.support.world.server import Server
    from tests.support.world.world import World

SILENCE = 2.0
"""Seconds without a word from a worker after which the fleet takes it for lost."""
GRACE = 3.0
"""Seconds after that until the fleet says so: a worker that is cut off has ended what it runs by then."""
ENDS_ITSELF = 2.7
"""The most of them that it takes for that."""
LATE = Failure(FailureKind.TIMEOUT, "TIMEOUT", "it took longer than the fleet lets anything take")


@dataclass(slots=True, eq=False)
class Job:
    """One attempt that the fleet was asked for."""

    order: WorkOrder
    dice: Random
    state: str = "queued"
    """`queued`, `running`, `answered`, `lost` or `cancelled`."""
    program: Program | None = None
    reachable: bool = True
    given_up: bool = False
    """The fleet takes its worker for lost: an answer comes too late."""
    reply: Outcome | AgentBroke | None = None
    started: list[Callable[[], None]] = field(default_factory=list)
    over: list[Callable[[], None]] = field(default_factory=list)

    @property
    def worker(self) -> str:
        """Who runs it."""
        return f"w{self.order.attempt[-1]}"


class Fleet:
    """All that it was ever asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: dict[AttemptId, Job] = {}

    def ask(self, server: Server, order: WorkOrder) -> Job:
        """Have *order* done, once, whoever asks."""
        job = self.jobs.get(order.attempt)
        if job is None:
            dice = Random(f"{self._world.seed}:fleet:{order.attempt}")  # noqa: S311 - repeatable by intent
            job = self.jobs[order.attempt] = Job(order, dice)
            waits = seconds_in_queue(self._world.seed, order, calm=self._world.calm)
            self._world.timeline.after(waits, lambda: self._start(server, job))
        return job

    def _start(self, server: Server, job: Job) -> None:
        if job.state != "queued":
            return
        world, order = self._world, job.order
        script = script_for(world.seed, order, calm=world.calm)
        job.state = "running"
        program = job.program = Program(order, script, server, server.loop.create_future(), far=True)
        world.audit.begins(server, order)
        world.agents.running[order.attempt] = job.program
        world.agents.began[order.attempt] = world.timeline.now
        for tell in job.started:
            tell()
        world.timeline.after(script.effect_at, lambda: world.agents.act(program))
        most = order.timeout.total_seconds() + 30
        reply = Outcome(failure=LATE) if script.seconds is None else script.reply
        world.timeline.after(most if script.seconds is None else script.seconds, lambda: self._finish(job, reply))
        if self._is_deadly(job) or (not world.calm and job.dice.randrange(3) == 0):
            world.timeline.after(job.dice.uniform(0, script.seconds or 5.0), lambda: self._vanish(job))

    def _is_deadly(self, job: Job) -> bool:
        """Whether a node takes down every worker that runs it."""
        dice = Random(f"{self._world.seed}:deadly:{job.order.run}:{job.order.node}")  # noqa: S311 - repeatable by intent
        return dice.randrange(5) == 0

    def _finish(self, job: Job, reply: Outcome | AgentBroke) -> None:
        if self._gone(job):
            return
        self._remove(job)
        self._world.agents.replies[job.order.attempt] = reply
        if job.state == "running" and job.reachable:
            self._end(job, "answered", reply)
            if job.dice.randrange(3) == 0:
                self._world.timeline.after(1.0, lambda: self._say_again(job, reply))
        else:  # an answer that comes too late
            self._world.timeline.after(SILENCE + GRACE + 1.0, lambda: self._say_again(job, reply))

    def _say_again(self, job: Job, reply: Outcome | AgentBroke) -> None:
        """An answer reaches the owner of the run once more, or after it was given up."""
        parsed = parse_attempt_id(job.order.attempt)
        record = self._world.audit.records[job.order.run]
        server = self._world.owner_of(record)
        if parsed is not None and server is not None and isinstance(reply, Outcome) and not record.removed:
            self._world.tell(f"{job.order.attempt} is answered again")
            server.loop.call_soon(server.engine._attempts._report, *parsed, reply)

    def _vanish(self, job: Job) -> None:
        """The worker is cut off, or dead; it may come back."""
        world = self._world
        if job.state != "running" or not job.reachable:
            return
        world.tell(f"{job.worker} vanishes with {job.order.attempt}")
        job.reachable = False
        if job.dice.randrange(2):
            self._remove(job)
        else:  # it notices that it is cut off, and ends what it runs
            world.timeline.after(SILENCE + ENDS_ITSELF * job.dice.random(), lambda: self._remove(job))
            if job.dice.randrange(2):
                world.timeline.after(SILENCE * job.dice.choice((0.5, 1.2)), lambda: self._return(job))
        world.timeline.after(SILENCE, lambda: self._give_up(job))

    def _return(self, job: Job) -> None:
        if job.state == "running" and not self._gone(job) and not job.given_up:
            self._world.tell(f"{job.worker} is back with {job.order.attempt}")
            job.reachable = True

    def _give_up(self, job: Job) -> None:
        if not job.reachable and job.state in {"running", "cancelling"}:
            job.given_up = True
            self._world.timeline.after(GRACE, lambda: self._lose(job))

    def _lose(self, job: Job) -> None:
        if job.state in {"running", "cancelling"}:
            if not self._gone(job):
                self._world.breaks(f"{job.order.attempt} is lost, and still runs")
            self._end(job, "lost" if job.state == "running" else "cancelled")

    def end(self, attempt: AttemptId, then: Callable[[], None]) -> None:
        """Cancel an attempt; *then* is called when nothing of it runs any more."""
        job = self.jobs.get(attempt)
        if job is None or job.state not in {"queued", "running", "cancelling"}:
            then()
            return
        job.over.append(then)
        if job.state == "queued":
            self._end(job, "cancelled")
        elif job.state == "running":
            job.state = "cancelling"
            program = job.program
            if job.reachable and program is not None:
                self._world.timeline.after(min(END_GRACE, program.script.dies_after), lambda: self._stopped(job))

    def _stopped(self, job: Job) -> None:
        self._remove(job)
        if job.state == "cancelling":
            self._end(job, "cancelled")

    def _end(self, job: Job, state: str, reply: Outcome | AgentBroke | None = None) -> None:
        job.state, job.reply = state, reply
        for tell in job.over:
            tell()
        job.over.clear()

    def _gone(self, job: Job) -> bool:
        return self._world.agents.running.get(job.order.attempt) is not job.program

    def _remove(self, job: Job) -> None:
        """Its program is gone."""
        if not self._gone(job):
            del self._world.agents.running[job.order.attempt]


class FleetExecutor:
    """See `engine.executors.port.ElsewhereExecutor`; for one server."""

    def __init__(self, fleet: Fleet, server: Server) -> None:
        self._fleet = fleet
        self._server = server

    def queues(self, _agent: Agent) -> bool:
        """See `engine.executors.port.starts_later`."""
        return True

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """See `Executor.execute`."""
        job = self._fleet.ask(self._server, order)
        over = self._event()
        if job.state != "queued":
            heartbeat.started(job.worker)
        job.started.append(lambda: self._soon(heartbeat.started, job.worker))
        if job.state in {"queued", "running", "cancelling"}:
            job.over.append(lambda: self._soon(over.set))
            try:
                await over.wait()
            except asyncio.CancelledError:
                await uncancelled(self.end([order.attempt]))
                raise
        if isinstance(job.reply, AgentBroke):
            raise job.reply
        return job.reply if job.reply is not None else Outcome(lost_worker=job.worker)

    async def standing(self, attempts: Collection[AttemptId]) -> Collection[AttemptId]:
        """See `ElsewhereExecutor.standing`."""
        jobs = self._fleet.jobs
        return [one for one in attempts if one in jobs and jobs[one].state not in {"cancelling", "cancelled"}]

    async def end(self, attempts: Collection[AttemptId]) -> None:
        """See `ElsewhereExecutor.end`."""
        for attempt in attempts:
            over = self._event()
            self._fleet.end(attempt, lambda over=over: self._soon(over.set))  # type: ignore[misc]
            await over.wait()

    def _event(self) -> asyncio.Event:
        return asyncio.Event()

    def _soon(self, act: Callable[..., Any], *given: object) -> None:
        if self._server.alive:
            self._server.loop.call_soon(act, *given)
