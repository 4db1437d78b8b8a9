"""The traces of whole projects under faults: servers die, runs are resumed and retried, each trace stays one tree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from engine.run import events as ev
from engine.run.reducer import apply, create
from engine.runtime.live_runs import LiveRuns
from engine.storage.codec import decode_event
from engine.telemetry.ids import first_span
from engine.telemetry.measures import ATTEMPT, COST, WAIT, Measure, Measures
from engine.telemetry.spans import Span, ended_spans
from engine.views.metrics import totals
from tests.support.world.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ids import RunId
    from engine.run.state import Run
    from tests.support.world.record import Record

pytestmark = pytest.mark.worlds
WORLDS = 40


def played(seed: int, patch: pytest.MonkeyPatch) -> tuple[list[Record], dict[RunId, list[Span]]]:
    """The runs of a world as their journals have them, and the spans that its servers would have exported."""
    heard: dict[RunId, list[Span]] = {}
    call = LiveRuns._call_listeners

    def listen(self: LiveRuns, run_id: RunId, events: Sequence[ev.Event]) -> None:
        run = self.runs.get(run_id)
        if run is not None:
            heard.setdefault(run_id, []).extend(ended_spans(run, events))
        call(self, run_id, events)

    patch.setattr(LiveRuns, "_call_listeners", listen)
    world = World(seed)
    world.play()
    return list(world.audit.records.values()), heard


def replayed(record: Record) -> tuple[Run, list[Span], list[Measure]]:
    """A run folded event by event, and what each event gives in the state it makes.

    A process takes the run over when it is resumed or retried, and knows nothing of what was measured before.
    """
    events = [decode_event(*data) for data in record.log]
    assert isinstance(events[0], ev.RunCreated)
    run, process = create(events[0]), Measures()
    spans: list[Span] = []
    measures = [*process.of(run, events[:1])]
    for event in events[1:]:
        apply(run, event)
        if isinstance(event, ev.RunResumed | ev.RunReopened):
            process = Measures()
        spans += ended_spans(run, [event])
        measures += process.of(run, [event])
    return run, spans, measures


@pytest.mark.parametrize("seed", range(WORLDS))
def test_whatever_goes_wrong_a_trace_is_one_tree_and_agrees_with_its_report(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, heard = played(seed, monkeypatch)
    for record in records:
        run, spans, measures = replayed(record)
        whole = run.ended and run.status is not ev.RunStatus.INTERRUPTED
        check_tree(run, spans, whole=whole)
        told = {as_exported(span) for span in spans}  # a server's state is ahead of what it has committed
        assert [span for span in heard.get(record.id, ()) if as_exported(span) not in told] == []
        if whole:
            check_numbers(run, spans, measures)


def check_tree(run: Run, spans: list[Span], *, whole: bool) -> None:
    """Each span has an id of its own, and in an ended run a parent, up to the span of the run."""
    assert [number for number, often in Counter(span.id for span in spans).items() if often > 1] == []
    known = {span.id for span in spans}
    assert len({span.trace for span in spans}) <= 1
    for span in spans:
        assert span.start <= span.end
        assert all(link.span in known for link in span.links), span
        assert (span.parent is None) == (span.id == first_span(run.id))
        assert span.parent is None or span.parent in known or not whole, span


def as_exported(span: Span) -> tuple[object, ...]:
    """What no later event may change."""
    return (span.id, span.name, span.parent, span.start, span.end, span.failed, span.links)


def check_numbers(run: Run, spans: list[Span], measures: list[Measure]) -> None:
    """The metrics of all processes add up to the report."""
    sums = totals(run, run.ended_at or run.created_at)
    locks = total(measures, WAIT, "orchestration.wait.reason", "locks")
    if not any(node.plan.template for node in run.nodes.values()):  # a retry forgets the waits of instances, not more
        assert locks == pytest.approx(sums.lock_wait.total_seconds())
    assert locks >= sums.lock_wait.total_seconds() - 1e-9
    work = total(measures, ATTEMPT, "orchestration.attempt.role", "forward")
    assert work == pytest.approx(sums.work.total_seconds())
    undo = total(measures, ATTEMPT, "orchestration.attempt.role", "compensate")
    assert undo == pytest.approx(sums.undo.total_seconds())
    assert total(measures, COST) == pytest.approx(run.cost_usd)
    assert spans[-1].attributes["orchestration.run.work"] == sums.work.total_seconds()


def total(measures: list[Measure], name: str, key: str = "", value: str = "") -> float:
    """The sum of what was measured, with one attribute."""
    return sum(one.value for one in measures if one.name == name and (not key or one.attributes[key] == value))
