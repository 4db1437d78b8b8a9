"""The report of a run as one page: numbers, the timeline with retries, waits and rollback, phases, slowest agents.

Pure. The page is self-contained and runs no script; every text in it is escaped, redacted and cut.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from engine.run.state import ZERO, NodeStatus
from engine.text.cut import cut
from engine.text.redaction import redact
from engine.text.shown import clean
from engine.views.durations import took
from engine.views.report_style import STYLE
from engine.views.report_text import figures, last_lines, percent
from engine.views.status import failures
from engine.views.svg import short_time
from engine.views.timeline import FREE_SLOT, SpanEnd, SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta

    from engine.run.state import Run
    from engine.views.lanes import Lane
    from engine.views.metrics import Metrics
    from engine.views.timeline import PhaseRows, Row, Span, Timeline

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Has the browser enforce, too, that the page loads and runs nothing."""
MAX_TEXT_LENGTH = 600
TICKS = 8
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between two ticks of the axis."""
MAX_DEPTH = 2
"""Levels of sub-commands with an indent of their own."""


def html_report(run: Run, numbers: Metrics, chart: Timeline) -> str:
    """The report of *run* as an HTML document, from its *numbers* and its *chart*."""
    title = f"{_text(numbers.command)} · {_text(numbers.run)}"
    body = [
        *_head(run, numbers),
        *_figures(numbers),
        *_failures(run),
        "<h2>Timeline</h2>",
        *_chart(chart),
        *_phases(numbers),
        *_slowest(numbers),
        FOOTER,
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(body) + "\n</main>\n"
        "</body>\n</html>\n"
    )


def _text(text: str, *, lines: bool = False) -> str:
    """*text* as HTML text or attribute; *lines* keeps its line breaks."""
    shown = cut(redact(text), MAX_TEXT_LENGTH)
    return "\n".join(escape(clean(part)) for part in shown.splitlines()) if lines else escape(clean(shown))


def _head(run: Run, numbers: Metrics) -> Iterator[str]:
    state = numbers.status.value
    yield f'<header><h1>{_text(numbers.command)}</h1><span class="badge {state}">{state.replace("_", " ")}</span>'
    if numbers.executor == "simulate":
        yield '<span class="badge simulated">simulated</span>'
    started = run.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    verb = "took" if run.ended else "so far"
    yield f"<p>Run {_text(numbers.run)} · started {started} · {verb} {took(numbers.total)}</p>"
    if run.message:
        yield f'<p class="message">{_text(run.message, lines=True)}</p>'
    yield "</header>"


def _figures(numbers: Metrics) -> Iterator[str]:
    yield "<dl>"
    for name, value in figures(numbers):
        main, _, rest = value.partition(" (") if value.endswith(")") else value.partition(", ")
        small = f"<small>{_text(rest.rstrip(')'))}</small>" if rest else ""
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(main)}{small}</dd></div>"
    yield "</dl>"


def _failures(run: Run) -> Iterator[str]:
    lines = failures(run)
    if lines:
        yield "<h2>Failures</h2>"
    for line in lines:
        failure = line.failure
        undone = " · rolled back" if line.compensated else ""
        what = line.node or "the run"
        advice = f'<p class="hint">{_text(failure.hint, lines=True)}</p>' if failure.hint else ""
        session = f'<p class="hint">claude --resume {_text(line.session)}</p>' if line.session else ""
        said = "".join(f"{escape(text)}\n" for text in last_lines(failure.partial or ""))
        yield (
            f'<div class="failure"><strong>{_text(what)}</strong> · {_text(failure.code)}{undone}'
            f"<p>{_text(failure.message, lines=True)}</p>{advice}{session}"
            f"{f'<pre>{said}</pre>' if said else ''}</div>"
        )


class _Scale:
    """Times as positions on the track, in percent."""

    def __init__(self, total: timedelta) -> None:
        self.total = total

    def at(self, time: timedelta) -> float:
        return min(100.0, 100 * (time / self.total)) if self.total else 0.0

    def box(self, start: timedelta, end: timedelta) -> str:
        left = self.at(start)
        return f'style="left:{left:.3f}%;width:{max(0.0, self.at(end) - left):.3f}%"'

    def ticks(self) -> list[tuple[float, str]]:
        seconds = self.total.total_seconds()
        step = next((step for step in STEPS if seconds / step <= TICKS), None) or -(-seconds // TICKS)
        count = int(seconds // step)
        marks = [(number, number * step) for number in range(count + 1)]
        return [(100 * at / seconds if seconds else 0.0, _moment(at) if number else "0") for number, at in marks]


def _moment(seconds: float) -> str:
    """The label of a tick: `0.5s`, `40s`, `20 min`, `1h30`."""
    if seconds < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:g}s"
    hours, minutes = divmod(round(seconds) // 60, 60)
    rest = round(seconds) % 60
    if not hours:
        return f"{minutes} min" if not rest else f"{minutes}:{rest:02}"
    return f"{hours} h" if not minutes else f"{hours}h{minutes:02}"


def _chart(chart: Timeline) -> Iterator[str]:
    scale = _Scale(chart.total)
    ticks = scale.ticks()
    grid = "".join(f'<i class="grid" style="left:{at:.3f}%"></i>' for at, _ in ticks)
    marks = "".join(f'<span style="left:{at:.3f}%">{label}</span>' for at, label in ticks if at < 97)  # noqa: PLR2004 - room for the label
    yield '<div class="chart">'
    yield f'<div class="axis"><div></div><div class="track">{marks}</div><div class="took">took / estimated</div></div>'
    for phase in chart.phases:
        depth = f" depth{min(phase.depth, MAX_DEPTH)}" if phase.depth else ""
        lasted = f'<div class="took"><small>{_lasted(phase)}</small></div>'
        yield f'<div class="phase{depth}"><div>{_text(phase.name)}</div>{lasted}</div>'
        for row in phase.rows:
            yield _row(row, scale, grid, depth)
        for lane in phase.lanes:
            yield _lane(lane, scale, grid, depth)
    yield "</div>"
    yield LEGEND


def _lasted(phase: PhaseRows) -> str:
    return took(phase.end - phase.start) if phase.start is not None and phase.end is not None else "not reached"


def _row(row: Row, scale: _Scale, grid: str, depth: str) -> str:
    kinds = "row" + (" critical" if row.critical else "") + (" group" if row.group else "") + depth
    bars = "".join(_bar(span, row, scale) for span in row.spans)
    if not row.spans:
        note = f": {row.note}" if row.note else ""
        bars = f'<span class="idle">{_text(row.status.value + note)}</span>'
    if row.start is not None:
        bars += f'<i class="est" {scale.box(row.start, row.start + row.estimate)}></i>'
    return (
        f'<div class="{kinds}"><div class="name" title="{_text(f"{row.node} ({row.doer})")}">{_text(_own(row.node))} '
        f"<small>{_text(row.doer)}</small></div>"
        f'<div class="track" role="img" aria-label="{_text(_spoken(row))}">{grid}{bars}</div>'
        f'<div class="took">{_took(row)}</div></div>'
    )


def _lane(lane: Lane, scale: _Scale, grid: str, depth: str) -> str:
    count = f"{lane.items} more item{'s' if lane.items > 1 else ''}"
    failed = sum(block.failed for block in lane.blocks)
    spoken = f"{count}, {failed} failed" if failed else count
    bars = "".join(
        f'<i class="bar {"run failed" if block.failed else "run"}" {scale.box(block.start, block.end)}></i>'
        for block in lane.blocks
    )
    return (
        f'<div class="row{depth}"><div class="name"><small>{count}</small></div>'
        f'<div class="track" role="img" aria-label="{_text(spoken)}">{grid}{bars}</div><div class="took"></div></div>'
    )


def _own(node: str) -> str:
    """A node's id without the ids of the sub-commands around it, which are shown above it."""
    return node.rpartition("/")[2]


