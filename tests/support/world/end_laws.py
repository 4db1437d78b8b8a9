"""Laws of a project in which every run has come to its end.

Pure, but for reads of the storage. Each law yields what breaks it; its docstring is the law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from engine.ids import attempt_id
from engine.run.events import ValueRef
from engine.run.state import NodeStatus
from engine.storage.codec import decode_value, encode_event, encode_value

if TYPE_CHECKING:
    from tests.support.world.world import World

EndLaw: TypeAlias = "Callable[[World], Iterator[str]]"


def no_claim_is_left(world: World) -> Iterator[str]:
    """When all runs have ended nobody has or wants a lock."""
    claims = world.read(world.inspector.claims())
    if claims:
        yield str([str(claim.holder) for claim in claims])


def no_program_is_left(world: World) -> Iterator[str]:
    """When all runs have ended none of their programs runs."""
    if world.agents.running:
        yield str(list(world.agents.running))


def journals_are_what_was_written(world: World) -> Iterator[str]:
    """Storage gives every journal back as it was acknowledged, and keeps its row in step."""
    for record in world.audit.present():
        events = world.read(world.inspector.events(record.id))
        if [encode_event(event) for event in events] != record.log:
            yield f"{record.id}: {len(events)} of {len(record.log)} events"
        row = world.read(world.inspector.summary(record.id))
        if row is None or (row.status, row.ended_at) != (record.run.status, record.run.ended_at):
            yield f"{record.id} is {record.run.status}, and its row says {row}"


def values_stay_readable(world: World) -> Iterator[str]:
    """What a completed node gave can be read to the end, and is what its agent answered."""
    for record in world.audit.present():
        for name, node in record.run.nodes.items():
            if node.status is not NodeStatus.COMPLETED or node.plan.inner:
                continue
            reply = world.agents.reply_of(record, node)
            for key, ref in node.outputs.items():
                data = world.inspector.value(ref.digest) if isinstance(ref, ValueRef) else b"null"
                if data is None:
                    yield f"{record.id}:{name} {key} is lost"
                elif reply is not None and encode_value(decode_value(data)) != encode_value(reply[key]):
                    yield f"{record.id}:{name} {key} is not what was answered"


def no_trial_is_left(world: World) -> Iterator[str]:
    """No circuit breaker waits for a trial call that nobody makes."""
    trial = world.breaker("api").trial
    if trial is not None:
        yield f"it waits for {trial}"


def session_values_are_readable(world: World) -> Iterator[str]:
    """What later commands of the project would find can be read."""
    for row in world.read(world.inspector.session_values(world.now())):
        if world.inspector.value(row.digest) is None:
            yield f"{row.key} of {row.run}"


def what_was_merged_is_reported(world: World) -> Iterator[str]:
    """An attempt whose work cannot be taken back is never lost, whenever its server dies: it would be done twice."""
    for record in world.audit.present():
        for name, node in record.run.nodes.items():
            for tried in node.attempts:
                if tried.lost and attempt_id(record.id, name, tried.number) in world.agents.merged:
                    yield f"{record.id}:{name}#{tried.number} was merged, and lost"


END_LAWS: tuple[EndLaw, ...] = (
    no_claim_is_left,
    no_program_is_left,
    journals_are_what_was_written,
    values_stay_readable,
    no_trial_is_left,
    session_values_are_readable,
    what_was_merged_is_reported,
)
