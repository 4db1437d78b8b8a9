"""The remaining time of a run: the critical path of its open nodes under the phases' limits, not their sum (SPEC 10).

Pure, but for what it keeps with the run. Theory of operation. Of each phase two numbers are wanted: the work that is
left, and the longest path of it. The work is a sum, which changes with each node. For the path, each node has the
length of the longest one that begins with it if nothing of it has begun; that does not change. As nodes are done in the
order of their dependencies, the longest remaining path begins with a node that has not started, and is the longest of
those, or with one that runs, and is shorter by the time that it has worked. So it is enough to keep the nodes ordered
by their paths, and to step over those that have started; the few that run are looked at each time.

A retry, or work that is undone, can break that order: a node that is open has a successor that is not. Such pairs are
counted, and as long as there is one, all nodes of the phase are gone through instead.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.run.state import ZERO
from engine.views.progress import DONE, estimate_of, node_remaining
from engine.views.tally import tally_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run
    from engine.views.tally import Tally

IDLE, LIVE, OVER = range(3)
"""A node that is open and has no attempt that runs, one that has, and one that is done."""
TICK = timedelta(microseconds=1)
FAR = 2**62
"""Microseconds of the longest path that is distinguished."""


def remaining(run: Run, now: datetime, learned: Mapping[str, float]) -> timedelta | None:
    """The remaining time of *run*; None if it cannot be estimated: while rolling back, or interrupted."""
    if run.status not in {RunStatus.PENDING, RunStatus.RUNNING}:
        return ZERO if run.ended and run.status is not RunStatus.INTERRUPTED else None
    tally = tally_of(run)
    outlook = tally.outlook
    known = isinstance(outlook, Outlook) and (outlook.learned is learned or outlook.learned == learned)
    if not isinstance(outlook, Outlook) or not known:
        outlook = tally.outlook = Outlook(run, tally, learned)
    outlook.catch_up(run, tally)
    return outlook.remaining(run, now)


@dataclass(slots=True)
class _Phase:
    """The rest of one phase."""

    by_path: array[int]
    """Its nodes, that with the longest path first."""
    first: int = 0
    """How many at the front of these are not idle, apart from those in `returned`."""
    returned: set[int] = field(default_factory=set)
    """Nodes that have become idle again."""
    idle: int = 0
    """Microseconds of work of its idle nodes."""
    crossed: int = 0
    """Pairs of an open node and a successor that is not idle."""
    quiet: timedelta | None = None
    """Its remaining time, if nothing of it runs; None: not known since its last change."""


class Outlook:
    """The rest of the phases at the top of one run."""

    def __init__(self, run: Run, tally: Tally, learned: Mapping[str, float]) -> None:
        """*learned* are seconds by node."""
        self.learned = learned
        self._seen = len(tally.changes)
        nodes = [run.nodes[node.id] for node in run.plan.nodes]
        self._estimates = array("q", (min(FAR, estimate_of(node, learned) // TICK) for node in nodes))
        self._paths = array("q", bytes(len(nodes) * 8))
        self._kinds = bytearray(len(nodes))
        self._phases: dict[int, _Phase] = {index: self._opened(run, run.phases[index]) for index in run.top}
        for node in nodes:
            self._move(run, node)

    def _opened(self, run: Run, phase: PhaseState) -> _Phase:
        """*phase* as if none of its nodes had begun."""
        for name in reversed(_in_order(run, phase)):
            plan = run.nodes[name].plan
            behind = (self._paths[index] for index in _beside(run, plan.dependents, plan.phase))
            self._paths[plan.index] = min(FAR, self._estimates[plan.index] + max(behind, default=0))
        places = sorted((run.nodes[name].plan.index for name in phase.plan.nodes), key=lambda at: -self._paths[at])
        return _Phase(array("I", places), idle=sum(self._estimates[at] for at in places))

    def catch_up(self, run: Run, tally: Tally) -> None:
        """Follow what has changed since the last look."""
        changes = tally.changes
        for at in range(self._seen, len(changes)):
            self._move(run, run.nodes[run.plan.nodes[changes[at]].id])
        self._seen = len(changes)

    def _move(self, run: Run, node: NodeState) -> None:
        plan = node.plan
        index = plan.index
        before, kind = self._kinds[index], _kind(node)
        if kind == before or (phase := self._phases.get(plan.phase)) is None:
            return
        if (before == OVER) != (kind == OVER):
            started = sum(self._kinds[one] != IDLE for one in _beside(run, plan.dependents, plan.phase))
            phase.crossed += started if before == OVER else -started
        if (before == IDLE) != (kind == IDLE):
            unfinished = sum(self._kinds[one] != OVER for one in _beside(run, plan.depends_on, plan.phase))
            phase.crossed += unfinished if before == IDLE else -unfinished
            phase.idle += self._estimates[index] if kind == IDLE else -self._estimates[index]
            if kind == IDLE:
                phase.returned.add(index)
        self._kinds[index] = kind
        phase.quiet = None

    def remaining(self, run: Run, now: datetime) -> timedelta:
        """The remaining time of all phases, one after the other."""
        live: dict[int, list[NodeState]] = {}
        for name in run.live:
            node = run.nodes[name]
            if not node.plan.turn:
                live.setdefault(node.plan.phase, []).append(node)
        total = ZERO
        for index in run.top:
            phase = run.phases[index]
            if phase.ended_at is not None:
                continue
            left = self._phases[index]
            if index in live or left.crossed:
                total += self._of_phase(run, phase, now, live.get(index, ()))
                continue
            if left.quiet is None:
                left.quiet = self._of_phase(run, phase, now)
            total += left.quiet
        return total

    def _of_phase(self, run: Run, phase: PhaseState, now: datetime, live: Iterable[NodeState] = ()) -> timedelta:
        """The longer of the phase's remaining path and its remaining work spread over its slots."""
        left = self._phases[phase.plan.index]
        if left.crossed:
            longest, work = _looked_through(run, phase, now, self.learned)
        else:
            longest, idle = self._longest_idle(left) * TICK, left.idle
            for node in live:
                own = node_remaining(run, node, now, self.learned)
                behind = self._paths[node.plan.index] - self._estimates[node.plan.index]
                longest = max(longest, own + behind * TICK)
                idle += own // TICK
            work = idle * TICK
        limits = [limit for limit in (phase.plan.limit, run.limits.max_parallelism) if limit]
        return max(longest, work / min(limits)) if limits else longest

    def _longest_idle(self, left: _Phase) -> int:
        """Microseconds of the longest path that begins with an idle node."""
        while left.first < len(left.by_path) and self._kinds[left.by_path[left.first]] != IDLE:
            left.first += 1
        left.returned = {index for index in left.returned if self._kinds[index] == IDLE}
        heads = [*left.by_path[left.first : left.first + 1], *left.returned]
        return max((self._paths[index] for index in heads), default=0)


