"""What a run will probably take: its agents, its time, and its cost where earlier runs of the command told it.

Pure. Reading what earlier runs took is `project.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from engine.graph import predict
from engine.model.plan import NodeKind
from engine.run.events import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.plan import Plan
    from engine.storage.port import RunSummary

COSTS_KEPT = 10
"""Newest runs of a command that its cost is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run of a command will probably take."""

    agents: int
    """Nodes that an agent does; skip conditions may spare some."""
    sequential: timedelta
    """One agent after the other."""
    expected: timedelta
    """With as many at once as the run may have."""
    cost_usd: float | None
    """The median of earlier runs; None where none has told."""
    cost_runs: int
    """Runs that the cost is taken from."""


def forecast_of(
    plan: Plan, *, learned: Mapping[str, float], costs: Sequence[float], max_parallelism: int | None
) -> Forecast:
    """The forecast for *plan*; *learned* are seconds by node, which win over the file's estimates."""
    nodes = tuple(
        replace(node, estimate=timedelta(seconds=learned[node.id]))
        if node.kind is NodeKind.AGENT and node.id in learned
        else node
        for node in plan.nodes
    )
    agents = [node for node in nodes if node.kind is NodeKind.AGENT]
    return Forecast(
        agents=len(agents),
        sequential=sum((node.estimate for node in agents), timedelta(0)),
        expected=predict(replace(plan, nodes=nodes), max_parallelism=max_parallelism).total,
        cost_usd=median(costs) if costs else None,
        cost_runs=len(costs),
    )


def costs_of(rows: Iterable[RunSummary], command: str) -> list[float]:
    """What the newest whole runs of *command* cost, as far as they had a cost; *rows* are newest first."""
    whole = {RunStatus.COMPLETED, RunStatus.DEGRADED}
    found = [
        row.cost_usd
        for row in rows
        if row.command == command and row.status in whole and row.executor != "simulate" and row.cost_usd
    ]
    return found[:COSTS_KEPT]
