"""The exporter, in this process, with a collector beside it."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.ours import WORKER, engine_at, run_to_end
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome
from engine.model.policy import Failure, FailureKind, Usage
from engine.views.metrics import metrics
from mcp_server.project.attached import attach
from mcp_server.project.otel import Telemetry
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import NotifySettings, load_settings
from mcp_server.project.telemetry import Wanted
from mcp_server.project.trusted import open_trust
from tests.support.definitions import command, node, phase, plan
from tests.support.otlp import collecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.executors.port import WorkOrder
    from engine.run.state import Run
    from tests.support.otlp import Collector

RETRY = {"maxAttempts": 1, "strategy": "immediate", "initialDelay": 0}
BOTH = Wanted(traces=True, metrics=True)


async def work(order: WorkOrder) -> Outcome:
    """The first attempt of `flaky` fails, `last` always; everything costs something."""
    usage = Usage(cost_usd=0.125, input_tokens=100, output_tokens=7)
    if order.node == "last" or order.attempt.endswith("flaky#1"):
        return Outcome(failure=Failure(FailureKind.ERROR, "BROKEN", "password=hunter22 is wrong"), usage=usage)
    return Outcome(usage=usage)


SAGA = plan(
    command(
        phase(
            "work",
            node("steady", compensation={"type": "rollback", "task": "undo"}),
            node("flaky", retryPolicy=RETRY),
            node("asked", skipCondition={"type": "context", "expression": "1 == 1"}),
        ),
        phase("end", node("last")),
    ),
    agents=(WORKER,),
)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=ours,deployment.environment=test")
        yield found


async def exported(wants: Wanted = BOTH) -> Run:
    """A run that is exported to its end."""
    engine = engine_at(None, InlineExecutor({WORKER.id: work}))
    async with engine.serving():
        telemetry = Telemetry(wants)
        telemetry.attach(engine)
        run_id = await run_to_end(engine, SAGA)
        await telemetry.close()
        return (await engine.view(run_id)).run


async def test_all_spans_and_metrics_arrive_and_are_those_of_the_report(collector: Collector) -> None:
    run = await exported()
    numbers = metrics(run, run.ended_at or run.created_at)
    whole = collector.one("invoke_workflow /test")
    assert whole.attributes["orchestration.cost.usd"] == numbers.cost_usd == 0.625
    assert collector.total("orchestration.cost") == numbers.cost_usd
    assert whole.attributes["gen_ai.usage.input_tokens"] == numbers.input_tokens == 500
    assert collector.total("gen_ai.client.token.usage", **{"gen_ai.token.type": "input"}) == numbers.input_tokens
    work_ = collector.total("orchestration.attempt.duration", **{"orchestration.attempt.role": "forward"})
    assert work_ == pytest.approx(numbers.work.total_seconds())
    assert collector.one("undo worker").links[0][1] == "undoes"
    assert len(collector.spans) == 5 + 4 + 2 + 1
    assert {span.service for span in collector.spans} == {"ours"}
    assert collector.resources[0]["deployment.environment"] == "test"
    assert "hunter22" not in str(collector.spans)


async def test_one_signal_can_be_exported_alone(collector: Collector) -> None:
    await exported(Wanted(traces=False, metrics=True))
    assert (collector.spans, collector.total("orchestration.cost")) == ([], 0.625)
    collector.points.clear()
    await exported(Wanted(traces=True, metrics=False))
    assert (len(collector.spans), collector.points) == (12, {})


async def test_a_sampler_of_the_variables_leaves_whole_traces_out(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    await exported()
    assert (collector.spans, collector.total("orchestration.cost")) == ([], 0.625)


async def test_a_run_ends_while_the_collector_takes_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.project.otel.PATIENCE_SECONDS", 0.2)
    collector.holds.clear()
    run = await exported()
    assert run.ended
    assert not collector.holds.is_set()
    assert collector.spans == []
    assert [record.message.partition(";")[0] for record in caplog.records if record.name.endswith("otel")] == [
        "the last traces and metrics cannot be exported"
    ]


@pytest.mark.parametrize("status", [400, 308], ids=["refuses", "redirects"])
async def test_a_collector_that_takes_nothing_is_named_once(
    collector: Collector, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    collector.status = status
    await exported()
    assert len([record for record in caplog.records if "cannot be exported" in record.message]) == 1
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


@pytest.mark.parametrize(
    ("blocked", "variables", "said"),
    [
        (["opentelemetry", "mcp_server.project.otel"], {}, 'They come with the extra "otel"'),
        ([], {"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "a variable of OpenTelemetry is not valid"),
        (
            [],
            {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "absent"},
            "a variable of OpenTelemetry is not valid",
        ),
        ([], {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}, "only otlp is exported"),
    ],
    ids=["not installed", "not valid", "no such session", "console"],
)
async def test_what_cannot_be_done_is_said_and_runs_go_on(
    tmp_path: Path,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    blocked: list[str],
    variables: dict[str, str],
    said: str,
) -> None:
    for name in blocked:
        monkeypatch.setitem(sys.modules, name, None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.WARNING)
    settings = load_settings(tmp_path)
    trust = open_trust(open_catalog(tmp_path, settings, home=tmp_path), settings, home=tmp_path)
    engine = engine_at(None, InlineExecutor({WORKER.id: work}))
    async with contextlib.AsyncExitStack() as last, engine.serving():
        await attach(engine, settings, trust, NotifySettings(), last)
        await run_to_end(engine, SAGA)
    assert said in caplog.text
    assert collector.spans == []
