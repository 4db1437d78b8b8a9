"""The next node that may start, and what the others are waiting for.

Pure. Nothing is decided here: admission and the views use the same answers.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from engine.model.plan import NodeKind
from engine.model.policy import MODEL_BREAKER
from engine.run.changes import call_guest, make_ready, offer
from engine.run.events import Role, WaitReason
from engine.run.lookup import keys_at, parts_at
from engine.run.state import NodeStatus, is_model_work

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run


ITS_TURN = "its turn"
"""The reason why a scheduled attempt has not started: others come first."""
A_WORKER = "a worker"
"""The same for an attempt that another machine runs: none is free for it."""
WAITS = {
    WaitReason.LOCKS: "locks",
    WaitReason.BREAKER: "circuit breaker",
    WaitReason.RETRY: "retry",
    WaitReason.APPROVAL: "approval",
    WaitReason.INTERVAL: "the next iteration",
    WaitReason.DECISION: "a decision",
}
"""The reasons why a node waits, in words for a user."""


def pop_ready(run: Run) -> NodeState | None:
    """Take the best node with a free slot: priority, then remaining path, then file order (SPEC 4)."""
    limit = run.limits.max_parallelism
    if limit is not None and run.running >= limit:
        return None
    while run.offers:
        key, index = heapq.heappop(run.offers)
        phase = run.phases[index]
        good = bool(phase.ready) and phase.ready[0] == key and index in run.open_phases and _may_go_on(run, phase)
        host = phase
        if phase.plan.host is not None:
            host = run.phases[phase.plan.host]
            if good and _is_full(host):
                heapq.heappush(host.guests, (key, index))
                continue
        if host.guests:
            call_guest(run, host)
        if not good or _is_full(phase):
            continue  # it is outdated, or offered again as soon as it has a slot
        heapq.heappop(phase.ready)
        offer(run, phase)
        node = run.nodes[key.node]
        if node.status is NodeStatus.PENDING:
            return node
    return None


def _may_go_on(run: Run, phase: PhaseState) -> bool:
    """Whether no group around *phase* is in its way."""
    return phase.plan.group is None or is_at_work(run, phase.plan.group)


def _is_full(phase: PhaseState) -> bool:
    return phase.plan.limit is not None and phase.running >= phase.plan.limit


def is_at_work(run: Run, group: NodeId) -> bool:
    """Whether the nodes of sub-command *group* may start: it has started itself, and is not failing."""
    live = run.nodes[group].live
    return live is not None and live.role is Role.FORWARD and live.stopping is None


def put_back(run: Run, node: NodeState) -> None:
    """Undo a `pop_ready` whose node could not be judged yet."""
    make_ready(run, node)


def missing_keys(run: Run, node: NodeState) -> list[str]:
    """Required inputs of *node* that have neither a default nor a value yet, in file order."""
    scope = node.plan.scope
    return [
        spec.key
        for spec in node.plan.inputs
        if spec.required and not spec.has_default and not parts_at(run, scope + spec.key, run.version)
    ]


def has_value(run: Run, scope: str, key: str) -> bool:
    """Whether *key* has a value in *scope* now."""
    return bool(parts_at(run, scope + key, run.version))


def available_keys(run: Run, node: NodeState) -> list[str]:
    """Context keys that *node* could read now."""
    return keys_at(run, node.plan.scope, run.version)


def needs_observations(node: NodeState) -> bool:
    """Whether values or files have to be looked at before *node* can start."""
    plan = node.plan
    if plan.skip is not None or plan.kind is NodeKind.SUB_COMMAND:
        return True
    return bool(plan.inputs) and any(spec.transform for spec in plan.inputs)


def breaker_of(run: Run, node: NodeState) -> str | None:
    """The circuit breaker that counts *node*'s attempts: its own, or for a model agent the built-in one."""
    if node.plan.breaker is not None:
        return node.plan.breaker
    undo = node.status in {NodeStatus.COMPENSATING, NodeStatus.COMPENSATED, NodeStatus.COMPENSATION_FAILED}
    return MODEL_BREAKER if is_model_work(run, node.plan, undo=undo) else None


def asks_breaker(run: Run, node: NodeState) -> str | None:
    """The circuit breaker that *node* asks before it starts; the built-in one only while the service seems scarce."""
    return node.plan.breaker or (breaker_of(run, node) if run.scarce else None)


def queues(node: NodeState) -> bool:
    """Whether an attempt of *node* waits for its turn: it is scheduled, and no worker has begun it yet."""
    return node.live is not None and node.live.started_at is None


def standing(node: NodeState) -> NodeStatus:
    """The status of *node* to show: it is waiting as long as its attempt waits for its turn."""
    return NodeStatus.WAITING if node.status is NodeStatus.RUNNING and queues(node) else node.status


def waiting_for(run: Run, node: NodeState) -> str | None:
    """The reason why *node* is not running, in words for a user; None if there is none."""
    waiting = node.waiting
    if waiting is not None:
        words = WAITS[waiting.reason]
        return f"{words}: {waiting.detail}" if waiting.detail else words
    if queues(node) and not run.ended:
        return A_WORKER if node.live is not None and node.live.elsewhere else ITS_TURN
    if node.status is not NodeStatus.PENDING or run.ended:
        return None
    phase = run.phases[node.plan.phase]
    if phase.opened_at is None:
        before = phase.plan.after
        while before is not None and run.phases[before].ended_at is not None:
            before = None
        return None if before is None else run.phases[before].plan.id
    unsettled = [name for name in node.plan.depends_on if not run.nodes[name].settled]
    if unsettled:
        return ", ".join(unsettled)
    return "a free slot"