def _bar(span: Span, row: Row, scale: _Scale) -> str:
    if span.kind is SpanKind.WAIT:
        kind, what = "wait slot" if span.note == FREE_SLOT else "wait", f"waiting for {span.note}"
    elif span.kind is SpanKind.UNDO:
        kind, what = "undo", "rolling back"
    else:
        kind, what = "run", f"attempt {span.attempt}" if len(row.spans) > 1 else "ran"
    if span.outcome in {SpanEnd.FAILED, SpanEnd.LOST, SpanEnd.OPEN}:
        kind += f" {span.outcome.value}"
    failed = f": {span.note}" if span.note and span.kind is not SpanKind.WAIT else ""
    title = f"{row.node}: {what}, {took(span.duration)} from {took(span.start)}{failed}"
    return f'<i class="bar {kind}" {scale.box(span.start, span.end)} title="{_text(title)}"></i>'


def _spoken(row: Row) -> str:
    return (
        f"{row.node}: {row.status.value.replace('_', ' ')}, {took(row.duration)}, estimated {short_time(row.estimate)}"
    )


def _took(row: Row) -> str:
    if row.start is None:
        return ""
    state = {NodeStatus.FAILED: "✗ ", NodeStatus.COMPENSATION_FAILED: "✗ ", NodeStatus.COMPENSATED: "↩ "}.get(
        row.status, ""
    )
    tries = sum(span.kind is SpanKind.ATTEMPT for span in row.spans)
    late = ' class="late"' if row.estimate > ZERO and row.duration > row.estimate else ""
    many = f" &times;{tries}" if tries > 1 else ""
    return f"<span{late}>{state}{took(row.duration)}{many}</span> <small>/ {short_time(row.estimate)}</small>"


def _phases(numbers: Metrics) -> Iterator[str]:
    rows = [
        (
            _text(phase.name),
            took(phase.duration) if phase.duration is not None else "-",
            str(phase.agent_count),
            str(phase.parallel_executions),
            percent(phase.success_rate),
        )
        for phase in numbers.phases
    ]
    yield from _table("Phases", ("Phase", "Time", "Agents", "At once", "Success"), rows)


def _slowest(numbers: Metrics) -> Iterator[str]:
    rows = [
        (
            f"{_text(agent.id)} <small>{_text(agent.agent)}</small>",
            took(agent.duration),
            short_time(agent.estimate),
            str(agent.attempts),
        )
        for agent in numbers.slowest
    ]
    yield from _table("Slowest agents", ("Agent", "Time", "Estimated", "Attempts"), rows)


def _table(title: str, heads: Iterable[str], rows: Sequence[Iterable[str]]) -> Iterator[str]:
    """A table of cells that are HTML already; empty without rows."""
    if rows:
        yield f'<h2>{title}</h2><div class="wide"><table><tr>{"".join(f"<th>{head}</th>" for head in heads)}</tr>'
        for row in rows:
            yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        yield "</table></div>"


FOOTER = (
    "<footer>Times count from the request for the run. Parallelism efficiency: the shortest possible time for this "
    "work as a percentage of the time it took.</footer>"
)
LEGEND = (
    '<ul class="legend"><li><i class="bar run"></i>attempt</li><li><i class="bar crit"></i>on the critical path</li>'
    '<li><i class="bar failed"></i>failed attempt</li><li><i class="bar wait"></i>wait</li>'
    '<li><i class="bar undo"></i>rolling back</li><li><i class="est"></i>estimate</li></ul>'
)
