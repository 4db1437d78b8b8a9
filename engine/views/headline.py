"""A run in one line: state, time, progress, failures and cost.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scheduling.budget import overspent
from engine.text.shown import clean
from engine.views.durations import about, took
from engine.views.marks import MARKS
from engine.views.money import dollars
from engine.views.outlook import remaining
from engine.views.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.run.state import Run


def headline(run: Run, now: datetime, learned: Mapping[str, float]) -> str:
    """`⚠️ /analyze-api degraded in 19.8 min · 6/6 · 1 failed · $0.42 · run r-…`; *learned* are seconds by node."""
    counted = progress(run)
    state = run.status.value.replace("_", " ")
    elapsed = took(run.lived(run.created_at, run.ended_at or now))
    left = None if run.ended else remaining(run, now, learned)
    parts = [
        f"{MARKS[run.status]} {clean(run.plan.command)} {state} {'in' if run.ended else 'for'} {elapsed}",
        f"{counted.done}/{counted.total}",
        f"{len(run.failures)} failed" if run.failures else "",
        f"{about(left)} left" if left else "",
        overspent(run) or (dollars(run.cost_usd) if run.cost_usd else ""),
        "simulated" if run.executor == "simulate" else "",
        f"run {run.id}",
    ]
    return " · ".join(part for part in parts if part)
