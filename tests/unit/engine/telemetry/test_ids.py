from __future__ import annotations

import pytest

from engine.ids import NodeId, RunId
from engine.run.events import RunStatus
from engine.telemetry.ids import (
    Caller,
    attempt_span,
    caller_of,
    first_span,
    header_of,
    node_span,
    phase_span,
    run_span,
    trace_of,
)
from tests.support.definitions import command, node, phase
from tests.support.runs import simulated

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


def test_a_header_names_its_caller_and_whether_that_records() -> None:
    assert caller_of(HEADER) == Caller(int(TRACE, 16), int(SPAN, 16), sampled=True)
    assert caller_of(f"00-{TRACE}-{SPAN}-02") == Caller(int(TRACE, 16), int(SPAN, 16), sampled=False)
    assert header_of(int(TRACE, 16), int(SPAN, 16), sampled=True) == HEADER


def test_a_header_of_a_later_version_may_go_on() -> None:
    assert caller_of(f"01-{TRACE}-{SPAN}-01-more") == caller_of(HEADER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no header",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_a_valid_header_names_no_caller(text: str) -> None:
    assert caller_of(text) is None


def test_ids_follow_from_names_alone_and_differ() -> None:
    run = simulated(command(phase("work", node("a"), node("b")))).run
    assert run.status is RunStatus.COMPLETED
    [only] = run.phases
    spans = [
        first_span(run.id),
        phase_span(run, only.plan),
        *(node_span(run, name) for name in run.nodes),
        *(attempt_span(run.id, name, 1) for name in run.nodes),
        attempt_span(run.id, NodeId("a"), 2),
    ]
    assert run_span(run) == spans[0] == first_span(RunId(str(run.id)))
    assert len({*spans}) == len(spans)
    assert all(0 < span < 2**64 for span in spans)
    assert 0 < trace_of(run) < 2**128


def test_a_retried_run_has_new_spans_in_the_same_trace() -> None:
    run = simulated(command(phase("work", node("a")))).run
    before = (run_span(run), phase_span(run, run.phases[0].plan), node_span(run, NodeId("a")))
    trace = trace_of(run)
    run.retried = 1
    after = (run_span(run), phase_span(run, run.phases[0].plan), node_span(run, NodeId("a")))
    assert not {*before} & {*after}
    assert trace_of(run) == trace
    run.traceparent = HEADER
    assert trace_of(run) == int(TRACE, 16)
