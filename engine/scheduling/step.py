"""One step of a run: a decision in progress with its state, its time, and the events decided so far.

Pure. Every event is folded as soon as it is decided, so that the next rule of the same decision sees it; the owner
commits all of them together or drops the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from engine.model.plan import NodeKind
from engine.run.events import Role
from engine.run.reducer import apply

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.ids import NodeId
    from engine.model.plan import NodePlan
    from engine.run.events import Event
    from engine.run.signals import SupplyObservations
    from engine.run.state import Run


Queues: TypeAlias = "Callable[[Run, NodePlan, Role], bool]"
"""Whether attempts of a node in a role wait for their turn before they start: for a machine, or for each other.

Also whether they run elsewhere, which is asked in the same way.
"""


def at_once(_run: Run, _node: NodePlan, _role: Role) -> bool:
    """No attempt waits for anything."""
    return False


class Step(msgspec.Struct):
    """One signal decided on one run."""

    run: Run
    now: datetime
    events: list[Event] = msgspec.field(default_factory=list)
    queues: Queues = at_once
    elsewhere: Queues = at_once
    observations: SupplyObservations | None = None
    """Facts about one node, good for this step only."""
    wants: NodeId | None = None
    """A node whose skip condition or inputs cannot be judged without observations; the decision continues with them."""

    def place(self, node: NodePlan, role: Role) -> tuple[datetime | None, bool]:
        """The deadline of an attempt that is made now, and whether it runs on another machine.

        None: it has no time limit, or has to wait for its turn first, as all do that run elsewhere.
        """
        if node.kind is NodeKind.SUB_COMMAND and role is Role.FORWARD:  # with a template, each instance has the limit
            return None if node.template is not None else self.now + node.timeout, False
        if not self.queues(self.run, node, role):
            return self.now + node.timeout, False
        return None, self.elsewhere(self.run, node, role)

    def emit(self, event: Event) -> None:
        """Decide *event*: fold it and keep it for the journal."""
        apply(self.run, event)
        self.events.append(event)
