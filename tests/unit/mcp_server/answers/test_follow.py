from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import structs

from engine.executors.simulate import parse_fault
from engine.ids import AttemptId, NodeId
from engine.run.reducer import fold
from engine.service import View
from engine.simulation import Scenario, simulate
from mcp_server.answers.follow import HEARTBEAT_SECONDS, Glimpse, Reporter, Seen, glimpse, is_due, seen_in
from tests.support.definitions import Raw, command, node, phase, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.run.events import Event
    from mcp_server.answers.wire import Until


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


def events_of(raw: Raw, *faults: str) -> list[Event]:
    scenario = Scenario(faults=dict(parse_fault(fault) for fault in faults))
    with ThreadPoolExecutor(1) as thread:  # a simulation has a loop of its own
        return thread.submit(simulate, plan(raw), scenario).result(timeout=20).events


def first_view() -> View:
    events = events_of(command(phase("work", node("one"), node("two"))))
    return View(run=fold(events[:4]), actions={}, estimates={}, now=events[3].at)


def first_glimpse() -> Glimpse:
    return glimpse(first_view())


async def test_lines_that_change_soon_wait_for_their_turn() -> None:
    heard = Heard()
    reporter = Reporter(heard, interval=0.5, time=heard.time)
    seen = first_glimpse()
    assert await reporter.show(seen) == HEARTBEAT_SECONDS
    heard.seconds += 0.2
    again = structs.replace(seen, line="another line")
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
    await reporter.show(structs.replace(seen, line="it failed", shape=("failed",)))
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


def waits_of(raw: Raw, until: Until, *faults: str) -> int:
    """How many answers a client gets that waits *until* something, and then for the end."""
    events = events_of(raw, *faults)
    runs = [fold(events[:count]) for count in range(4, len(events) + 1)]
    seen, answers = seen_in(runs[0]), 0
    for run in runs[1:]:
        if is_due(now := seen_in(run), seen, until):
            seen, answers = now, answers + 1
    return answers


def test_a_client_is_answered_at_each_change_at_each_phase_or_not_before_the_end() -> None:
    raw = command(phase("first", node("one"), node("two")), phase("last", node("three")))
    events = events_of(raw)
    assert waits_of(raw, "change") == len(events) - 4
    assert waits_of(raw, "phase") == sum(type(event).__name__ in {"PhaseOpened", "PhaseEnded"} for event in events[4:])
    assert waits_of(raw, "end") == 0


def test_a_failure_is_due_once_whatever_is_waited_for_unless_the_call_waits_for_the_end_alone() -> None:
    raw = command(phase("work", node("bad"), node("worse"), node("good"), continueOnError=True))
    assert waits_of(raw, "end", "bad=error", "worse=error") == 2
    events = events_of(raw, "bad=error", "worse=error")
    for before, after in pairwise(fold(events[:count]) for count in range(1, len(events) + 1)):
        assert not is_due(seen_in(after), seen_in(before), "end", at_failures=False)


def test_a_question_is_due_once_and_again_when_the_node_asks_again() -> None:
    nothing = Seen(events=0, phases=())
    asked = structs.replace(nothing, questions=frozenset({(NodeId("a"), 0)}))
    again = structs.replace(nothing, questions=frozenset({(NodeId("a"), 1)}))
    assert is_due(asked, nothing, "end", at_failures=False)
    assert not is_due(asked, asked, "end")
    assert not is_due(nothing, asked, "end")
    assert is_due(again, asked, "end")


def test_work_that_is_not_needed_any_more_ends_a_wait_of_the_client_that_has_it() -> None:
    view = structs.replace(first_view(), stop=(AttemptId("r:one#1"),))
    assert not glimpse(view).over
    assert glimpse(view, {AttemptId("r:one#1")}).over
