"""A collector for tests: what it is sent over OTLP (http/protobuf), as plain data.

Effects: listens on a port of this machine, in a thread.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ERROR = 2
"""The status code of a span that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span as it arrived; ids in hex."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    """Both in nanoseconds of the epoch."""
    attributes: dict[str, Any]
    failed: bool
    message: str
    kind: int
    links: list[tuple[str, str]]
    """The linked span, and why."""
    moments: list[str]
    service: str

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


@dataclass(slots=True)
class Collector:
    """What has arrived."""

    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    points: dict[tuple[object, ...], tuple[str, dict[str, Any], float, int]] = field(default_factory=dict)
    """The newest point of each series of each process: metric, attributes, sum, count."""
    resources: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    holds: threading.Event = field(default_factory=threading.Event)
    """Cleared, it answers nothing until it is set."""
    status: int = 200

    @property
    def environment(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Seen:
        [found] = self.named(name)
        return found

    def total(self, metric: str, **wanted: str) -> float:
        """The sum of all points of *metric* with the *wanted* attributes, `__` for a dot."""
        keys = {key.replace("__", "."): value for key, value in wanted.items()}
        return sum(
            value
            for name, attributes, value, _count in self.points.values()
            if name == metric and keys.items() <= attributes.items()
        )

    def series(self, metric: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes, _value, _count in self.points.values() if name == metric]

    def take_spans(self, data: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(data)
        for group in request.resource_spans:
            resource = _values(group.resource.attributes)
            self.resources.append(resource)
            for scope in group.scope_spans:
                self.spans += [_seen(span, resource["service.name"]) for span in scope.spans]

    def take_metrics(self, data: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(data)
        for group in request.resource_metrics:
            resource = _values(group.resource.attributes)
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.histogram.data_points:
                        self._take(resource, metric.name, point, point.sum, point.count)
                    for number in metric.sum.data_points:
                        self._take(resource, metric.name, number, number.as_double or number.as_int, 1)

    def _take(
        self, resource: dict[str, Any], name: str, point: NumberDataPoint | HistogramDataPoint, value: float, count: int
    ) -> None:
        attributes = _values(point.attributes)
        key = (resource.get("service.instance.id"), name, *sorted(attributes.items()))
        self.points[key] = (name, attributes, value, count)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens for the length of the block."""
    collector = Collector()
    collector.holds.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            collector.requests += 1
            collector.holds.wait(60)
            if collector.status == 200:
                (collector.take_spans if self.path == "/v1/traces" else collector.take_metrics)(data)
            with contextlib.suppress(OSError):  # whoever sent it may have gone
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.holds.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _seen(span: Span, service: str) -> Seen:
    return Seen(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        failed=span.status.code == ERROR,
        message=span.status.message,
        kind=span.kind,
        links=[(link.span_id.hex(), _values(link.attributes).get("orchestration.link", "")) for link in span.links],
        moments=[event.name for event in span.events],
        service=service,
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in attributes}
