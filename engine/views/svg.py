"""A plan as a picture: time runs to the right, phases are bands, and the critical path stands out.

Pure. The SVG is written as text, without a library; every text in it is escaped, it runs no script and loads nothing.
"""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

import msgspec

from engine.model.plan import NodeKind
from engine.text.cut import cut
from engine.text.shown import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.graph import Timeline
    from engine.ids import NodeId
    from engine.model.plan import NodePlan, PhasePlan, Plan

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CHART = 860
"""Width of the time axis in pixels."""
MARGIN = 16
HEAD = 64
BAND = 26
ROW = 26
BAR = 18
INDENT = 14
LETTER = 7.2
"""Width of a narrow letter in pixels, bold included."""
MAX_LABEL_LENGTH = 60
TICKS = 6
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between two ticks of the axis."""

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1c2733}.t{font-size:16px;font-weight:600}.s{fill:#566472}"
    ".p{font-weight:600}.band{fill:#eef2f6}.band.inner{fill:#dfe7ef}.g{stroke:#d6dde4}"
    ".bar{fill:#9cc2e5;stroke:#4a7fb0}.group{fill:none;stroke:#4a7fb0;stroke-dasharray:4 3}"
    ".c .bar{fill:#f4a259;stroke:#b4530a;stroke-width:2}.c text{font-weight:600}"
    ".e{fill:none;stroke:#7b8b9a;stroke-width:1;opacity:.55}.e.c{stroke:#b4530a;stroke-width:2;opacity:1}"
)

ARROW = (
    '<defs><marker id="a" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" '
    'markerUnits="userSpaceOnUse" orient="auto">'
    '<path d="M0 0L6 3L0 6z" fill="#7b8b9a"/></marker></defs>'
)


def svg(plan: Plan, timeline: Timeline) -> str:
    """*plan* as an SVG document; *timeline* places the bars."""
    sheet = _Sheet(plan, timeline)
    body = [*sheet.phases(), *sheet.edges(), *sheet.bars()]
    height = sheet.y + MARGIN
    width = round(sheet.right + MARGIN)
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}" role="img">',
        f"<style>{STYLE}</style>",
        ARROW,
        f'<rect {size} fill="#fff"/>',
        f'<text class="t" x="{MARGIN}" y="24">{_text(plan.command)}</text>',
        f'<text class="s" x="{MARGIN}" y="42">{_text(saving(plan, timeline))}</text>',
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def saving(plan: Plan, timeline: Timeline) -> str:
    """Sequential, critical and predicted time in one line."""
    sequential, critical = plan.sequential_time, plan.critical_path_time
    percent = round(100 * (sequential - critical) / sequential) if sequential else 0
    count = sum(node.kind is NodeKind.AGENT or node.template is not None for node in plan.nodes)
    text = (
        f"{count} node{'s' if count != 1 else ''}: {short_time(sequential)} in sequence, "
        f"{short_time(critical)} at best ({percent}% faster)"
    )
    return text if timeline.total == critical else f"{text}, {short_time(timeline.total)} with the limits of the phases"


def short_time(time: timedelta) -> str:
    """`45 s`, `20 min`, `1 h 35 min`; tenths where they matter."""
    seconds = time / timedelta(seconds=1)
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.3g} s"
    minutes = time / MINUTE
    if time < HOUR:
        return f"{minutes:.3g} min"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _text(text: str) -> str:
    return escape(clean(text))


def _width(text: str) -> float:
    return LETTER * sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str) -> str:
    return cut(text, MAX_LABEL_LENGTH)


class _Place(msgspec.Struct, frozen=True):
    """The position of a node's bar."""

    left: float
    right: float
    middle: float


