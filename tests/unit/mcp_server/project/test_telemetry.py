from __future__ import annotations

import pytest

from mcp_server.project.telemetry import wanted

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
THERE = {ENDPOINT: "http://collector:4318"}


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        pytest.param({}, False, False, id="nothing is set"),
        pytest.param({ENDPOINT: " "}, False, False, id="empty is as unset"),
        pytest.param(THERE, True, True, id="an endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True, False, id="an endpoint for traces"),
        pytest.param({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, False, True, id="an endpoint for metrics"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, True, False, id="an exporter, at the standard address"),
        pytest.param({**THERE, "OTEL_METRICS_EXPORTER": "none"}, True, False, id="one of them is switched off"),
        pytest.param({**THERE, "OTEL_SDK_DISABLED": "TRUE"}, False, False, id="all is switched off"),
        pytest.param({**THERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True, True, id="our protocol"),
    ],
)
def test_the_standard_variables_say_what_is_exported(variables: dict[str, str], *, traces: bool, metrics: bool) -> None:
    asked = wanted(variables)
    assert (asked.traces, asked.metrics, bool(asked), asked.notes) == (traces, metrics, traces or metrics, ())


def test_what_would_write_to_stdout_is_refused_with_a_note() -> None:
    asked = wanted({**THERE, "OTEL_TRACES_EXPORTER": "console"})
    assert (asked.traces, asked.metrics) == (False, True)
    [note] = asked.notes
    assert note.startswith('OTEL_TRACES_EXPORTER is "console", and only otlp is exported')


def test_another_protocol_is_named_once_and_the_narrower_variable_counts() -> None:
    asked = wanted({**THERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert not asked
    [note] = asked.notes
    assert note.startswith('OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"')
    narrow = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    asked = wanted({**THERE, **narrow})
    assert (asked.traces, asked.metrics) == (True, False)
