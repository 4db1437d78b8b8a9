"""The forecast of a run: its agents, its time, and its cost if earlier runs of the command reported one.

Pure. `project.py` reads the times and costs of earlier runs.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

from engine.graph import as_learned, most_attempts, predict
from engine.model.plan import NodeKind
from engine.run.events import RunStatus
from engine.views.durations import rounded
from engine.views.money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from engine.model.plan import Plan
    from engine.storage.port import RunSummary

COSTS_KEPT = 10
"""Number of the newest runs of a command that its cost is based on."""
WHOLE = frozenset({RunStatus.COMPLETED, RunStatus.DEGRADED})
"""The ends of a run that did all of its work."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The estimated time and cost of a run."""

    plan: Plan
    """With the times of earlier runs, where known."""
    agents: int
    """Nodes that agents run; skip conditions may leave some out."""
    sequential: timedelta
    """One agent after the other."""
    expected: timedelta
    """With as many agents at once as the run allows."""
    cost_usd: float | None
    """The median of earlier runs; None if none reported a cost."""
    cost_runs: int
    """Number of runs that the cost is based on."""
    most: int | None = None
    """The most attempts, if lists or loops decide about their number."""


def forecast_of(
    plan: Plan, *, learned: Mapping[str, float], costs: Sequence[float], max_parallelism: int | None
) -> Forecast:
    """The forecast for *plan*; *learned* are seconds by node, which replace the file's estimates."""
    plan = as_learned(plan, learned)
    return Forecast(
        plan=plan,
        agents=sum(node.kind is NodeKind.AGENT or node.template is not None for node in plan.nodes),
        sequential=plan.sequential_time,
        expected=predict(plan, max_parallelism=max_parallelism).total,
        cost_usd=median(costs) if costs else None,
        cost_runs=len(costs),
        most=most_attempts(plan) if any(node.template is not None for node in plan.nodes) else None,
    )


def in_words(found: Forecast) -> str:
    """`4 agents, about 20 min, about $2.40 (3 earlier runs)`; without the cost if no run reported one."""
    parts = [f"{found.agents} agent{'s' if found.agents != 1 else ''}", f"about {rounded(found.expected)}"]
    if found.most is not None:
        parts.append(f"at most {found.most:,} attempts")
    if found.cost_usd is not None:
        runs = f"{found.cost_runs} earlier run{'s' if found.cost_runs != 1 else ''}"
        parts.append(f"about {dollars(found.cost_usd)} ({runs})")
    return ", ".join(parts)


def costs_of(rows: Iterable[RunSummary], command: str) -> list[float]:
    """The costs of the newest whole runs of *command* that have one; *rows* are newest first."""
    found = [
        row.cost_usd
        for row in rows
        if row.command == command and row.status in WHOLE and row.executor != "simulate" and row.cost_usd
    ]
    return found[:COSTS_KEPT]