class _Sheet:
    """The parts of the picture, and its extent."""

    def __init__(self, plan: Plan, timeline: Timeline) -> None:
        self.plan = plan
        self.timeline = timeline
        self.by_id = {node.id: node for node in plan.nodes}
        self.critical = frozenset(plan.critical_path)
        self.steps = set(zip(plan.critical_path, plan.critical_path[1:], strict=False))
        self.places: dict[NodeId, _Place] = {}
        self.y = HEAD
        self.right = float(MARGIN + CHART + 2 * MARGIN)
        self.scale = CHART / max(timeline.total / timedelta(seconds=1), 0.001)
        self._lay_out()

    def _lay_out(self) -> None:
        self.bands: list[tuple[PhasePlan, int, int, int]] = []
        """Phase, depth, top and bottom."""
        for phase in self.plan.phases:
            if phase.group is None:
                self._lay_out_phase(phase, 0)
        for node in self.plan.nodes:
            place = self.places[node.id]
            self.right = max(self.right, self._label_at(node)[0] + _width(self._label(node)), place.right)

    def _lay_out_phase(self, phase: PhasePlan, depth: int) -> None:
        at = len(self.bands)
        top = self.y
        self.bands.append((phase, depth, top, top))
        self.y += BAND
        for name in phase.nodes:
            node = self.by_id[name]
            span = self.timeline.spans[name]
            left, right = self._x(span.start), self._x(span.end)
            self.places[name] = _Place(left + 1, max(right - 1, left + 4), self.y + ROW / 2)
            self.y += ROW
            for inner in node.inner:
                self._lay_out_phase(self.plan.phases[inner], depth + 1)
        self.bands[at] = (phase, depth, top, self.y)
        self.y += 6

    def _x(self, time: timedelta) -> float:
        return MARGIN + time / timedelta(seconds=1) * self.scale

    def _label(self, node: NodePlan) -> str:
        own = node.id.rpartition("/")[2]
        times = f" \u00d7{node.each.estimated}" if node.each is not None else " ↻" if node.loop is not None else ""
        return f"{_cut(own)}{times} · {short_time(node.estimate)}"

    def _label_at(self, node: NodePlan) -> tuple[float, bool]:
        """The start of a node's label, and whether it is inside the bar."""
        place = self.places[node.id]
        inside = _width(self._label(node)) + 12 <= place.right - place.left
        return (place.left + 6, True) if inside else (place.right + 6, False)

    def phases(self) -> Iterator[str]:
        for _, depth, top, bottom in self.bands:
            inset = depth * INDENT
            kind = "band inner" if depth else "band"
            width = self.right + MARGIN / 2 - 2 * inset
            yield (
                f'<rect class="{kind}" x="{MARGIN / 2 + inset}" y="{top}" width="{width:.1f}" '
                f'height="{bottom - top}" rx="4"/>'
            )
        yield from self._axis()
        for phase, depth, top, _ in self.bands:
            title = f"{_cut(clean(phase.name))}{_limit(phase)}"
            yield f'<text class="p" x="{MARGIN + depth * INDENT}" y="{top + 17}">{_text(title)}</text>'

    def _axis(self) -> Iterator[str]:
        total = self.timeline.total / timedelta(seconds=1)
        step = next((step for step in STEPS if total / step <= TICKS), None) or -(-total // TICKS)
        for number in range(int(total // step) + 1):
            x = self._x(timedelta(seconds=number * step))
            yield f'<line class="g" x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{self.y}"/>'
            label = short_time(timedelta(seconds=number * step)) if number else "0"
            yield f'<text class="s" x="{x:.1f}" y="{HEAD - 6}" text-anchor="middle">{label}</text>'

    def edges(self) -> Iterator[str]:
        """Dependencies as arrows from the end of one bar, down or up, into the next."""
        strong = []
        for node in self.plan.nodes:
            to = self.places[node.id]
            for name in node.depends_on:
                source = self.places[name]
                x = source.right - min(6.0, (source.right - source.left) / 2)
                y = source.middle + (BAR / 2 if to.middle > source.middle else -BAR / 2)
                path = f'd="M{x:.1f} {y:.1f}V{to.middle:.1f}H{to.left:.1f}" marker-end="url(#a)"/>'
                if (name, node.id) in self.steps:
                    strong.append(f'<path class="e c" {path}')
                else:
                    yield f'<path class="e" {path}'
        yield from strong

    def _stack(self, node: NodePlan) -> str:
        """Further cards behind the bar of a node that stands for many."""
        place = self.places[node.id]
        return "".join(
            f'<rect class="bar" x="{place.left + by:.1f}" y="{place.middle - BAR / 2 - by:.1f}" '
            f'width="{place.right - place.left:.1f}" height="{BAR}" rx="3"/>'
            for by in ((4, 2) if node.each is not None else ())
        )

    def bars(self) -> Iterator[str]:
        for node in self.plan.nodes:
            place = self.places[node.id]
            group = bool(node.inner)
            kind = ' class="c"' if node.id in self.critical else ""
            x, _ = self._label_at(node)
            yield (
                f"<g{kind}><title>{_text(f'{node.id} ({node.doer}): {node.task[:500]}')}</title>{self._stack(node)}"
                f'<rect class="{"group" if group else "bar"}" x="{place.left:.1f}" y="{place.middle - BAR / 2:.1f}" '
                f'width="{place.right - place.left:.1f}" height="{BAR}" rx="3"/>'
                f'<text x="{x:.1f}" y="{place.middle + 4:.1f}">{_text(self._label(node))}</text></g>'
            )


def _limit(phase: PhasePlan) -> str:
    if phase.limit is None or len(phase.nodes) == 1:
        return ""
    return " (one at a time)" if phase.limit == 1 else f" (at most {phase.limit} at once)"
