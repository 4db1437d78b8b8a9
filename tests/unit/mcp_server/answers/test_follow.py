from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.run.reducer import fold
from engine.service import View
from engine.simulation import Scenario, simulate
from mcp_server.answers.follow import HEARTBEAT_SECONDS, Glimpse, Reporter, glimpse
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from collections.abc import Iterator


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float | None, str | None]] = []
        self.seconds = 100.0

    async def __call__(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        self.told.append((progress, total, message))

    def time(self) -> float:
        return self.seconds

    @property
    def lines(self) -> Iterator[str | None]:
        return (message for _, _, message in self.told)


def first_glimpse() -> Glimpse:
    raw = command(phase("work", node("one"), node("two")))
    with ThreadPoolExecutor(1) as thread:  # a simulation has a loop of its own
        events = thread.submit(simulate, plan(raw), Scenario()).result(timeout=20).events
    run = fold(events[:4])
    return glimpse(View(run=run, actions={}, estimates={}, now=events[3].at))


async def test_lines_that_change_soon_wait_for_their_turn() -> None:
    heard = Heard()
    reporter = Reporter(heard, interval=0.5, time=heard.time)
    seen = first_glimpse()
    assert await reporter.show(seen) == HEARTBEAT_SECONDS
    heard.seconds += 0.2
    again = replace(seen, line="another line")
    assert abs(await reporter.show(again) - 0.3) < 0.001
    assert len(heard.told) == 1
    heard.seconds += 0.4
    await reporter.show(again)
    assert list(heard.lines) == [seen.line, "another line"]


async def test_the_start_of_a_phase_and_a_failure_are_told_at_once() -> None:
    heard = Heard()
    reporter = Reporter(heard, interval=0.5, time=heard.time)
    seen = first_glimpse()
    await reporter.show(seen)
    await reporter.show(replace(seen, line="it failed", shape=("failed",)))
    assert list(heard.lines) == [seen.line, "it failed"]


async def test_a_quiet_run_gives_a_sign_of_life_with_growing_numbers() -> None:
    heard = Heard()
    reporter = Reporter(heard, interval=0.5, time=heard.time)
    seen = first_glimpse()
    pause = await reporter.show(seen)
    for _ in range(3):
        heard.seconds += pause
        pause = await reporter.show(seen)
    numbers = [progress for progress, _, _ in heard.told]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    assert all(total is not None and total >= progress for progress, total, _ in heard.told)
