"""Decisions that are not durable yet, and the callbacks of live runs.

Pure: data and protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.storage.port import Batch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from engine.ids import NodeId, RunId
    from engine.run import events as ev
    from engine.run.signals import SupplyObservations
    from engine.run.state import Run


class Observer(Protocol):
    """Looks up the facts about a node that `decide` needs."""

    def about(self, run: Run, node: NodeId) -> SupplyObservations:
        """Values for its condition and transforms, and whether a condition about the world holds."""


class Listener(Protocol):
    """Called with committed events, in order."""

    def __call__(self, run: Run, events: Sequence[ev.Event]) -> None:
        """*run* has changed by *events*; it may be ahead of them already."""


class Decided(msgspec.Struct):
    """Everything decided since the last commit began."""

    batch: Batch = msgspec.field(default_factory=Batch)
    events: dict[RunId, list[ev.Event]] = msgspec.field(default_factory=dict)
    """By run, for the listeners."""
    waiters: list[asyncio.Future[None]] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything was decided, or a task waits for the commit."""
        return bool(self.batch or self.waiters)
