"""Predicts when each node would run if every estimate were right.

Pure. It follows the scheduler's order (SPEC 4: priority, then the longer remaining path, then file order) without
failures, skips, locks or waiting for people; `engine/views/timeline.py` shows what really happened.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.ids import NodeId
from engine.model.plan import NodeKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.plan import NodePlan, PhasePlan, Plan


class Span(msgspec.Struct, frozen=True):
    """Start and end, counted from the start of the run."""

    start: timedelta
    end: timedelta


class Timeline(msgspec.Struct, frozen=True):
    """A run by estimates."""

    spans: Mapping[NodeId, Span]
    """Every node, including sub-commands."""
    total: timedelta
    """When the last node ends."""
    path: tuple[NodeId, ...]
    """The chain of nodes, each waiting for the one before, that determines the length of the run."""


def predict(plan: Plan, *, max_parallelism: int | None = None) -> Timeline:
    """The run of *plan* with its phases' limits, and at most *max_parallelism* nodes at once in the whole run."""
    limits = [phase.limit for phase in plan.phases]
    return forecast(plan.nodes, plan.phases, limits=limits, slots=max_parallelism)


def forecast(
    nodes: Sequence[NodePlan], phases: Sequence[PhasePlan], *, limits: Sequence[int | None], slots: int | None = None
) -> Timeline:
    """The run of ranked *nodes* with *limits* by phase; sub-commands count in their phase, but not in *slots*."""
    walk = _Walk(nodes=nodes, phases=phases, limits=limits, slots=slots)
    walk.run()
    spans = {node.id: Span(walk.start[node.index], walk.end[node.index]) for node in nodes}
    total = max(walk.end, default=timedelta(0))
    return Timeline(spans=spans, total=total, path=walk.path())


Key = tuple[int, timedelta, int]


