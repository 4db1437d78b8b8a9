"""Exports the traces and metrics of runs over OTLP, with the SDK of OpenTelemetry.

Effects: two threads of the SDK, which send to the address that the standard variables name. Loaded only where those ask
for it (`telemetry.py`).

What is exported is decided by pure projections (`engine/telemetry`); spans go straight to the SDK's processor, since
its tracer has no way to make a span with a given id. The event loop only fills a bounded queue: a collector that is
slow or away costs spans, never time, and at the end of the process at most `PATIENCE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests
from msgspec import structs
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import metric_exporter, trace_exporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from engine.executors.port import starts_later
from engine.ids import parse_attempt_id
from engine.telemetry.ids import attempt_span, caller_of, header_of, trace_of
from engine.telemetry.measures import INSTRUMENTS, Measures
from engine.telemetry.spans import ended_spans
from mcp_server.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.executors.port import Executor, Heartbeat, Outcome, WorkOrder
    from engine.ids import RunId
    from engine.model.agent import Agent
    from engine.run.events import Event as RunEvent
    from engine.run.state import Run
    from engine.service import Engine
    from engine.telemetry.spans import Span
    from mcp_server.project.telemetry import Wanted

SERVICE = "orchestration-mcp"
PATIENCE_SECONDS = 2.0
"""How long the end of the process waits for the last export."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCOPE = InstrumentationScope(SERVICE, version())
_UNSET = Status(StatusCode.UNSET)

log = logging.getLogger(__name__)
_exporting = threading.local()


class Telemetry:
    """A listener of the runs of one engine, which exports."""

    def __init__(self, wants: Wanted) -> None:
        """Set up the exporters as the environment says."""
        _silence()
        resource = _resource()
        self._once = once = _Once()
        self._runs: dict[RunId, bool] = {}
        """Whether a run is traced."""
        self._resource = resource
        self._sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler
        self._spans = BatchSpanProcessor(_Spans(once)) if wants.traces else None
        self._meters = _meters(resource, once) if wants.metrics else None
        self._measures = Measures()
        self._record = _recorders(self._meters) if self._meters is not None else {}

    def attach(self, engine: Engine) -> None:
        """Listen to the runs of *engine*, and give its agents the ids of their spans."""
        engine.live_runs.listeners.append(self.committed)
        if self._spans is not None:
            header = os.environ.get("TRACEPARENT", "")
            engine.traceparent = header if caller_of(header) is not None else ""
            for kind, executor in list(engine.executors.items()):
                engine.executors[kind] = _Traced(executor, lambda order: self._header(engine, order))

    def committed(self, run: Run, events: Sequence[RunEvent]) -> None:
        """Export what *events* have ended."""
        if run.executor == "simulate":
            return
        if self._meters is not None:
            for one in self._measures.of(run, events):
                self._record[one.name](one.value, one.attributes)
        if self._spans is not None and self._is_traced(run):
            for span in ended_spans(run, events):
                self._spans.on_end(self._readable(span))
        if run.ended:
            self._runs.pop(run.id, None)

    async def close(self) -> None:
        """Export the rest, or give up after `PATIENCE_SECONDS`."""
        ends = [one.shutdown for one in (self._spans, self._meters) if one is not None]
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            threads = [threading.Thread(target=_quietly, args=[one], daemon=True) for one in ends]
            for thread in threads:
                thread.start()
            until = time.monotonic() + PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            if any(thread.is_alive() for thread in threads):
                self._once.say("the last traces and metrics")
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=end, daemon=True).start()  # not in a pool, whose threads the end of Python waits for
        await done.wait()

    def _is_traced(self, run: Run) -> bool:
        traced = self._runs.get(run.id)
        if traced is None:
            number, caller = trace_of(run), caller_of(run.traceparent)
            around = None
            if caller is not None:
                context = SpanContext(number, caller.span, is_remote=True, trace_flags=TraceFlags(caller.sampled))
                around = trace.set_span_in_context(NonRecordingSpan(context))
            sampled = self._sampler.should_sample(around, number, f"invoke_workflow {run.plan.command}")
            traced = self._runs[run.id] = sampled.decision is Decision.RECORD_AND_SAMPLE
        return traced

    def _header(self, engine: Engine, order: WorkOrder) -> str:
        run, parsed = engine.live_runs.runs.get(order.run), parse_attempt_id(order.attempt)
        if run is None or parsed is None:
            return ""
        return header_of(trace_of(run), attempt_span(*parsed), sampled=self._is_traced(run))

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = span.trace
        return ReadableSpan(
            name=span.name,
            context=_context(trace_id, span.id),
            parent=None if span.parent is None else _context(trace_id, span.parent),
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(name, timestamp=_nanoseconds(at)) for name, at in span.moments],
            links=[Link(_context(trace_id, one.span), {"orchestration.link": one.why}) for one in span.links],
            kind=SpanKind.CLIENT if span.calls else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.message or None) if span.failed else _UNSET,
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
            instrumentation_scope=_SCOPE,
        )


