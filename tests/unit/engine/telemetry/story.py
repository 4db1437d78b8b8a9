"""A run driven by hand whose spans and measures are taken event by event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.model.agent import Agent, AgentKind
from engine.run import events as ev
from engine.run.reducer import apply, create
from engine.scheduling.step import at_once
from engine.telemetry.measures import Measure, Measures
from engine.telemetry.spans import Span, ended_spans
from tests.support.by_hand import ByHand, decoded
from tests.support.definitions import plan

if TYPE_CHECKING:
    from engine.run.state import Run
    from engine.scheduling.step import Queues
    from tests.support.definitions import Raw

WORKER = Agent(id="worker", kind=AgentKind.PROCESS)


class Told:
    """What a journal gives, each event in the state that it makes."""

    def __init__(self, events: list[ev.Event], traceparent: str = "") -> None:
        first = events[0]
        assert isinstance(first, ev.RunCreated)
        self.run: Run = create(first)
        self.run.traceparent = traceparent
        self.spans: list[Span] = []
        measures = Measures()
        self.measures: list[Measure] = [*measures.of(self.run, [first])]
        for event in events[1:]:
            apply(self.run, event)
            self.spans += ended_spans(self.run, [event])
            self.measures += measures.of(self.run, [event])

    def __getitem__(self, name: str) -> Span:
        """The one span of this name."""
        [found] = self.all(name)
        return found

    def all(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def waits(self, reason: str) -> list[float]:
        return [one.value for one in self.measures if one.attributes.get("orchestration.wait.reason") == reason]

    def values(self, name: str) -> list[float]:
        return [one.value for one in self.measures if one.name == name]

    def attributes(self, name: str) -> list[dict[str, Any]]:
        return [dict(one.attributes) for one in self.measures if one.name == name]


def by_hand(raw: Raw, *subcommands: Raw, queues: Queues = at_once) -> ByHand:
    """A run whose agents are programs."""
    return ByHand(plan(raw, *subcommands, agents=(WORKER,)), queues=queues)


def told(story: ByHand, traceparent: str = "") -> Told:
    """What the journal of *story* gives."""
    return Told(decoded(story.events), traceparent)
