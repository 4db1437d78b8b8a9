"""What a process shows of its life: a time that every journal of its runs knows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from engine.ids import RunId
from engine.runtime.clock import VirtualLoop
from engine.runtime.heartbeats import send_heartbeats
from engine.statefolder.owners import RENEWAL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)


class Scene:
    """An owner, live runs that have nothing to commit, the runs that were let go, and a clock that can be set."""

    def __init__(self) -> None:
        self.shown: list[datetime] = []
        self.lost: set[RunId] = set()
        self.leapt = timedelta(0)
        self.renewed = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time()) + self.leapt

    def renew(self, now: datetime) -> None:
        self.shown.append(now)
        self.loop.call_soon_threadsafe(self.renewed.set)

    async def committed(self) -> None:
        """Nothing to wait for."""


def shown(*steps: Callable[[Scene], None]) -> list[timedelta]:
    """What is shown after each of *steps*, as time since the start."""

    async def live() -> list[datetime]:
        scene = Scene()
        part = cast("Any", scene)
        task = asyncio.ensure_future(send_heartbeats(part, part, part, part))
        for step in steps:
            step(scene)
            await scene.renewed.wait()
            scene.renewed.clear()
        task.cancel()
        return scene.shown

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return [moment - START for moment in runner.run(live())]


def lose(scene: Scene) -> None:
    scene.lost.add(RunId("r-1"))


def leap(scene: Scene) -> None:
    scene.leapt += timedelta(hours=2)


def set_back(scene: Scene) -> None:
    scene.leapt -= timedelta(hours=2)


def record(scene: Scene) -> None:
    scene.lost.clear()


def nothing(_scene: Scene) -> None:
    """Time goes by."""


EVERY = timedelta(seconds=RENEWAL_SECONDS)
HOURS = timedelta(hours=2)


def test_a_living_process_shows_the_time() -> None:
    assert shown(nothing, nothing, leap) == [EVERY, 2 * EVERY, 3 * EVERY + HOURS]


def test_a_jump_that_the_journal_of_a_lost_run_may_lack_is_not_shown_before_the_loss_is_recorded() -> None:
    assert shown(nothing, lose, leap, record) == [EVERY, EVERY, EVERY, 4 * EVERY + HOURS]


def test_a_clock_that_was_set_back_is_shown_at_once_though_a_run_is_lost() -> None:
    assert shown(nothing, lose, set_back) == [EVERY, EVERY, 3 * EVERY - HOURS]
