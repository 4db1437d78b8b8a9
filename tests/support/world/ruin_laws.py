"""Laws of what gets destroyed: work that is undone, thrown away or done once more without any need.

Pure, laws as those of `journal_laws`. Each stands for a fault that no other test would notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run.events import Role, WaitReason

if TYPE_CHECKING:
    from engine.ids import OwnerId
    from tests.support.world.record import Record


def what_was_over_before_is_not_rolled_back(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """What is undone down to a node has begun after that, whatever phase it is in."""
    cause = record.run.stop
    if not isinstance(event, ev.SagaStarted) or event.group is not None or cause is None or cause.rollback_to is None:
        return
    target = record.node(cause.rollback_to).attempts[:1]  # its first: what is taken up again is not later for that
    for name in event.order:
        began = record.node(name).started_at
        if target and began is not None and began < target[0].scheduled_at:
            yield f"{name} is undone, and began before {cause.rollback_to}"


def what_has_begun_is_not_judged_again(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """A sub-command that has begun keeps what it was given, and its skip condition is not asked any more."""
    if isinstance(event, ev.NodeSkipped):
        node = record.node(event.node)
        decided = node.waiting is not None and node.waiting.reason is WaitReason.DECISION
        if node.started_at is not None and not decided:
            yield f"{event.node} is skipped in the middle of its work"
        return
    inputs = event.inputs if isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD else {}
    if isinstance(event, ev.AttemptScheduled) and inputs and record.node(event.node).started_at is not None:
        yield f"{event.node} goes on, and is given {sorted(inputs)}"


def who_breaks_while_it_is_cancelled_is_cancelled(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """However an attempt ends that was told to end because something else stops, it has not failed by itself."""
    if isinstance(event, ev.AttemptFailed):
        live = record.node(event.node).live
        cancelled = live is not None and live.stopping is not None and live.stopping.kind is FailureKind.CANCEL
        if cancelled and event.failure.kind is not FailureKind.CANCEL:
            yield f"{event.node} was cancelled, and counts as {event.failure.kind}/{event.failure.code}"


RUIN_LAWS = (
    what_was_over_before_is_not_rolled_back,
    what_has_begun_is_not_judged_again,
    who_breaks_while_it_is_cancelled_is_cancelled,
)
