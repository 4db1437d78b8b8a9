"""One virtual time for several servers, each with an event loop of its own that can be let go at any moment.

Effects: none. Nothing waits: time goes on when whoever plays the world says so. Each look at the clock takes a
microsecond, as real ones take some, so that no two of them give the same time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

from engine.ids import RunId
from engine.runtime.clock import EPOCH, VirtualLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
LOOK = 1e-6
"""Seconds that a look at the clock takes."""


class Timeline:
    """Seconds since the world began, and what is to happen in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jumped = timedelta(0)
        """By how much the clock on the wall was set since; the seconds of loops know nothing of it."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have *action* happen in *seconds*."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), action))

    def next_due(self) -> float | None:
        """When the next action is due."""
        return self._due[0][0] if self._due else None

    def advance(self, to: float) -> None:
        """Let time pass until *to*, and happen what is due then."""
        self.now = max(self.now, to)
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()


class WallClock:
    """The clock of one server; the machine's can be set back and forth, and each server finds out for itself."""

    def __init__(self, timeline: Timeline, runs: Iterator[int]) -> None:
        """*runs* numbers the runs of the world."""
        self._timeline = timeline
        self._runs = runs
        self._jumped = timeline.jumped
        self.lived: dict[datetime, float] = {}
        """What was lived of the world when this clock gave a time."""

    def now(self) -> datetime:
        """See `engine.runtime.clock.Clock`."""
        self._timeline.now += LOOK
        now = EPOCH + timedelta(seconds=self._timeline.now) + self._jumped
        self.lived[now] = self._timeline.now
        return now

    def jump(self) -> timedelta:
        """See `engine.runtime.clock.Clock`."""
        by, self._jumped = self._timeline.jumped - self._jumped, self._timeline.jumped
        return by

    def new_run_id(self) -> RunId:
        """See `engine.runtime.clock.Clock`; the runs of a world are numbered."""
        return RunId(f"r-{next(self._runs)}")


class ServerLoop(VirtualLoop):
    """An event loop that takes one turn when it is told to; what was for a thread is done on the spot."""

    _ready: Any
    _scheduled: Any

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        super().__init__()

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop.time`."""
        return self._timeline.now

    def next_due(self) -> float | None:
        """When it wants its next turn: at once, at some time, or never."""
        if self._ready:
            return 0.0
        return self._scheduled[0].when() if self._scheduled else None

    def turn(self) -> None:
        """Run what is ready, once."""
        self.stop()
        self.run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Do it now: with threads, who is first would be the machine's to say."""
        del executor
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to who waits
            done.set_exception(error)
        return done
