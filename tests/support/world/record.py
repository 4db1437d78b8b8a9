"""A run as its journal has it, and what laws remember of it.

Pure. The state is folded from the bytes that went into the journal, event by event, beside the engine's own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.model.policy import QUOTA_EXHAUSTED
from engine.run import events as ev
from engine.run.events import Role
from engine.run.nesting import is_inside
from engine.run.reducer import apply, create
from engine.storage.codec import decode_event, encode_event

if TYPE_CHECKING:
    from engine.ids import NodeId, OwnerId, RunId
    from engine.model.policy import Failure
    from engine.run.state import NodeState, Run


@dataclass(slots=True)
class Record:
    """One run."""

    run: Run
    owner: OwnerId
    """Who owns it by its row in the list of runs."""
    log: list[tuple[str, bytes]] = field(default_factory=list)
    """Its journal as bytes."""
    removed: bool = False
    done: set[NodeId] = field(default_factory=set)
    """Nodes whose work has succeeded, and was not reset."""
    undone: set[NodeId] = field(default_factory=set)
    failed: Counter[tuple[NodeId, Role]] = field(default_factory=Counter)
    """Failed attempts since the node's last success or end; neither lost ones nor those for want of quota count."""
    failure: dict[NodeId, Failure] = field(default_factory=dict)
    """How the attempt failed that was the last event of its node."""
    held: set[NodeId] = field(default_factory=set)
    """Nodes that are not idempotent, whose attempt was lost, and that nobody has decided about."""
    inputs: dict[NodeId, dict[str, Any]] = field(default_factory=dict)
    """What the node's first attempt was given."""
    lived: float = 0.0
    """Seconds of the world at which the event was decided that is looked at."""
    began: dict[object, float] = field(default_factory=dict)
    """The same of what has a limit: attempts, waits for locks, phases by index, the run (None)."""

    @property
    def id(self) -> RunId:
        """The run's name."""
        return self.run.id

    def node(self, name: NodeId) -> NodeState:
        """One node as the journal has it."""
        return self.run.nodes[name]

    def role_of(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptLost) -> Role:
        """What the attempt was for that *event* ends."""
        return self.node(event.node).attempts[event.number - 1].role

    def take(self, event: ev.Event) -> None:
        """Fold *event*, and remember what laws will ask."""
        data = encode_event(event)
        self.log.append(data)
        stored = decode_event(*data)
        if not isinstance(event, ev.RunCreated):
            self._time(event)
            self._remember(event)
            apply(self.run, stored)

    def _time(self, event: ev.Event) -> None:
        """Remember when what has a limit began."""
        match event:
            case ev.AttemptScheduled(deadline=datetime()) | ev.AttemptStarted() | ev.AttemptRenewed():
                self.began[event.node, event.number] = self.lived
            case ev.NodeWaiting(reason=ev.WaitReason.LOCKS, until=None):
                self.began[event.node] = self.lived
            case ev.PhaseOpened():
                self.began[event.phase] = self.lived
            case ev.RunReopened():
                self.began[None] = self.lived
            case ev.RunStarted():  # once more where it has got its locks back
                self.began.setdefault(None, self.lived)
            case _:
                pass

    def _remember(self, event: ev.Event) -> None:
        if isinstance(event, ev.AttemptSucceeded):
            role = self.role_of(event)
            (self.done if role is Role.FORWARD else self.undone).add(event.node)
            self.failed[event.node, role] = 0
        elif isinstance(event, ev.AttemptFailed):
            self.failed[event.node, self.role_of(event)] += 1
            self.failure[event.node] = event.failure
            return
        elif isinstance(event, ev.NodeWaiting):
            self._forgive(event)
        elif isinstance(event, ev.AttemptLost):
            plan = self.node(event.node).plan
            if not plan.idempotent and not plan.inner and self.role_of(event) is Role.FORWARD:
                self.held.add(event.node)
        elif isinstance(event, ev.NodeReady):
            waiting = self.node(event.node).waiting
            if waiting is not None and waiting.reason is ev.WaitReason.DECISION:
                self.held.discard(event.node)
        elif isinstance(event, ev.NodeReset):
            self._reset(event)
        if isinstance(event, ev.NodeReset | ev.NodeFailed | ev.NodeCancelled):
            self.failed[event.node, Role.FORWARD] = 0
        name = getattr(event, "node", None)
        if name is not None:
            self.failure.pop(name, None)

    def _reset(self, event: ev.NodeReset) -> None:
        inside = [name for name in self.run.nodes if is_inside(name, event.node)] if event.whole else []
        for node in (event.node, *inside):
            for names in (self.done, self.undone, self.held):
                names.discard(node)
            self.inputs.pop(node, None)
            self.failed[node, Role.COMPENSATE] = self.failed[node, Role.FORWARD] = 0

    def _forgive(self, event: ev.NodeWaiting) -> None:
        """An attempt that failed for want of quota, and that its breaker holds back, is no fault of the node's."""
        failure = self.failure.get(event.node)
        if failure is not None and event.reason is ev.WaitReason.BREAKER and failure.code == QUOTA_EXHAUSTED:
            self.failed[event.node, self.node(event.node).attempts[-1].role] -= 1


def begin(event: ev.RunCreated, owner: OwnerId) -> Record:
    """The record of a new run."""
    data = encode_event(event)
    stored = decode_event(*data)
    assert isinstance(stored, ev.RunCreated)
    record = Record(create(stored), owner)
    record.log.append(data)
    return record
