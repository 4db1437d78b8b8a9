#!/usr/bin/env bash
# The OTLP exporter for HTTP of opentelemetry 1.45.2 takes a redirect, which it does not follow, for a success.
#
# Expected: a collector that answers with 308, such as a proxy that sends http on to https, gets the spans at the other
# address, as from 1.44.0; or the export fails, as with 404, and the exporter logs that.
# Seen: nothing arrives, nothing is logged and the export is a success, as with every status below 400. From the update
# on, spans and metrics are lost without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.44.0 1.45.2; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
        "opentelemetry-exporter-otlp-proto-http==$version" "requests==2.34.2"
done
cat >"$folder/export.py" <<'PYTHON'
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

arrived = []
logged = []


class Collector(BaseHTTPRequestHandler):
    """Takes spans at /new, and answers elsewhere with the status that the path names."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 200 if self.path == "/new" else int(self.path[1:])
        if status == 200:
            arrived.append(b"a span" in body)
        self.send_response(status)
        self.send_header("Location", "/new")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class Heard(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logged.append(record.getMessage())


logging.getLogger("opentelemetry").addHandler(Heard(logging.WARNING))
server = HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
for status in (200, 308, 404):
    arrived.clear()
    logged.clear()
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{server.server_port}/{status}")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("demo").start_as_current_span("a span"):
        pass
    print(f"{status}: {sum(arrived)} arrived, {'logged' if logged else 'nothing logged'}", end="; ")
    provider.shutdown()
PYTHON
before=$("$folder/1.44.0/bin/python" "$folder/export.py")
seen=$("$folder/1.45.2/bin/python" "$folder/export.py")
echo "expected: $before"
echo "seen:     $seen"
test "$before" = "200: 1 arrived, nothing logged; 308: 1 arrived, nothing logged; 404: 0 arrived, logged; " &&
    test "$seen" = "200: 1 arrived, nothing logged; 308: 0 arrived, nothing logged; 404: 0 arrived, logged; "
