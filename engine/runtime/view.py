"""A run as it is shown: its durable state, and what this process knows about it.

Pure, a projection. The engine puts it together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.executors.port import WorkOrder
    from engine.ids import AttemptId, NodeId
    from engine.run.state import Run
    from engine.views.locks import LockLine


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A run as far as it is durable, with the last known actions of its agents."""

    run: Run
    actions: Mapping[NodeId, str]
    estimates: Mapping[str, float]
    """Learned durations in seconds, by node (SPEC 10)."""
    now: datetime
    work: tuple[WorkOrder, ...] = ()
    """Work orders for the client."""
    stop: tuple[AttemptId, ...] = ()
    """Work of the client that is no longer needed."""
    locks: tuple[LockLine, ...] = ()
    """The locks that the run holds, waits for or has reserved."""
    warnings: tuple[str, ...] = ()
    """Warnings of this process about the run, beside those of the plan."""
