"""`apply` and `fold`: how each event changes the state of a run.

Pure. Mechanical: no policy, no clock. An event that is not legal in the state is a broken invariant and raises
`InternalError` before anything is changed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.errors import InternalError
from engine.model.policy import Merge
from engine.run import events as ev
from engine.run import node_events, run_events
from engine.run.changes import contribute, illegal
from engine.run.legal import may_happen
from engine.run.state import NodeState, PhaseState, Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ids import NodeId
    from engine.model.plan import Plan

SEEN = 100
"""Characters of a task that every list shows."""
_APPLY = node_events.APPLY | run_events.APPLY


def create(event: ev.RunCreated) -> Run:
    """The state after a run's first event."""
    plan = event.plan
    run = Run(
        id=event.run,
        plan=plan,
        owner=event.owner,
        executor=event.executor,
        created_at=event.at,
        changed_at=event.at,
        arguments=event.arguments,
        limits=event.limits,
        worktree=event.worktree,
        definition=event.definition,
        traceparent=event.traceparent,
        nodes={node.id: NodeState(plan=node, blockers=len(node.depends_on)) for node in plan.nodes},
        phases=[PhaseState(plan=phase, unsettled=len(phase.nodes)) for phase in plan.phases],
        top=tuple(phase.index for phase in plan.phases if phase.group is None),
        uses_locks=bool(plan.locks) or any(node.locks for node in plan.with_templates()),
        repeated=_repeated(plan),
        events=1,
    )
    for key, ref in event.initial.items():
        contribute(run, key, ref, event.at, Merge.REPLACE, node=None)
    return run


def _repeated(plan: Plan) -> frozenset[NodeId]:
    """Nodes whose task begins like that of another, within the part that lists show."""
    tasks = [node.task.strip()[:SEEN] for node in plan.nodes]
    often = Counter(tasks)
    if len(often) == len(tasks):
        return frozenset()
    return frozenset(node.id for node, task in zip(plan.nodes, tasks, strict=True) if often[task] > 1)


def apply(run: Run, event: ev.Event) -> None:
    """Change *run* in place by *event*, in time proportional to what changes.

    Raises `InternalError` if the event is not legal, before anything is changed.
    """
    if not may_happen(run, event):
        raise illegal(run, event)
    _APPLY[type(event)](run, event)
    run.events += 1
    run.changed_at = event.at
    if run.follower is not None:
        run.follower.follow(event)


def fold(events: Iterable[ev.Event]) -> Run:
    """The state after *events*, the first of which creates the run."""
    run: Run | None = None
    for event in events:
        if run is None:
            if not isinstance(event, ev.RunCreated):
                raise InternalError(f"a journal starts with RunCreated, not {type(event).__name__}")
            run = create(event)
        else:
            apply(run, event)
    if run is None:
        raise InternalError("an empty journal folds to nothing")
    return run
