"""One decision in progress: the run, the time, and the events decided so far.

Pure. Every event is folded the moment it is decided, so that the next rule of the same decision sees it; the owner
commits all of them together or drops the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.run.reducer import apply

if TYPE_CHECKING:
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.events import Event
    from engine.run.signals import SupplyFacts
    from engine.run.state import Run


@dataclass(slots=True)
class Turn:
    """The state that a decision works on."""

    run: Run
    now: datetime
    events: list[Event] = field(default_factory=list)
    facts: SupplyFacts | None = None
    """Facts about one node, good for this turn only."""
    wants: NodeId | None = None
    """A node whose skip condition or inputs cannot be judged without facts; the decision goes on with them."""

    def emit(self, event: Event) -> None:
        """Decide *event*: fold it and keep it for the journal."""
        apply(self.run, event)
        self.events.append(event)