@dataclass(slots=True)
class _Walk:
    """A walk through the run by a clock that jumps from end to end."""

    nodes: Sequence[NodePlan]
    phases: Sequence[PhasePlan]
    limits: Sequence[int | None]
    slots: int | None
    index: dict[NodeId, int] = field(init=False)
    levels: dict[NodeId | None, list[int]] = field(default_factory=dict)
    """Phases by the sub-command that they are in."""
    next_phase: dict[int, int] = field(default_factory=dict)
    unsettled: list[int] = field(init=False)
    """Dependencies still to end, by node; one more while its phase is closed."""
    left: list[int] = field(init=False)
    """Nodes still to end, by phase; one more while the phase before it is not over."""
    running: list[int] = field(init=False)
    used: int = 0
    start: list[timedelta] = field(init=False)
    end: list[timedelta] = field(init=False)
    cause: list[int | None] = field(init=False)
    """The agent node whose end let this one start."""
    ready: list[Key] = field(default_factory=list)
    parked: list[list[Key]] = field(init=False)
    """Ready, but their phase is full."""
    held: list[Key] = field(default_factory=list)
    """Ready, but the run is full."""
    ends: list[tuple[timedelta, int]] = field(default_factory=list)
    now: timedelta = timedelta(0)
    last: int | None = None
    """The agent node that ended last."""

    def __post_init__(self) -> None:
        zero = timedelta(0)
        self.index = {node.id: node.index for node in self.nodes}
        self.unsettled = [len(node.depends_on) + 1 for node in self.nodes]
        self.left = [len(phase.nodes) + (phase.after is not None) for phase in self.phases]
        self.running = [0] * len(self.phases)
        self.parked = [[] for _ in self.phases]
        self.start = [zero] * len(self.nodes)
        self.end = [zero] * len(self.nodes)
        self.cause = [None] * len(self.nodes)
        for phase in self.phases:
            self.levels.setdefault(phase.group, []).append(phase.index)
            if phase.after is not None:
                self.next_phase[phase.after] = phase.index

    def run(self) -> None:
        self._open_level(None)
        self._start_ready()
        while self.ends:
            self.now = self.ends[0][0]
            while self.ends and self.ends[0][0] == self.now:
                self.last = -heapq.heappop(self.ends)[1]
                self.used -= 1
                self._settle(self.last)
            self._start_ready()

    def path(self) -> tuple[NodeId, ...]:
        chain = []
        node = self.last
        while node is not None:
            chain.append(self.nodes[node].id)
            node = self.cause[node]
        return tuple(reversed(chain))

    def _open_level(self, group: NodeId | None) -> None:
        for number in self.levels[group]:
            phase = self.phases[number]
            if phase.after is None or not phase.barrier:
                self._open(phase)

    def _open(self, phase: PhasePlan) -> None:
        for name in phase.nodes:
            self._less_to_wait(self.index[name])

    def _less_to_wait(self, node: int) -> None:
        self.unsettled[node] -= 1
        if not self.unsettled[node]:
            self.cause[node] = self.last
            plan = self.nodes[node]
            heapq.heappush(self.ready, (-plan.priority, -plan.rank, node))

    def _start_ready(self) -> None:
        while True:
            if self.ready:
                self._start(heapq.heappop(self.ready))
            elif self.held and self._has_slot():
                heapq.heappush(self.ready, heapq.heappop(self.held))
            else:
                return

    def _has_slot(self) -> bool:
        return self.slots is None or self.used < self.slots

    def _start(self, key: Key) -> None:
        node = self.nodes[key[2]]
        limit = self.limits[node.phase]
        group = bool(node.inner)
        if limit is not None and self.running[node.phase] >= limit:
            heapq.heappush(self.parked[node.phase], key)
        elif not group and not self._has_slot():
            heapq.heappush(self.held, key)
        else:
            self.start[node.index] = self.now
            self.running[node.phase] += 1
            if group:
                self._open_level(node.id)
                return
            self.used += 1
            heapq.heappush(self.ends, (self.now + node.estimate, -node.index))

    def _settle(self, number: int) -> None:
        node = self.nodes[number]
        self.end[number] = self.now
        self.running[node.phase] -= 1
        if parked := self.parked[node.phase]:
            freed = heapq.heappop(parked)
            self.cause[freed[2]] = self.last
            heapq.heappush(self.ready, freed)
        for name in node.dependents:
            self._less_to_wait(self.index[name])
        self._less_left(self.phases[node.phase])

    def _less_left(self, phase: PhasePlan) -> None:
        """Count down what *phase* waits for before it is over."""
        self.left[phase.index] -= 1
        if self.left[phase.index]:
            return
        following = self.next_phase.get(phase.index)
        if following is None:
            if phase.group is not None:
                self._settle(self.index[phase.group])
            return
        if self.phases[following].barrier:
            self._open(self.phases[following])
        self._less_left(self.phases[following])


def serial_limits(phases: Sequence[PhasePlan]) -> list[int | None]:
    """Limits of the critical path: one node at a time if the phase says so, and no others."""
    return [1 if phase.limit == 1 else None for phase in phases]


def rounds(node: NodePlan, limit: int | None) -> int:
    """How many instances of *node* are assumed to run one after the other, in a phase that runs *limit* at once."""
    if node.each is None:
        return times(node)
    lanes = min((most for most in (node.each.limit, limit) if most is not None), default=node.each.estimated)
    return -(-node.each.estimated // lanes)


def times(node: NodePlan) -> int:
    """How many instances *node* is assumed to have."""
    if node.each is not None:
        return node.each.estimated
    return node.loop.estimated if node.loop is not None else 1


def work_of(nodes: Sequence[NodePlan]) -> timedelta:
    """The estimates of all agents' work in *nodes*, with the assumed instances of their templates."""
    total = timedelta(0)
    for node in nodes:
        if node.template is not None:
            total += work_of(node.template.nodes) * times(node)
        elif node.kind is NodeKind.AGENT:
            total += node.estimate
    return total