class _Traced:
    """An executor whose orders carry the span of their attempt."""

    def __init__(self, inner: Executor, header: Callable[[WorkOrder], str]) -> None:
        self._inner = inner
        self._header = header

    def queues(self, agent: Agent) -> bool:
        return starts_later(self._inner, agent)

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        return await self._inner.execute(structs.replace(order, traceparent=self._header(order)), heartbeat)


class _Once:
    """Says once that nothing arrives."""

    def __init__(self) -> None:
        self._said = False

    def say(self, what: str) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "%s cannot be exported; runs go on without. Check OTEL_EXPORTER_OTLP_ENDPOINT and the collector.", what
            )


class _Spans(trace_exporter.OTLPSpanExporter):
    """The exporter of spans, which says of a failure only that, and once."""

    def __init__(self, once: _Once) -> None:
        super().__init__(session=_session())
        self._once = once

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        _exporting.on = True
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._once.say("traces")
        return result


class _Metrics(metric_exporter.OTLPMetricExporter):
    """The exporter of metrics, likewise."""

    def __init__(self, once: _Once) -> None:
        super().__init__(session=_session())
        self._once = once

    def export(self, *args: Any, **options: Any) -> MetricExportResult:  # noqa: ANN401 - the SDK's
        _exporting.on = True
        result = super().export(*args, **options)
        if result is not MetricExportResult.SUCCESS:
            self._once.say("metrics")
        return result


def _session() -> requests.Session | None:
    """The sender of requests; None if a variable names a session, which the SDK then loads.

    A redirect is an error for it: the SDK would neither follow it nor say that nothing arrives.
    """
    if any(name.endswith("_CREDENTIAL_PROVIDER") for name in os.environ):
        return None
    session = requests.Session()
    session.hooks["response"].append(_refuse_redirect)
    return session


def _refuse_redirect(response: requests.Response, *_args: object, **_options: object) -> None:
    if 300 <= response.status_code < 400:  # noqa: PLR2004 - the numbers of HTTP
        response.close()
        raise requests.RequestException(f"redirected: {response.status_code}")


def _silence() -> None:
    """Keep the SDK from logging each failed attempt to export in the threads that export for us."""
    for module in (trace_exporter, metric_exporter):
        module._logger.addFilter(_is_of_others)  # noqa: SLF001 - the logger has the module's name


def _is_of_others(_record: logging.LogRecord) -> bool:
    return not getattr(_exporting, "on", False)


def _quietly(shut_down: Callable[[], None]) -> None:
    _exporting.on = True
    shut_down()


def _resource() -> Resource:
    """The program that runs here; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence."""
    ours = {"service.name": SERVICE, "service.version": version(), "service.instance.id": str(uuid.uuid4())}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def _meters(resource: Resource, once: _Once) -> MeterProvider:
    return MeterProvider([PeriodicExportingMetricReader(_Metrics(once))], resource, shutdown_on_exit=False)


def _recorders(meters: MeterProvider) -> dict[str, Callable[..., None]]:
    meter = meters.get_meter(SERVICE, version())
    made: dict[str, Callable[..., None]] = {}
    for name, unit, description, _by, buckets in INSTRUMENTS:
        if buckets:
            made[name] = meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=buckets
            ).record
        else:
            made[name] = meter.create_counter(name, unit, description).add
    return made


def _context(trace_id: int, span: int) -> SpanContext:
    return SpanContext(trace_id, span, is_remote=False, trace_flags=_SAMPLED)


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000


_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
