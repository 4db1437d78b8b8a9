"""Laws of the lock table, asked after every commit.

Pure. Each law yields what breaks it; its docstring is the law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from engine.run.events import RunStatus, WaitReason
from engine.run.state import NodeStatus
from engine.scheduling.outcomes import is_stopping
from engine.tables.claims import conflicts

if TYPE_CHECKING:
    from engine.tables.claims import Claim
    from tests.support.world.world import World

UNFINISHED = frozenset({NodeStatus.PENDING, NodeStatus.WAITING, NodeStatus.RUNNING, NodeStatus.COMPENSATING})
TableLaw: TypeAlias = "Callable[[World, Sequence[Claim]], Iterator[str]]"


def exclusive_is_never_shared(_world: World, claims: Sequence[Claim]) -> Iterator[str]:
    """Of claims that conflict at most one is granted, whichever servers they come from."""
    held = [claim for claim in claims if claim.granted]
    for place, one in enumerate(held):
        for other in held[place + 1 :]:
            if one.holder.encloses(other.holder) or other.holder.encloses(one.holder):
                continue
            if any(conflicts(mine, theirs) for mine in one.specs for theirs in other.specs):
                yield f"{one.holder} and {other.holder}"


def no_lock_leaks(world: World, claims: Sequence[Claim]) -> Iterator[str]:
    """What has ended holds no lock and waits for none; of dead runs only reserved locks are left."""
    for claim in claims:
        holder = claim.holder
        record = world.audit.records.get(holder.run)
        if record is None or record.removed:
            yield f"{holder} has a claim, and there is no such run"
            continue
        run = record.run
        if run.status is RunStatus.INTERRUPTED:
            if not (claim.granted and claim.reserved):
                yield f"{holder} has a claim that is not reserved, and its run is interrupted"
        elif run.ended:
            yield f"{holder} has a claim, and its run is {run.status}"
        elif holder.node is not None:
            node = record.node(holder.node)
            waits = node.waiting is not None and node.waiting.reason is WaitReason.LOCKS
            to_undo = holder.node in run.undoing or (run.saga is not None and holder.node in run.saga.order)
            kept = node.status in UNFINISHED or to_undo  # it had them when its owner died
            around = (
                bool(node.plan.inner) and is_stopping(run, holder.node) and claim.granted
            )  # what is inside needs it
            if not (node.locked or waits or kept or around):
                yield f"{holder} has a claim, and is {node.status}"


def reserved_means_interrupted(world: World, claims: Sequence[Claim]) -> Iterator[str]:
    """Locks are reserved for interrupted runs only."""
    for claim in claims:
        record = world.audit.records.get(claim.holder.run)
        if claim.reserved and record is not None and record.run.status is not RunStatus.INTERRUPTED:
            yield f"{claim.holder} is reserved, and its run is {record.run.status}"


def questions_are_answered(world: World, _claims: Sequence[Claim]) -> Iterator[str]:
    """What a node asks of locks and breakers is answered in the commit in which it asks, unless its run was let go."""
    for record in world.audit.live():
        owner = world.owner_of(record)
        live = None if owner is None else owner.engine.live_runs.runs.get(record.id)
        if live is None or live.ended:  # it was let go, and that is being recorded
            continue
        asking = [name for name, node in record.run.nodes.items() if node.asking]
        if asking:
            yield f"{record.id}: {asking} are not answered"


TABLE_LAWS: tuple[TableLaw, ...] = (
    exclusive_is_never_shared,
    no_lock_leaks,
    reserved_means_interrupted,
    questions_are_answered,
)