def _kind(node: NodeState) -> int:
    if node.status in DONE:
        return OVER
    return IDLE if node.live is None else LIVE


def _beside(run: Run, names: Iterable[NodeId], phase: int) -> Iterable[int]:
    """The positions of the nodes *names* that are in *phase*."""
    return (plan.index for plan in (run.nodes[name].plan for name in names) if plan.phase == phase)


def _looked_through(
    run: Run, phase: PhaseState, now: datetime, learned: Mapping[str, float]
) -> tuple[timedelta, timedelta]:
    """The longest remaining path of *phase*, and its remaining work."""
    path: dict[NodeId, timedelta] = {}
    work = ZERO
    for name in _in_order(run, phase):
        node = run.nodes[name]
        own = node_remaining(run, node, now, learned)
        path[name] = own + max((path.get(dep, ZERO) for dep in node.plan.depends_on), default=ZERO)
        work += own
    return max(path.values(), default=ZERO), work


def _in_order(run: Run, phase: PhaseState) -> list[NodeId]:
    """The nodes of *phase*, each behind those that it depends on."""
    index = phase.plan.index
    left = {name: len(list(_beside(run, run.nodes[name].plan.depends_on, index))) for name in phase.plan.nodes}
    found = [name for name, count in left.items() if not count]
    for name in found:  # grows on the way
        for dependent in run.nodes[name].plan.dependents:
            if dependent in left:
                left[dependent] -= 1
                if not left[dependent]:
                    found.append(dependent)
    return found
