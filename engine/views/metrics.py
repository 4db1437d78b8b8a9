"""A run in numbers: times, efficiency, phases, slowest agents, retries, waits, tokens and cost (SPEC 11).

Pure, a projection of the run. The cache counters are passed in: the run does not hold them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from engine.graph.forecast import forecast, serial_limits
from engine.model.plan import NodeKind
from engine.run.events import Role, WaitReason
from engine.run.state import ZERO
from engine.views.progress import phases_of_file
from engine.views.timeline import closing, ending, work_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from engine.ids import NodeId, RunId
    from engine.model.plan import PhasePlan
    from engine.model.policy import Usage
    from engine.run.events import RunStatus
    from engine.run.state import NodeState, PhaseState, Run

SLOWEST = 10


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """Lookups of context values, by where the value was found."""

    hits: int
    """In memory."""
    misses: int
    """On disk."""

    @property
    def hit_rate(self) -> float | None:
        """Percent found in memory; None without lookups."""
        asked = self.hits + self.misses
        return 100 * self.hits / asked if asked else None


class PhaseMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One phase."""

    id: str
    name: str
    duration: timedelta | None
    """From its opening to its end; None if it never opened."""
    agent_count: int
    parallel_executions: int
    """Maximum number of its nodes that ran at once."""
    success_rate: float | None
    """Percent of the nodes that ran or failed; None if none did."""


class AgentMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One node's agent."""

    id: NodeId
    agent: str
    duration: timedelta
    """Of all its forward attempts, without waits."""
    estimate: timedelta
    attempts: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers."""

    run: RunId
    command: str
    status: RunStatus
    executor: str
    total: timedelta
    """From the request for the run to its end, or to now, without the time when no process ran it."""
    best: timedelta
    """A lower bound for the same work, with each node taking as long as it did."""
    work: timedelta
    """Sum of all forward attempts."""
    undo: timedelta
    """Sum of all compensations."""
    parallelism_efficiency: float | None
    """`best` as a percentage of `total`; None for a run that took no time."""
    cache_hit_rate: float | None
    """Percent; None if unknown, as for a run of another process."""
    phases: tuple[PhaseMetrics, ...]
    slowest: tuple[AgentMetrics, ...]
    """At most `SLOWEST`, the slowest first."""
    retries: int
    """Forward attempts beyond each node's first, except those after a crash."""
    lock_wait: timedelta
    """Sum of all waits for locks, including the run's own."""
    lock_waits: int
    """Nodes that waited for locks; the run itself counts as one."""
    input_tokens: int | None
    """None if no executor reported any."""
    output_tokens: int | None
    cost_usd: float | None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the nodes of a run; see `Metrics`."""

    durations: Mapping[NodeId, timedelta]
    """Of all forward attempts of each node, without waits."""
    work: timedelta
    undo: timedelta
    retries: int
    lock_wait: timedelta
    lock_waits: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


def metrics(run: Run, now: datetime, cache: CacheUse | None = None) -> Metrics:
    """*run* in numbers; work in progress counts up to *now*."""
    until = ending(run, now)
    total = run.lived(run.created_at, until)
    sums = totals(run, until)
    durations = sums.durations
    best = min(total, lower_bound(run, durations) + sums.undo)
    names = sorted((name for name, time in durations.items() if time), key=lambda name: -durations[name])
    return Metrics(
        run=run.id,
        command=run.plan.command,
        status=run.status,
        executor=run.executor,
        total=total,
        best=best,
        work=sums.work,
        undo=sums.undo,
        parallelism_efficiency=100 * (best / total) if total else None,
        cache_hit_rate=cache.hit_rate if cache is not None else None,
        phases=tuple(_phase(run, phase, until) for phase in phases_of_file(run)),
        slowest=tuple(_agent(run.nodes[name], durations) for name in names[:SLOWEST]),
        retries=sums.retries,
        lock_wait=sums.lock_wait,
        lock_waits=sums.lock_waits,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=sums.cost_usd,
    )


def totals(run: Run, until: datetime) -> Totals:
    """The sums over all nodes of *run*; work in progress counts up to *until*."""
    durations = {
        name: work_of(run, node, until) for name, node in run.nodes.items() if node.plan.kind is NodeKind.AGENT
    }
    used = [record.usage for node in run.nodes.values() for record in node.attempts if record.usage is not None]
    waits = [wait for node in run.nodes.values() if (wait := node.waited.get(WaitReason.LOCKS, ZERO))]
    if run.plan.locks and (own := run.lived(run.created_at, run.started_at or until)) > ZERO:
        waits.append(own)
    return Totals(
        durations=durations,
        work=sum(durations.values(), ZERO),
        undo=sum((_undo_of(run, node, until) for node in run.nodes.values()), ZERO),
        retries=sum(_retries(node) for node in run.nodes.values()),
        lock_wait=sum(waits, ZERO),
        lock_waits=len(waits),
        input_tokens=_sum(usage.input_tokens for usage in used),
        output_tokens=_sum(usage.output_tokens for usage in used),
        cost_usd=_cost(used),
    )


def lower_bound(run: Run, durations: Mapping[NodeId, timedelta]) -> timedelta:
    """A lower bound for the run if its nodes take *durations*: the critical path, or the work spread over the slots.

    If every phase waits for the one before, each has such a bound of its own, and the bounds add up.
    """
    slots, phases = run.limits.max_parallelism, [phase.plan for phase in run.phases]
    if all(phase.barrier and phase.group is None for phase in phases):
        return sum((_phase_bound(run, phase, durations, slots) for phase in phases), ZERO)
    plans = [node.plan for node in run.nodes.values()]  # with the instances that were made
    nodes = [structs.replace(one, index=place, estimate=durations.get(one.id, ZERO)) for place, one in enumerate(plans)]
    path = forecast(nodes, phases, limits=serial_limits(phases)).total
    return max(path, sum(durations.values(), ZERO) / slots) if slots else path


def _phase_bound(run: Run, phase: PhasePlan, durations: Mapping[NodeId, timedelta], slots: int | None) -> timedelta:
    paths: dict[NodeId, timedelta] = {}
    for name in sorted(phase.nodes, key=lambda name: -run.nodes[name].plan.rank):  # dependencies first
        before = (paths.get(need, ZERO) for need in run.nodes[name].plan.depends_on)
        paths[name] = max(before, default=ZERO) + durations.get(name, ZERO)
    longest = max(paths.values(), default=ZERO)
    limits = [limit for limit in (phase.limit, slots) if limit]
    work = sum((durations.get(name, ZERO) for name in phase.nodes), ZERO)
    return max(longest, work / min(limits)) if limits else longest


def _phase(run: Run, phase: PhaseState, until: datetime) -> PhaseMetrics:
    nodes = [run.nodes[name] for name in phase.plan.nodes]
    tried = [node for node in nodes if node.failure is not None or _has_ended(node)]
    opened = phase.opened_at
    return PhaseMetrics(
        id=phase.plan.id,
        name=phase.plan.name,
        duration=run.lived(opened, closing(run, phase, until)) if opened is not None else None,
        agent_count=len(nodes),
        parallel_executions=_most_at_once(nodes, until),
        success_rate=100 * sum(map(_succeeded, tried)) / len(tried) if tried else None,
    )


def _most_at_once(nodes: Iterable[NodeState], until: datetime) -> int:
    moves: list[tuple[datetime, int]] = []
    for node in nodes:
        for record in node.forward:
            if record.started_at is not None:
                moves += [(record.started_at, 1), (record.ended_at or until, -1)]
    most = count = 0
    for _, step in sorted(moves):  # at equal times, ends come before starts
        count += step
        most = max(most, count)
    return most


def _has_ended(node: NodeState) -> bool:
    tries = node.forward
    return bool(tries) and tries[-1].ended_at is not None


def _succeeded(node: NodeState) -> bool:
    """Whether its last forward attempt succeeded, even if it was undone later."""
    return _has_ended(node) and node.failure is None and (last := node.forward[-1]).failure is None and not last.lost


def _retries(node: NodeState) -> int:
    tries = node.forward
    return max(0, len(tries) - 1 - sum(record.lost for record in tries))


def _undo_of(run: Run, node: NodeState, until: datetime) -> timedelta:
    """The time that was spent on undoing *node*; lost attempts do not count, as in its work."""
    tries = (record for record in node.attempts if record.role is Role.COMPENSATE and not record.lost)
    return sum((run.worked(record, until) for record in tries), ZERO)


def _agent(node: NodeState, durations: Mapping[NodeId, timedelta]) -> AgentMetrics:
    return AgentMetrics(
        id=node.plan.id,
        agent=node.plan.agent,
        duration=durations[node.plan.id],
        estimate=node.plan.estimate,
        attempts=len(node.forward),
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _cost(used: Iterable[Usage]) -> float | None:
    known = [usage.cost_usd for usage in used if usage.cost_usd is not None]
    return sum(known) if known else None
