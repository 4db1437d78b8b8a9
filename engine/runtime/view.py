"""A run as it is shown: its durable state, and what this process knows beside it.

Pure, a projection. Putting it together is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.executors.port import WorkOrder
    from engine.ids import AttemptId, NodeId
    from engine.run.state import Run
    from engine.views.locks import LockLine


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A run as far as it is durable, and what its agents were last seen doing."""

    run: Run
    actions: Mapping[NodeId, str]
    estimates: Mapping[str, float]
    """Learned seconds by node (SPEC 10)."""
    now: datetime
    work: tuple[WorkOrder, ...] = ()
    """What the client is asked to do now."""
    stop: tuple[AttemptId, ...] = ()
    """Work of the client that is not wanted any more."""
    locks: tuple[LockLine, ...] = ()
    """What the run has, wants or has reserved."""
    warnings: tuple[str, ...] = ()
    """What this process has to say about the run beside the plan's own warnings."""
