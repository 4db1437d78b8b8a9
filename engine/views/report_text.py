"""The report of a run for terminals: numbers, phases, slowest agents, and when each node ran.

Pure. Texts of users and agents are put on one line, without control characters and secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text.cut import cut
from engine.text.redaction import one_line
from engine.text.shown import clean
from engine.views.durations import took
from engine.views.headline import headline
from engine.views.money import dollars
from engine.views.status import failures
from engine.views.svg import short_time
from engine.views.timeline import SpanEnd, SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from engine.run.state import Run
    from engine.views.lanes import Block, Lane
    from engine.views.metrics import Metrics
    from engine.views.timeline import Row, Span, Timeline

COLUMNS = 80
"""Width of a line, if names and times leave room."""
CHART, SHORTEST_CHART = 48, 12
"""Longest and shortest time axis, in characters."""
MAX_NAME_LENGTH = 32
MAX_LINE_LENGTH = 160
LAST_LINES = 8
"""Lines of a failed attempt's last output."""
_FILL = {SpanKind.ATTEMPT: "█", SpanKind.WAIT: "·", SpanKind.UNDO: "▒"}


def text_report(run: Run, numbers: Metrics, chart: Timeline) -> str:
    """The report of *run*, from its *numbers* and its *chart*."""
    parts = [
        "\n".join(_summary(run, numbers, run.created_at + chart.total)),
        _table(
            ("Phase", "Time", "Agents", "At once", "Success"),
            [
                (
                    _cut(phase.name),
                    took(phase.duration) if phase.duration is not None else "-",
                    str(phase.agent_count),
                    str(phase.parallel_executions),
                    percent(phase.success_rate),
                )
                for phase in numbers.phases
            ],
        ),
        _table(
            ("Slowest agents", "Time", "Estimated", "Attempts"),
            [
                (_cut(agent.id), took(agent.duration), short_time(agent.estimate), str(agent.attempts))
                for agent in numbers.slowest
            ],
        ),
        "\n".join(_chart(chart)),
        "\n".join(_failures(run)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def percent(value: float | None) -> str:
    """`87%`; a dash if unknown. Nothing is rounded up to 100%."""
    return "-" if value is None else f"{int(round(value, 6))}%"


def _summary(run: Run, numbers: Metrics, now: datetime) -> Iterator[str]:
    yield headline(run, now, {})
    if run.message:
        yield f"   {one_line(run.message, limit=MAX_LINE_LENGTH)}"
    yield ""
    yield from (f"{name + ':':<24}{value}" for name, value in figures(numbers))


def figures(numbers: Metrics) -> list[tuple[str, str]]:
    """The single numbers of a run, each with its name."""
    work = f"{took(numbers.best)} at best, {took(numbers.work)} of work"
    found = [
        ("Total time", took(numbers.total)),
        ("Parallelism efficiency", f"{percent(numbers.parallelism_efficiency)} ({work})"),
        ("Context cache hit rate", percent(numbers.cache_hit_rate)),
        ("Retries", str(numbers.retries)),
        ("Lock waits", f"{numbers.lock_waits}, {took(numbers.lock_wait)} in total" if numbers.lock_waits else "none"),
    ]
    if numbers.undo:
        found.append(("Rolling back", took(numbers.undo)))
    if numbers.input_tokens is not None or numbers.output_tokens is not None:
        found.append(("Tokens", f"{numbers.input_tokens or 0:,} in, {numbers.output_tokens or 0:,} out"))
    if numbers.cost_usd is not None:
        found.append(("Cost", dollars(numbers.cost_usd)))
    return found


def _chart(chart: Timeline) -> Iterator[str]:
    width = max((min(len(row.node), MAX_NAME_LENGTH) for phase in chart.phases for row in phase.rows), default=0)
    times = max((len(_times(row)) for phase in chart.phases for row in phase.rows), default=0)
    deepest = max((phase.depth for phase in chart.phases), default=0)
    letters = max(SHORTEST_CHART, min(CHART, COLUMNS - 2 * deepest - len(" *   ") - width - times))
    yield f"Timeline, {took(chart.total)} (█ runs, · waits, ▒ rolls back, ✗ failed, * critical path)"
    for phase in chart.phases:
        yield f"{'  ' * phase.depth}{clean(phase.name)}"
        for row in phase.rows:
            mark = "*" if row.critical else " "
            bars = _bars(row.spans, chart.total, letters) if row.spans else _idle(row)
            name = _cut(row.node)
            yield f"{'  ' * phase.depth} {mark} {name:<{width}} {bars} {_times(row)}".rstrip()
        for lane in phase.lanes:
            name = _cut(f"+{lane.items} item{'s' if lane.items > 1 else ''}")
            yield f"{'  ' * phase.depth}   {name:<{width}} {_blocks(lane, chart.total, letters)}".rstrip()


def _times(row: Row) -> str:
    times = f"{took(row.duration)} of {short_time(row.estimate)} estimated" if row.start is not None else ""
    return f"{times}{_tries(row)}"


def _idle(row: Row) -> str:
    """The note on a node without attempts."""
    note = f": {one_line(row.note, limit=MAX_LINE_LENGTH)}" if row.note else ""
    return f"{row.status.value}{note}"


def _tries(row: Row) -> str:
    tries = sum(span.kind is SpanKind.ATTEMPT for span in row.spans)
    return f", {tries} attempts" if tries > 1 else ""


def _blocks(lane: Lane, total: timedelta, letters: int) -> str:
    line = [" "] * letters
    for block in lane.blocks:
        first, last = _place(block, total, letters)
        line[first:last] = _FILL[SpanKind.ATTEMPT] * (last - first)
        if block.failed:
            line[last - 1] = "✗"
    return "".join(line)


def _place(part: Span | Block, total: timedelta, letters: int) -> tuple[int, int]:
    """The first letter of *part*, and the one behind its last."""
    first = min(letters - 1, int(letters * (part.start / total))) if total else 0
    return first, max(first + 1, min(letters, round(letters * (part.end / total)))) if total else 1


def _bars(spans: Sequence[Span], total: timedelta, letters: int) -> str:
    line = [" "] * letters
    for span in spans:
        first, last = _place(span, total, letters)
        line[first:last] = _FILL[span.kind] * (last - first)
        if span.outcome in {SpanEnd.FAILED, SpanEnd.LOST}:
            line[last - 1] = "✗"
    return "".join(line)


def _failures(run: Run) -> Iterator[str]:
    lines = failures(run)
    if lines:
        yield "Failures"
    for line in lines:
        undone = " (rolled back)" if line.compensated else ""
        text = one_line(line.failure.message, limit=MAX_LINE_LENGTH)
        yield f"  {line.node or 'the run'}{undone}: {line.failure.code}: {text}"
        if line.failure.hint:
            yield f"    hint: {one_line(line.failure.hint, limit=MAX_LINE_LENGTH)}"
        if line.session:
            yield f"    transcript: claude --resume {line.session}"
        if line.failure.partial:
            yield "    last output:"
            yield from (f"      {text}" for text in last_lines(line.failure.partial))


def last_lines(text: str) -> list[str]:
    """The last lines of an attempt's output, safe for a terminal."""
    lines = [one_line(part, limit=MAX_LINE_LENGTH) for part in text.splitlines() if part.strip()]
    return lines[-LAST_LINES:]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, the first left-aligned and the others right-aligned; empty without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            [f"{row[0]:<{widths[0]}}"] + [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in (heads, *rows)
    )


def _cut(text: str) -> str:
    return cut(clean(text), MAX_NAME_LENGTH)
