"""Collects metrics of runs and returns them as one report, with the guide's spelling. Times are milliseconds.

Effects: samples memory and processor time of this process and its children during runs, if enabled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from engine.api.checks import check_flag
from engine.errors import StateError
from engine.views.durations import milliseconds
from engine.views.metrics import CacheUse, metrics
from engine.views.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from engine.ids import RunId
    from engine.run.events import RunStatus
    from engine.run.state import Run
    from engine.storage.cache import ValueCache
    from engine.views.metrics import Metrics
    from engine.views.timeline import Timeline

REPORTS_KEPT = 100
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """One phase."""

    id: str
    name: str
    duration: int | None
    """None if it never opened."""
    agent_count: int
    parallel_executions: int
    """The highest number of its nodes that ran at once."""
    success_rate: float | None
    """Percent of the nodes that ran; None if none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """One node's agent."""

    id: str
    """The node."""
    agent: str
    duration: int
    estimated_time: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReport:
    """Resources used by this process and its children during the run, including other runs of the program."""

    peak_memory: int
    """Bytes."""
    cpu_time: int
    """Milliseconds of processor time."""
    peak_processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """The metrics of one run."""

    run_id: RunId
    command: str
    status: RunStatus
    total_duration: int
    best_duration: int
    """The shortest time in which the same work could have been done."""
    work_duration: int
    """All attempts one after another."""
    parallelism_efficiency: float | None
    """`best_duration` in percent of `total_duration`; None for a run that took no time."""
    cache_hit_rate: float | None
    """Percent of value lookups answered from memory; None if there were none, or they were not counted."""
    phases: tuple[PhaseReport, ...]
    slowest_agents: tuple[AgentReport, ...]
    """At most ten, slowest first."""
    retries: int
    lock_waits: int
    lock_wait_duration: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    timeline: Timeline | None = None
    """Every attempt and wait, with detailed timing."""
    resources: ResourceReport | None = None
    """With resource monitoring."""


class MetricsCollector:
    """Stores the reports of an engine's runs."""

    def __init__(
        self,
        *,
        enable_detailed_timing: bool = True,
        enable_resource_monitoring: bool = True,
        enable_context_metrics: bool = True,
    ) -> None:
        """Disabled metrics are None in the reports."""
        check_flag("enable_detailed_timing", enable_detailed_timing)
        check_flag("enable_resource_monitoring", enable_resource_monitoring)
        check_flag("enable_context_metrics", enable_context_metrics)
        self.detailed_timing = enable_detailed_timing
        self.resource_monitoring = enable_resource_monitoring
        self.context_metrics = enable_context_metrics
        self._reports: OrderedDict[RunId, MetricsReport] = OrderedDict()

    def get_report(self, run_id: str | None = None) -> MetricsReport:
        """The report of *run_id*, or of the run that ended last. Raises `StateError` if there is none."""
        found = self._reports.get(run_id) if run_id is not None else None  # type: ignore[call-overload]
        if run_id is None and self._reports:
            found = next(reversed(self._reports.values()))
        if found is None:
            raise StateError(
                "no run has ended yet" if run_id is None else f"no run {run_id} has ended while metrics were collected",
                code="NO_REPORT",
                hint="Set the collector, then await `engine.execute(…)`.",
            )
        report: MetricsReport = found
        return report

    def add(self, report: MetricsReport) -> None:
        """Store *report*; beyond a hundred, the oldest is dropped."""
        self._reports[report.run_id] = report
        self._reports.move_to_end(report.run_id)
        while len(self._reports) > REPORTS_KEPT:
            self._reports.popitem(last=False)


@dataclass(slots=True)
class Observation:
    """Counters during a run."""

    hits: int
    misses: int
    resources: ResourceReport | None = None

    def cache(self, values: ValueCache) -> CacheUse:
        """The use of the cache since the observation began."""
        return CacheUse(hits=values.hits - self.hits, misses=values.misses - self.misses)


@contextlib.asynccontextmanager
async def observe(values: ValueCache, *, resources: bool) -> AsyncIterator[Observation]:
    """Count during the block; with *resources*, also sample memory and processor time."""
    seen = Observation(values.hits, values.misses)
    if not resources:
        yield seen
        return
    meter = _Meter()
    sampling = asyncio.create_task(meter.run())
    try:
        yield seen
        await asyncio.to_thread(meter.sample)
        seen.resources = meter.report()
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


class _Meter:
    """Peaks of memory and processes, and the processor time of all processes seen."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._first: dict[int, float] = {self._own.pid: sum(self._own.cpu_times()[:2])}
        self._last: dict[int, float] = dict(self._first)
        self._memory = self._processes = 0

    async def run(self) -> None:
        while True:
            await asyncio.to_thread(self.sample)
            await asyncio.sleep(SAMPLE_SECONDS)

    def sample(self) -> None:
        memory = count = 0
        for process in [self._own, *self._own.children(recursive=True)]:
            with contextlib.suppress(psutil.Error), process.oneshot():
                memory += process.memory_info().rss
                self._last[process.pid] = sum(process.cpu_times()[:2])
                count += 1
        self._memory, self._processes = max(self._memory, memory), max(self._processes, count)

    def report(self) -> ResourceReport:
        used = sum(seconds - self._first.get(pid, 0.0) for pid, seconds in self._last.items())
        return ResourceReport(peak_memory=self._memory, cpu_time=round(1000 * used), peak_processes=self._processes)


def report_of(
    run: Run,
    now: datetime,
    *,
    cache: CacheUse | None = None,
    resources: ResourceReport | None = None,
    detailed: bool = False,
) -> MetricsReport:
    """The report of *run* at *now*."""
    found = metrics(run, now, cache)
    return _shaped(found, timeline(run, now) if detailed else None, resources)


def _shaped(found: Metrics, chart: Timeline | None, resources: ResourceReport | None) -> MetricsReport:
    return MetricsReport(
        run_id=found.run,
        command=found.command,
        status=found.status,
        total_duration=milliseconds(found.total),
        best_duration=milliseconds(found.best),
        work_duration=milliseconds(found.work),
        parallelism_efficiency=_percent(found.parallelism_efficiency),
        cache_hit_rate=_percent(found.cache_hit_rate),
        phases=tuple(
            PhaseReport(
                id=phase.id,
                name=phase.name,
                duration=milliseconds(phase.duration) if phase.duration is not None else None,
                agent_count=phase.agent_count,
                parallel_executions=phase.parallel_executions,
                success_rate=_percent(phase.success_rate),
            )
            for phase in found.phases
        ),
        slowest_agents=tuple(
            AgentReport(
                id=agent.id,
                agent=agent.agent,
                duration=milliseconds(agent.duration),
                estimated_time=milliseconds(agent.estimate),
                attempts=agent.attempts,
            )
            for agent in found.slowest
        ),
        retries=found.retries,
        lock_waits=found.lock_waits,
        lock_wait_duration=milliseconds(found.lock_wait),
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cost_usd=found.cost_usd,
        timeline=chart,
        resources=resources,
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
