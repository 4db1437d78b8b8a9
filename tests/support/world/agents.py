"""The agents of a world: programs that do attempts, change the world, and outlive the server that started them.

Effects: none. What an agent really did stands in `effects`, whatever the journal says about it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from msgspec import structs

from engine.executors.port import Outcome
from engine.executors.shielding import uncancelled
from engine.executors.subprocesses.process_tags import orphaned, tag_of
from engine.executors.subprocesses.search import end_found
from engine.ids import attempt_id
from engine.run.events import Role
from engine.statefolder.owners import Servers
from tests.support.world.people import QUEUEING
from tests.support.world.scripts import AgentBroke, Script, script_for, seconds_in_queue

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.executors.port import Heartbeat, WorkOrder
    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.agent import Agent
    from engine.run.state import NodeState
    from tests.support.world.record import Record
    from tests.support.world.server import Server
    from tests.support.world.world import World

GRACE = 2.0
"""Seconds after which a program is killed that was told to end."""
HEARD = 0.3
"""Seconds after which a warden on a busy machine has heard that its server was killed."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that an agent really did."""

    at: float
    run: RunId
    node: NodeId
    role: str
    attempt: AttemptId


@dataclass(slots=True, eq=False)
class Program:
    """One attempt that runs."""

    order: WorkOrder
    script: Script
    server: Server
    """Who started it, and would hear its answer."""
    answer: asyncio.Future[Outcome | AgentBroke]
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    told: bool = False
    """It was told to end."""
    acted: bool = False
    """It has changed the world."""
    mark: str = ""
    """What its environment says of it; nothing where it has emptied that."""
    warded: bool = True
    """A warden ends it when its server is killed; one that has killed its warden is found by its mark."""
    far: bool = False
    """It runs on a worker of the fleet: no server's end is its own."""

    @property
    def run(self) -> RunId:
        """Its run."""
        return self.order.run

    @property
    def node(self) -> NodeId:
        """Its node."""
        return self.order.node


