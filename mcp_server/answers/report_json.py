"""The report of a run as JSON: what `orchestrate report --format json` prints, and what the report resource holds.

Pure. Times are milliseconds since the run was requested; texts are redacted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text.redaction import one_line, redact
from engine.text.shown import printable
from engine.views.durations import milliseconds
from engine.views.metrics import metrics
from engine.views.timeline import timeline
from mcp_server.answers.wire import Line, Wire

if TYPE_CHECKING:
    from datetime import datetime

    from engine.run.state import Run
    from engine.views.metrics import CacheUse, Metrics
    from engine.views.timeline import Row, Timeline

MAX_NOTE_LENGTH = 300


class PhaseNumbers(Wire):
    """One phase in numbers."""

    id: str
    name: Line
    duration_ms: int | None = None
    """Absent if the phase never opened."""
    agent_count: int
    parallel_executions: int
    """Maximum number of its nodes that ran at once."""
    success_rate: float | None = None
    """Percent of the nodes that ran; absent if none did."""


class AgentNumbers(Wire):
    """One node's agent in numbers."""

    id: str
    agent_id: Line
    duration_ms: int
    estimated_ms: int
    attempts: int


class AttemptSpan(Wire):
    """An attempt, a wait or a rollback."""

    kind: str
    """attempt, wait or undo."""
    start_ms: int
    duration_ms: int
    outcome: str
    """ok, failed, lost or open."""
    attempt: int | None = None
    note: str | None = None
    """The reason of a wait, or of the attempt's failure."""
    last_output: str | None = None
    """The last output of an attempt that failed."""
    session: str | None = None
    """The Claude Code session of an attempt; `claude --resume` shows it."""


class NodeTimes(Wire):
    """One node over time."""

    node: str
    phase: str
    agent_id: Line
    state: str
    estimated_ms: int
    duration_ms: int
    """Time in its attempts, without waits."""
    critical: bool
    """On the path that made the run as long as it was."""
    spans: list[AttemptSpan]
    note: str | None = None
    """Why it was skipped."""


class RunReport(Wire):
    """How a run went."""

    run_id: str
    command: Line
    state: str
    executor: str
    started_at: str
    total_ms: int
    best_ms: int
    """The shortest time in which the same work could have been done."""
    work_ms: int
    """Sum of all attempts."""
    rollback_ms: int
    parallelism_efficiency: float | None = None
    """bestMs of totalMs in percent."""
    cache_hit_rate: float | None = None
    """Percent of context values found in memory; known only in the process that ran it."""
    retries: int
    lock_waits: int
    lock_wait_ms: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    phases: list[PhaseNumbers]
    slowest_agents: list[AgentNumbers]
    critical_path: list[str]
    nodes: list[NodeTimes]


def report_answer(run: Run, now: datetime, cache: CacheUse | None = None) -> RunReport:
    """The report of *run*; what is still in progress counts up to *now*."""
    numbers, chart = metrics(run, now, cache), timeline(run, now)
    return RunReport(
        run_id=run.id,
        command=run.plan.command,
        state=run.status.value,
        executor=run.executor,
        started_at=run.created_at.isoformat(timespec="milliseconds"),
        total_ms=milliseconds(numbers.total),
        best_ms=milliseconds(numbers.best),
        work_ms=milliseconds(numbers.work),
        rollback_ms=milliseconds(numbers.undo),
        parallelism_efficiency=_percent(numbers.parallelism_efficiency),
        cache_hit_rate=_percent(numbers.cache_hit_rate),
        retries=numbers.retries,
        lock_waits=numbers.lock_waits,
        lock_wait_ms=milliseconds(numbers.lock_wait),
        input_tokens=numbers.input_tokens,
        output_tokens=numbers.output_tokens,
        cost_usd=numbers.cost_usd,
        phases=_phases(numbers),
        slowest_agents=_slowest(numbers),
        critical_path=list(chart.path),
        nodes=nodes_over_time(chart),
    )


def nodes_over_time(chart: Timeline) -> list[NodeTimes]:
    """The rows of *chart*."""
    return [_node(phase.id, row) for phase in chart.phases for row in phase.rows]


def _node(phase: str, row: Row) -> NodeTimes:
    return NodeTimes(
        node=row.node,
        phase=phase,
        agent_id=row.agent,
        state=row.status.value,
        estimated_ms=milliseconds(row.estimate),
        duration_ms=milliseconds(row.duration),
        critical=row.critical,
        spans=[
            AttemptSpan(
                kind=span.kind.value,
                start_ms=milliseconds(span.start),
                duration_ms=milliseconds(span.duration),
                outcome=span.outcome.value,
                attempt=span.attempt,
                note=one_line(span.note, limit=MAX_NOTE_LENGTH) or None,
                last_output=printable(redact(span.last_output)) or None,
                session=span.session,
            )
            for span in row.spans
        ],
        note=one_line(row.note, limit=MAX_NOTE_LENGTH) or None,
    )


def _phases(numbers: Metrics) -> list[PhaseNumbers]:
    return [
        PhaseNumbers(
            id=phase.id,
            name=phase.name,
            duration_ms=milliseconds(phase.duration) if phase.duration is not None else None,
            agent_count=phase.agent_count,
            parallel_executions=phase.parallel_executions,
            success_rate=_percent(phase.success_rate),
        )
        for phase in numbers.phases
    ]


def _slowest(numbers: Metrics) -> list[AgentNumbers]:
    return [
        AgentNumbers(
            id=agent.id,
            agent_id=agent.agent,
            duration_ms=milliseconds(agent.duration),
            estimated_ms=milliseconds(agent.estimate),
            attempts=agent.attempts,
        )
        for agent in numbers.slowest
    ]


def _percent(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
