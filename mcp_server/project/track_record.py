"""How the runs of a command went: the last one, how many succeed, and what they usually take.

Pure.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

from engine.run.events import RunStatus
from mcp_server.project.forecast import WHOLE, costs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.storage.port import RunSummary

RUNS_COUNTED = 20
"""The newest runs of a command that its numbers are based on."""
_JUDGED = WHOLE | {RunStatus.FAILED, RunStatus.COMPENSATED, RunStatus.COMPENSATION_FAILED}
"""Ends that say something about the command: a person cancels, and a crash interrupts."""


class TrackRecord(msgspec.Struct, frozen=True):
    """The runs of one command, without simulations."""

    last: RunSummary
    judged: int
    """Runs that its numbers are based on; some may be under way, cancelled or interrupted."""
    succeeded: int
    seconds: float | None
    """The median time of those that succeeded; None if none did."""
    cost_usd: float | None
    """The median cost of those that reported one."""

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None before any run has ended by itself."""
        return self.succeeded / self.judged if self.judged else None


def track_records(rows: Iterable[RunSummary]) -> Mapping[str, TrackRecord]:
    """The record of each command that has run; *rows* are newest first."""
    by_command: dict[str, list[RunSummary]] = {}
    for row in rows:
        if row.executor != "simulate":
            by_command.setdefault(row.command, []).append(row)
    return {command: _record(found) for command, found in by_command.items()}


def _record(rows: list[RunSummary]) -> TrackRecord:
    judged = [row for row in rows if row.status in _JUDGED][:RUNS_COUNTED]
    whole = [row for row in judged if row.status in WHOLE]
    times = [row.lived(row.ended_at).total_seconds() for row in whole if row.ended_at is not None]
    costs = costs_of(rows, rows[0].command)
    return TrackRecord(
        last=rows[0],
        judged=len(judged),
        succeeded=len(whole),
        seconds=median(times) if times else None,
        cost_usd=median(costs) if costs else None,
    )
