"""Attempts whose process or worker is gone: run them again, ask a person, or fail the node.

Pure. An attempt is lost if it ended and no one can say how: with the process that owned its run, found when that is
resumed, or with the worker of a fleet, while its run continues. It ran up to an unknown point, so it is repeated only
if its node allows that (`idempotent`). A node that loses one worker after another probably takes them down itself:
`MAX_WORKERS` in a row are the most that it may cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.plan import NodeKind
from engine.model.policy import WORKER_LOST, Failure, FailureKind
from engine.run import events as ev
from engine.run.events import Role, WaitReason
from engine.run.signals import ReportOutcome
from engine.scheduling import outcomes

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.run.state import NodeState
    from engine.scheduling.step import Step

MAX_WORKERS = 3
"""How many workers in a row may be lost with attempts of a node before it fails."""


def lose(step: Step, name: NodeId, number: int, worker: str) -> None:
    """Record that *worker* is gone, with an attempt that is live; all that the attempt started has ended."""
    node, live = outcomes.live_attempt(step, name, number)
    if live.stopping is not None:  # it was asked to end, and has
        outcomes.attempt_ended(step, ReportOutcome(name, number, {}, live.stopping))
    elif node.workers_lost + 1 >= MAX_WORKERS and not _asks(node, live.role):
        outcomes.attempt_ended(step, ReportOutcome(name, number, {}, _too_many(name, worker)))
    else:
        step.emit(ev.AttemptLost(step.now, name, number, worker))
        if live.role is Role.FORWARD:
            repeat(step, node)
        outcomes.go_on_stopping(step)


def repeat(step: Step, node: NodeState) -> None:
    """Have *node*, whose forward attempt was lost, run again, or ask a person if that may do harm."""
    name = node.plan.id
    if outcomes.is_stopping(step.run, name):
        step.emit(ev.NodeCancelled(step.now, name))
    elif not _asks(node, Role.FORWARD):
        step.emit(ev.NodeReady(step.now, name))
    else:
        worker = node.attempts[-1].lost_worker
        how = f"with the worker {worker}" if worker else "in a crash"
        detail = f"its attempt was lost {how} and it is not idempotent: retry, skip or fail"
        step.emit(ev.NodeWaiting(step.now, name, WaitReason.DECISION, None, detail))


def _asks(node: NodeState, role: Role) -> bool:
    """Whether a person decides about a lost attempt of *node*."""
    return role is Role.FORWARD and not node.plan.idempotent and node.plan.kind is not NodeKind.SUB_COMMAND


def _too_many(name: NodeId, worker: str) -> Failure:
    return Failure(
        FailureKind.ERROR,
        WORKER_LOST,
        f'Node "{name}" was running on each of {MAX_WORKERS} workers that were lost in a row, the last one {worker}',
        hint="See whether it ends its worker, by its use of memory for example; then resume the run with --failed.",
    )
