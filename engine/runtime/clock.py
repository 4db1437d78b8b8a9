"""The time, new ids, and an event loop whose time is virtual.

Effects: reads the system's clock and randomness. No other module of the engine reads either.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import selectors
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from engine.ids import OwnerId, RunId

if TYPE_CHECKING:
    import random

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
NO_TIME = timedelta(0)
MIN_JUMP_SECONDS = 1.0
"""Seconds by which the machine's clock may differ from lived time without being reported."""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The start of simulated time."""


class Clock(Protocol):
    """The source of time and ids; simulation has its own."""

    def now(self) -> datetime:
        """The time, aware, UTC; it advances as time is lived, and follows jumps of the machine's clock with `jump`."""

    def jump(self) -> timedelta:
        """The difference of the machine's clock to lived time since the last call; `now` follows it from here on.

        Usually zero. Negative: the clock was set back.
        """

    def new_run_id(self) -> RunId:
        """A run id that was never used."""


class SystemClock:
    """The machine's clock, which may jump, and the seconds that this machine has been awake, which cannot.

    Between two calls of `jump` only the seconds count: neither a sleep nor setting the clock makes anything late.
    """

    def __init__(self) -> None:
        self._start = time.time() - time.monotonic()
        """The zero of the seconds, by the machine's clock."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.fromtimestamp(self._start + time.monotonic(), UTC)

    def jump(self) -> timedelta:
        """See `Clock.jump`; differences below `MIN_JUMP_SECONDS` add up until they reach it."""
        off = time.time() - time.monotonic() - self._start
        if -MIN_JUMP_SECONDS < off < MIN_JUMP_SECONDS:
            return NO_TIME
        self._start += off
        return timedelta(seconds=off)

    def new_run_id(self) -> RunId:
        """See `Clock.new_run_id`."""
        return RunId("r-" + "".join(secrets.choice(_ALPHABET) for _ in range(12)))


class VirtualClock:
    """The time of a `VirtualLoop`; ids come from a seeded generator."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: random.Random, epoch: datetime = EPOCH) -> None:
        """*seed* determines all ids; *epoch* is the time at which *loop* starts."""
        self._loop = loop
        self._seed = seed
        self._epoch = epoch

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._epoch + timedelta(seconds=self._loop.time())

    def jump(self) -> timedelta:
        """See `Clock.jump`; virtual time has one clock."""
        return NO_TIME

    def new_run_id(self) -> RunId:
        """See `Clock.new_run_id`."""
        return RunId("r-" + "".join(self._seed.choice(_ALPHABET) for _ in range(12)))


def new_owner_id() -> OwnerId:
    """An id of this process as owner of runs; the pid is for people, the rest makes it unique."""
    return OwnerId(f"o-{os.getpid()}-{secrets.token_hex(6)}")


def process_of(owner: OwnerId) -> str:
    """The pid in an id that `new_owner_id` made."""
    return owner.split("-")[1]


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: when the loop would sleep until a timer, time jumps to it."""

    def __init__(self, jump: Any) -> None:  # noqa: ANN401 - bound method of the loop
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The ready files; if there are none, a *timeout* means that the loop would sleep: jump."""
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which sleeping takes no time: the clock jumps to the next timer when all is blocked.

    Use it with work that stays in the loop; threads and processes take real time that this clock does not see.
    """

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_JumpingSelector(self._advance))

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._virtual

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - as asyncio's
        """Wait until all threads have ended: a limit by this clock would mean nothing to them."""
        await super().shutdown_default_executor()

    def _advance(self, seconds: float) -> None:
        self._virtual += seconds