class Agents:
    """All programs that run now, and what programs ever did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.running: dict[AttemptId, Program] = {}
        self._begun: list[Program] = []
        self.effects: list[Effect] = []
        self.replies: dict[AttemptId, Outcome | AgentBroke] = {}
        """What was answered, by attempt."""
        self.began: dict[AttemptId, float] = {}
        """When each program started."""
        self.merged: set[AttemptId] = set()
        """Attempts whose work is part of the project, and cannot be taken back."""
        self.unreported: dict[AttemptId, Outcome] = {}
        """Those of them whose end no server has said to be in the journal."""

    def begin(self, server: Server, order: WorkOrder, heartbeat: Heartbeat) -> Program:
        """Start a program for *order*."""
        world = self._world
        if not server.alive:
            raise asyncio.CancelledError
        script = script_for(world.seed, order, calm=world.calm)
        program = Program(order, script, server, server.loop.create_future())
        vanishes, program.warded = self._nets(order)
        program.mark = "" if vanishes else tag_of(order.attempt, world.project, server=server.process)
        world.audit.begins(server, order)
        self.running[order.attempt] = program
        self.began[order.attempt] = world.timeline.now
        self._begun.append(program)
        world.timeline.after(script.effect_at, lambda: self.act(program))
        if script.seconds is not None:
            world.timeline.after(script.seconds, lambda: self._end(program, script.reply))
        if script.beat is not None and order.agent.idle_timeout is not None:
            self._beat(program, script.beat, heartbeat)
        return program

    def _nets(self, order: WorkOrder) -> tuple[bool, bool]:
        """Whether the mark of an attempt vanishes, and whether it has a warden: one of both finds it.

        Who looks from another namespace or machine need not see processes: there each has a warden.
        """
        dice = Random(f"{self._world.seed}:nets:{order.attempt}")  # noqa: S311 - repeatable by intent
        alone = len(self._world.places.all) == 1
        return dice.choice(((False, True), (True, True), (True, True), (False, not alone)))

    def _beat(self, program: Program, seconds: float, heartbeat: Heartbeat) -> None:
        if self._lives(program) and program.server.alive and not program.told:
            heartbeat("working", said=".")
            self._world.timeline.after(seconds, lambda: self._beat(program, seconds, heartbeat))

    def _lives(self, program: Program) -> bool:
        return self.running.get(program.order.attempt) is program

    def act(self, program: Program) -> None:
        """It changes the world, if it still runs."""
        if self._lives(program) and not program.acted:
            program.acted = True
            self.record(program.order)

    def answer_late(self, program: Program, reply: Outcome) -> Outcome:
        """It was told to end, and has done its work all the same."""
        if not program.acted:
            program.acted = True
            self.record(program.order)
        self.replies[program.order.attempt] = reply
        return reply

    def reply_of(self, record: Record, node: NodeState) -> Mapping[str, Any] | None:
        """The outputs that *node* succeeded with, as they were answered."""
        for tried in reversed(node.attempts):
            if tried.role is Role.FORWARD and tried.failure is None and not tried.lost:
                reply = self.replies.get(attempt_id(record.id, node.plan.id, tried.number))
                return reply.outputs if isinstance(reply, Outcome) else None
        return None

    def record(self, order: WorkOrder) -> None:
        """The work of *order* has changed the world."""
        self.effects.append(Effect(self._world.timeline.now, order.run, order.node, order.role, order.attempt))

    def _end(self, program: Program, reply: Outcome | AgentBroke | None) -> None:
        """The program is gone; None: it has nothing to say."""
        if not self._lives(program):
            return
        del self.running[program.order.attempt]
        loop = program.server.loop
        if not program.server.alive:
            return
        program.gone.set()
        if reply is not None and not program.answer.done():
            self.replies[program.order.attempt] = reply
            loop.call_soon(lambda: None if program.answer.done() else program.answer.set_result(reply))

    def tell_to_end(self, program: Program) -> None:
        """What follows when its server ends it."""
        if not program.told:
            program.told = True
            self._world.timeline.after(min(GRACE, program.script.dies_after), lambda: self._end(program, None))

    async def end_orphans(self, server: Server, lost: Collection[AttemptId]) -> int:
        """See `engine.executors.port.EndOrphans`; *server* is who looks."""
        world, here = self._world, server.process

        def left() -> list[Process]:
            is_orphan = orphaned(world.project, Servers(world.places.seen_by(here), here), lost=lost)
            return [Process(self, one) for one in self.running.values() if is_orphan(one.mark)]

        def held() -> bool:
            dead = [one for one in self.running.values() if one.warded and not one.far and not one.server.alive]
            return any(one.server.process.boot == here.boot for one in dead)

        found = await end_found(left, held, grace=timedelta(seconds=GRACE))
        if found:
            world.tell(f"{server.name} has ended {found} orphans")
        return found

    def orphan(self, server: Server) -> None:
        """*server* was killed: its programs die with it, by their wardens, or go on until somebody ends them."""
        for program in [one for one in self.running.values() if one.server is server and not one.far]:
            if server.dice.randrange(3) == 0:
                del self.running[program.order.attempt]
            elif program.warded:
                program.told = True
                seconds = HEARD + min(GRACE, program.script.dies_after)
                self._world.timeline.after(seconds, partial(self._end, program, None))

    def cut_off(self, hostname: str) -> None:
        """A machine stands still: nothing runs there any more."""
        near = [one for one in self.running.values() if not one.far]
        for program in [one for one in near if one.server.process.hostname == hostname]:
            del self.running[program.order.attempt]

    def end_from_outside(self, program: Program, within: float) -> None:
        """Somebody who is not its server has *program* end *within* some seconds."""
        if program.server.alive:
            self._world.breaks(f"{program.order.attempt} is ended from outside, and its server lives")
        self._world.timeline.after(within, lambda: self._end(program, None))

    def let_go(self, server: Server) -> None:
        """*server* is taken apart: nobody waits for its programs any more."""
        for program in self._begun:
            if program.server is server:
                program.gone.set()

    def of(self, run: RunId, node: NodeId | None = None) -> list[Program]:
        """The programs of *run*, or of one node of it, that run now."""
        return [one for one in self.running.values() if one.run == run and node in {None, one.node}]

    def tied_to(self, run: RunId, *, interrupted: bool) -> list[Program]:
        """The programs of *run* that must not outlive its end; where it is *interrupted*, those of workers may."""
        return [one for one in self.of(run) if not (interrupted and one.far)]

    def tries(self, run: RunId, node: NodeId, role: str) -> list[Effect]:
        """What was really done for *node*, in order."""
        return [effect for effect in self.effects if (effect.run, effect.node, effect.role) == (run, node, role)]


@dataclass(frozen=True, slots=True)
class Process:
    """See `engine.executors.subprocesses.search.Endable`."""

    agents: Agents
    program: Program

    @property
    def pid(self) -> int:
        """A number that no other attempt has."""
        return crc32(self.program.order.attempt.encode())

    def terminate(self) -> None:
        """It is told to end, and takes its time."""
        self.agents.end_from_outside(self.program, self.program.script.dies_after)

    def kill(self) -> None:
        """It ends at once."""
        self.agents.end_from_outside(self.program, 0.0)


class AgentExecutor:
    """Has the agents of a world do the attempts of one server."""

    def __init__(self, agents: Agents, server: Server) -> None:
        self._agents = agents
        self._server = server

    def queues(self, agent: Agent) -> bool:
        """See `engine.executors.port.starts_later`."""
        return agent.id in QUEUEING

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """See `engine.executors.port.Executor`."""
        agents, server = self._agents, self._server
        if self.queues(order.agent):
            await asyncio.sleep(seconds_in_queue(server.world.seed, order, calm=server.world.calm))  # noqa: TID251 - virtual
            heartbeat.started(server.name)
        program = agents.begin(self._server, order, heartbeat)
        try:
            reply = await program.answer
        except asyncio.CancelledError:
            agents.tell_to_end(program)
            await uncancelled(_until(program.gone))
            if program.script.answers_all_the_same and isinstance(program.script.reply, Outcome):
                return agents.answer_late(program, program.script.reply)
            raise
        if isinstance(reply, AgentBroke):
            raise reply
        return await self._merged(order, reply) if self.queues(order.agent) and reply.failure is None else reply

    async def _merged(self, order: WorkOrder, reply: Outcome) -> Outcome:
        """What a success of an isolated agent is: merged at once, cleaned up after, and told in the end."""
        agents, server = self._agents, self._server
        kept = structs.replace(reply, in_time=True)
        agents.merged.add(order.attempt)
        agents.unreported[order.attempt] = kept
        with contextlib.suppress(asyncio.CancelledError):
            await uncancelled(asyncio.sleep(server.dice.choice((0.0, 0.1, 1.0))))  # noqa: TID251 - virtual
        return kept


class WorldOutbox:
    """See `engine.executors.port.Outbox`: it outlives all servers."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def covers(self, agent: Agent) -> bool:
        """See `Outbox.covers`."""
        return agent.id in QUEUEING

    async def attempts(self) -> list[AttemptId]:
        """See `Outbox.attempts`."""
        return list(self._agents.unreported)

    async def found(self, attempts: Collection[AttemptId]) -> Mapping[AttemptId, Outcome]:
        """See `Outbox.found`."""
        return {attempt: outcome for attempt, outcome in self._agents.unreported.items() if attempt in attempts}

    def recorded(self, attempt: AttemptId) -> None:
        """See `Outbox.recorded`."""
        self._agents.unreported.pop(attempt, None)

    async def redone(self, attempts: Collection[AttemptId]) -> list[str]:
        """See `Outbox.redone`."""
        return [f"branch of {attempt}" for attempt in attempts if attempt in self._agents.merged]


async def _until(event: asyncio.Event) -> None:
    await event.wait()
