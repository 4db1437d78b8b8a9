"""Whether the variables of OpenTelemetry ask for traces and metrics, and what they ask for that is not done here.

Pure. Nothing of OpenTelemetry is loaded to decide this; `otel.py` loads it where the answer is yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TRACES, METRICS = "TRACES", "METRICS"
PROTOCOL = "http/protobuf"


class Wanted(NamedTuple):
    """The signals to export."""

    traces: bool
    metrics: bool
    notes: tuple[str, ...] = ()
    """Wishes of the variables that are not met, a sentence each."""

    def __bool__(self) -> bool:
        """Whether anything is exported."""
        return self.traces or self.metrics


def wanted(environ: Mapping[str, str]) -> Wanted:
    """The wishes of *environ*: nothing, unless an endpoint or an exporter is named; an empty variable is as none."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Wanted(traces=False, metrics=False)
    traces, metrics = (_names_exporter(environ, signal) for signal in (TRACES, METRICS))
    notes = dict.fromkeys(
        note for asked in ((TRACES, traces), (METRICS, metrics)) for note in _refused(environ, *asked)
    )
    return Wanted(
        traces=traces and not any(_refused(environ, TRACES, traces)),
        metrics=metrics and not any(_refused(environ, METRICS, metrics)),
        notes=tuple(notes),
    )


def _names_exporter(environ: Mapping[str, str], signal: str) -> bool:
    named = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if named:
        return named != "none"
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in (f"{signal}_", ""))


def _refused(environ: Mapping[str, str], signal: str, asked: bool) -> Iterator[str]:  # noqa: FBT001 - a row of a table
    """The reasons against the exporter that is asked for."""
    if not asked:
        return
    exporter = environ.get(f"OTEL_{signal}_EXPORTER", "").strip() or "otlp"
    if exporter != "otlp":
        yield f'OTEL_{signal}_EXPORTER is "{exporter}", and only otlp is exported: stdout belongs to the answers'
        return
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip()
        if protocol:
            if protocol != PROTOCOL:
                yield f'{name} is "{protocol}", and only {PROTOCOL} is spoken here: send to the port for it, often 4318'
            return
