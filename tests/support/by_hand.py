"""A run that a test drives signal by signal: the pure core with no loop, no executor and no clock of its own.

After every signal the run is compared with the fold of its encoded journal, so each test that uses it also proves that
the log is the whole truth.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.ids import NodeId, OwnerId, RunId
from engine.model.plan import NodePlan, Plan
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.reducer import fold
from engine.run.state import NodeState, Run
from engine.runtime.observations import ProjectObserver
from engine.scheduling import admission, decide
from engine.scheduling.step import Step, at_once
from engine.storage.cache import ValueCache
from engine.storage.codec import decode_event, encode_event
from engine.storage.memory import MemoryStorage
from tests.support.definitions import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.scheduling.step import Queues

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUN = RunId("r-000000000000")
OWNER = OwnerId("o-1")
HEIR = OwnerId("o-2")


def comparable(run: Run) -> dict[str, Any]:
    """All of *run* but its ready heaps and timers, in which stale entries may differ."""
    heaps = {"timers", "timer_order", "offers"}
    seen = {item.name: getattr(run, item.name) for item in fields(run) if item.compare and item.name not in heaps}
    seen["phases"] = [
        {name: getattr(phase, name) for name in phase.__struct_fields__ if name not in {"ready", "guests"}}
        for phase in run.phases
    ]
    return seen


def decoded(events: Iterable[ev.Event]) -> list[ev.Event]:
    """*events* as they come back from a journal."""
    return [decode_event(*encode_event(event)) for event in events]


class ByHand:
    """One run, its journal, and short words for what may happen to it."""

    every = 1
    """After so many turns the journal is folded and compared; a long story does so less often."""

    def __init__(
        self,
        raw: dict[str, Any] | Plan,
        *subcommands: dict[str, Any],
        limits: ev.Limits | None = None,
        executor: str = "native",
        initial: Mapping[str, Any] | None = None,
        project: Path = Path(),
        queues: Queues = at_once,
        elsewhere: Queues = at_once,
    ) -> None:
        self.now = NOON
        self.placed = queues, elsewhere
        self.values = ValueCache(MemoryStorage())
        self.observations = ProjectObserver(project, self.values, last_run_completed=lambda _name: False, custom={})
        compiled = raw if isinstance(raw, Plan) else plan(raw, *subcommands)
        given = {**compiled.initial, **(initial or {})}
        step = decide.start(
            sig.StartRun(
                run=RUN,
                plan=compiled,
                owner=OWNER,
                executor=executor,
                initial={key: self.values.put(value) for key, value in given.items()},
                limits=limits,
            ),
            self.now,
            *self.placed,
        )
        self.run = step.run
        self.events: list[ev.Event] = []
        self.turns: list[int] = []
        """Length of the journal after each step: where a commit may end."""
        self._supply(step)

    def send(self, signal: sig.Signal) -> list[ev.Event]:
        """Decide *signal*; gives all events that followed."""
        before = len(self.events)
        step = decide.decide(self.run, signal, self.now, *self.placed)
        self._supply(step)
        return self.events[before:]

    def _supply(self, step: Step) -> None:
        while step.wants is not None:
            admission.go_on(step, self.observations.about(self.run, step.wants))
        self._take(step.events)

    def _take(self, events: list[ev.Event]) -> None:
        if events:
            self.events.extend(events)
            self.turns.append(len(self.events))
            if len(self.turns) % self.every == 0:
                self.check_fold()

    def check_fold(self) -> None:
        """The journal, as it comes back from disk, folds to the live state."""
        assert comparable(fold(decoded(self.events))) == comparable(self.run)

    def node(self, name: str) -> NodeState:
        """The state of node *name*."""
        return self.run.nodes[NodeId(name)]

    def status(self, name: str) -> str:
        """Where node *name* stands."""
        return self.node(name).status.value

    def state(self) -> str:
        """Where the run stands."""
        return self.run.status.value

    def live(self) -> list[str]:
        """Nodes with a live attempt that an executor does, in file order."""
        return [
            name
            for name, node in self.run.nodes.items()
            if node.live is not None and not (node.plan.inner and node.live.role is ev.Role.FORWARD)
        ]

    def number(self, name: str) -> int:
        """The number of the live attempt of *name*."""
        live = self.node(name).live
        assert live is not None, f"{name} has no live attempt"
        return live.number

    def began(self, name: str, worker: str = "w-1") -> list[ev.Event]:
        """The live attempt of *name*, which waited for its turn, is begun by *worker*."""
        return self.send(sig.StartAttempt(NodeId(name), self.number(name), worker))

    def succeed(self, name: str, **outputs: object) -> list[ev.Event]:
        """The live attempt of *name* ends well."""
        refs = {key: self.values.put(value) for key, value in outputs.items()}
        return self.send(sig.ReportOutcome(NodeId(name), self.number(name), refs))

    def fail(
        self, name: str, kind: FailureKind = FailureKind.ERROR, code: str = "AGENT_ERROR", *, begun: bool = True
    ) -> list[ev.Event]:
        """The live attempt of *name* fails."""
        failure = Failure(kind, code, f"{name} broke")
        return self.send(sig.ReportOutcome(NodeId(name), self.number(name), {}, failure, begun=begun))

    def stopped(self, name: str) -> list[ev.Event]:
        """The live attempt of *name* was told to end and has ended."""
        return self.fail(name, FailureKind.CANCEL, "CANCELLED")

    def grant(self, name: str | None = None) -> list[ev.Event]:
        """The lock table grants what *name*, or the run, had asked for."""
        return self.send(sig.GrantLocks(None if name is None else NodeId(name)))

    def queue(self, name: str) -> list[ev.Event]:
        """The lock table has *name* wait."""
        return self.send(sig.AwaitLocks(NodeId(name), self.now + self.node(name).plan.lock_wait))

    def refuse(self, name: str | None = None) -> list[ev.Event]:
        """The lock table refuses."""
        failure = Failure(FailureKind.TIMEOUT, "LOCK_TIMEOUT", "waited too long")
        return self.send(sig.RefuseLocks(None if name is None else NodeId(name), failure))

    def cancel(self, *, compensate: bool = True) -> list[ev.Event]:
        """The user cancels."""
        return self.send(sig.RequestCancel("enough", compensate))

    def answer(self, name: str, answer: str) -> list[ev.Event]:
        """A person decides about *name*."""
        return self.send(sig.Decide(NodeId(name), answer))

    def wait(self, **time: float) -> list[ev.Event]:
        """Time passes (arguments of `timedelta`)."""
        self.now += timedelta(**time)
        return self.send(sig.Tick())

    def leap(self, **time: float) -> list[ev.Event]:
        """The clock jumps (arguments of `timedelta`)."""
        since, self.now = self.now, self.now + timedelta(**time)
        return self.send(sig.JumpClock(since))

    def crash(self) -> None:
        """The owner dies and the run is found interrupted; the state is what the journal says."""
        self.run = fold(decoded(self.events))
        self.send(sig.Interrupt())

    def lose(self, name: str, worker: str = "w-1") -> list[ev.Event]:
        """The worker that runs the live attempt of *name* is gone."""
        return self.send(sig.LoseAttempt(NodeId(name), self.number(name), worker))

    def resume(
        self, *, failed: bool = False, limits: ev.Limits | None = None, standing: Iterable[str] = ()
    ) -> list[ev.Event]:
        """A new owner goes on; other machines continue the attempts of the nodes *standing*."""
        names = frozenset(NodeId(name) for name in standing)
        return self.send(sig.Resume(HEIR, failed, limits, standing=names))

    def cut(self, length: int) -> None:
        """Forget all but the first *length* events, as a crash before their commit would."""
        del self.events[length:]
        self.turns = [step for step in self.turns if step <= length]
        self.run = fold(decoded(self.events))

    def undone(self) -> list[str]:
        """Nodes in the order in which their compensations were started."""
        return [
            event.node
            for event in self.events
            if isinstance(event, ev.AttemptScheduled) and event.role is ev.Role.COMPENSATE
        ]

    def kinds(self) -> list[str]:
        """The journal by names of events."""
        return [type(event).__name__ for event in self.events]


def all_queue(_run: Run, _node: NodePlan, _role: ev.Role) -> bool:
    """Every attempt waits for its turn."""
    return True


def rollback(**fields_: object) -> dict[str, Any]:
    """A compensation by the node's own agent."""
    return {"type": "rollback", "task": "undo it", **fields_}


def locks(*resources: str, **fields_: object) -> dict[str, Any]:
    """Exclusive locks of a node or a run."""
    return {"locks": [{"resource": resource} for resource in resources], **fields_}


def calling(name: str, task: str, *needs: str, **fields_: object) -> dict[str, Any]:
    """A node that runs a sub-command."""
    return {"id": name, "agentId": "command", "task": task, "dependencies": list(needs), **fields_}
