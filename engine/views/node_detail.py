"""Everything about one node of a run: its plan, its attempts, its inputs and outputs, and why it waits.

Pure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.run.events import Role
from engine.run.lookup import keys_at, parts_at
from engine.run.made import size_of
from engine.run.state import ZERO, NodeStatus
from engine.run.titles import title
from engine.scheduling.readiness import standing, waiting_for
from engine.views.progress import node_remaining
from engine.views.status import session_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.ids import NodeId
    from engine.model.policy import Failure, Usage
    from engine.run.state import AttemptRecord, NodeState, Run


class AttemptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a node."""

    number: int
    undo: bool
    """It rolls the node back."""
    state: str
    """`waiting` for its turn, `running`, `stopping`, `completed`, `failed` or `lost`."""
    began_at: datetime
    """When it began; since when it waits, before that."""
    duration: timedelta
    """How long it worked, up to now while it runs."""
    worker: str
    failure: Failure | None
    usage: Usage | None
    session: str | None
    """The Claude Code session, if there is one that can be opened."""
    warnings: tuple[str, ...]


class InputLine(msgspec.Struct, frozen=True, kw_only=True):
    """One key that a node reads."""

    key: str
    required: bool
    size: int | None
    """Bytes of its JSON before any transform; None: there is no value yet."""
    makers: tuple[NodeId, ...]
    """The nodes that produced it; none for an argument or a default."""


class OutputLine(msgspec.Struct, frozen=True, kw_only=True):
    """One key that a node produces."""

    key: str
    size: int | None
    """Bytes of its JSON; None: there is no value yet."""
    persist: bool


class NodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One node at one moment."""

    id: NodeId
    phase: str
    """The name of its phase."""
    agent: str
    kind: str
    """The kind of its agent, or `command` for a sub-command."""
    state: NodeStatus
    task: str
    after: tuple[NodeId, ...]
    before: tuple[NodeId, ...]
    estimate: timedelta
    """From the file."""
    measured: timedelta | None
    """The median of earlier runs; None before the first."""
    timeout: timedelta
    started: timedelta | None
    """How long the run had lived when it started."""
    duration: timedelta | None
    remaining: timedelta | None
    """Of a node that has not ended in a live run, by the estimate."""
    waiting_for: str | None
    skipped: str | None
    """Why it was skipped."""
    failure: Failure | None
    attempts: tuple[AttemptLine, ...]
    inputs: tuple[InputLine, ...]
    outputs: tuple[OutputLine, ...]
    cost_usd: float


def node_detail(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> NodeDetail:
    """*node* of *run* at *now*; *learned* are seconds by node that earlier runs took."""
    plan = node.plan
    until = run.ended_at or (run.changed_at if run.ended else None) or now
    begun = node.started_at
    agent = run.plan.agents.get(plan.agent)
    seconds = learned.get(plan.origin or plan.id)
    costs = (record.usage.cost_usd for record in node.attempts if record.usage is not None)
    return NodeDetail(
        id=plan.id,
        phase=run.phases[plan.phase].plan.name,
        agent=plan.agent,
        kind="command" if agent is None else agent.kind.value,
        state=standing(node),
        task=title(run, node),
        after=plan.depends_on,
        before=plan.dependents,
        estimate=plan.estimate,
        measured=None if seconds is None else timedelta(seconds=seconds),
        timeout=plan.timeout,
        started=None if begun is None else run.lived(run.created_at, begun),
        duration=None if begun is None else run.lived(begun, node.ended_at or until),
        remaining=None if run.ended or node.settled else node_remaining(run, node, now, learned),
        waiting_for=waiting_for(run, node),
        skipped=(node.skip_message or "") if node.status is NodeStatus.SKIPPED else None,
        failure=node.compensation_failure or node.failure,
        attempts=tuple(_attempt(run, node, record, until) for record in node.attempts),
        inputs=_inputs(run, node),
        outputs=tuple(
            OutputLine(
                key=spec.key,
                size=size_of(node.outputs[spec.key]) if spec.key in node.outputs else None,
                persist=spec.persist,
            )
            for spec in plan.outputs
        ),
        cost_usd=sum(cost for cost in costs if cost is not None),
    )


def _attempt(run: Run, node: NodeState, record: AttemptRecord, until: datetime) -> AttemptLine:
    return AttemptLine(
        number=record.number,
        undo=record.role is Role.COMPENSATE,
        state=_state(record),
        began_at=record.started_at or record.scheduled_at,
        duration=run.worked(record, until) if record.started_at is not None else ZERO,
        worker=record.worker,
        failure=record.failure,
        usage=record.usage,
        session=session_of(run, node, record),
        warnings=(*record.warnings, *record.left),
    )


def _state(record: AttemptRecord) -> str:
    if record.lost:
        return "lost"
    if record.ended_at is not None:
        return "completed" if record.failure is None else "failed"
    if record.stopping is not None:
        return "stopping"
    return "waiting" if record.started_at is None else "running"


def _inputs(run: Run, node: NodeState) -> tuple[InputLine, ...]:
    """The keys that *node* reads, as its attempts see them, or as they are now."""
    plan = node.plan
    version = run.version if node.version is None else node.version
    specs = {spec.key: spec.required for spec in plan.inputs}
    if plan.passthrough:
        specs = dict.fromkeys(keys_at(run, plan.scope, version), False) | specs
    found = []
    for key, required in specs.items():
        parts = parts_at(run, plan.scope + key, version)
        makers = dict.fromkeys(part.node for part in parts if part.node is not None)
        size = sum(size_of(part.ref) for part in parts) if parts else None
        found.append(InputLine(key=key, required=required, size=size, makers=tuple(makers)))
    return tuple(found)
