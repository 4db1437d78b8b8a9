"""Laws of real work: what agents do and did, against what the journal says of it.

Pure. Each law yields what breaks it; its docstring is the law. Work of the client is no program of ours: nobody can end
it, so that laws about programs do not speak of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from engine.ids import NodeId, attempt_id
from engine.model.policy import Merge
from engine.run import events as ev
from engine.run.events import Role
from engine.run.state import NodeStatus
from engine.scheduling import outcomes
from engine.tables.claims import Holder, conflicts
from tests.support.world.people import FAR, QUEUEING
from tests.support.world.scripts import AgentBroke

if TYPE_CHECKING:
    from engine.executors.port import WorkOrder
    from engine.ids import RunId
    from engine.model.policy import LockSpec
    from engine.run.state import Run
    from tests.support.world.record import Record
    from tests.support.world.world import World

TOLERANCE = 0.001
"""Seconds that looks at the clock may take."""
BeginLaw: TypeAlias = "Callable[[World, Record, WorkOrder, int], Iterator[str]]"
EventLaw: TypeAlias = "Callable[[World, Record, ev.Event], Iterator[str]]"


def work_begins_after_its_commit(_world: World, record: Record, order: WorkOrder, number: int) -> Iterator[str]:
    """No program starts whose attempt is not in the journal, live, with the same role."""
    live = record.node(order.node).live
    if live is None or live.number != number or live.role.value != order.role:
        yield f"the journal has {live}"


def one_program_a_node(world: World, record: Record, order: WorkOrder, _number: int) -> Iterator[str]:
    """No two programs work on one node at a time, whoever started them."""
    others = [program.order.attempt for program in world.agents.of(record.id, order.node)]
    if others:
        yield f"{others} still run"


def no_more_programs_than_allowed(world: World, record: Record, order: WorkOrder, _number: int) -> Iterator[str]:
    """No more programs work on a run at a time than it may have at once; undoing does not count."""
    limit = record.run.limits.max_parallelism
    at_work = [one.order.attempt for one in world.agents.of(record.id) if one.order.role == Role.FORWARD.value]
    if order.role == Role.FORWARD.value and limit is not None and len(at_work) >= limit:
        yield f"{at_work} run, and {limit} may"


def exclusive_work(world: World, record: Record, order: WorkOrder, _number: int) -> Iterator[str]:
    """Programs whose locks conflict never run at a time, whichever servers started them."""
    mine = _locks_around(record.run, order.node)
    for program in world.agents.running.values():
        if (program.run, program.node) == (record.id, order.node):
            continue
        theirs = _locks_around(world.audit.records[program.run].run, program.node)
        for holder, locks in mine.items():
            for other, other_locks in theirs.items():
                if holder == other or holder.encloses(other) or other.encloses(holder):
                    continue
                if any(conflicts(one, two) for one in locks for two in other_locks):
                    yield f"{holder} and {other}, whose {program.order.attempt} runs"


def _locks_around(run: Run, node: NodeId) -> dict[Holder, tuple[LockSpec, ...]]:
    """The locks that work on *node* relies on: its own, those of the sub-commands around it, the run's."""
    found = {Holder(run.id): run.plan.locks}
    name = node
    while name:
        found[Holder(run.id, name)] = run.nodes[name].plan.locks
        name = NodeId(name.rpartition("/")[0])
    return {holder: locks for holder, locks in found.items() if locks}


def same_inputs(_world: World, record: Record, order: WorkOrder, _number: int) -> Iterator[str]:
    """Every try of a node, and its undoing, sees the inputs of its first try."""
    first = record.inputs.setdefault(order.node, dict(order.inputs))
    if first != order.inputs:
        yield f"{sorted(order.inputs)} are not what they were"


def inputs_are_what_was_answered(world: World, record: Record, order: WorkOrder, _number: int) -> Iterator[str]:
    """An input that one node alone has given is what that node answered, crashes and evictions notwithstanding."""
    run = record.run
    plan = run.nodes[order.node].plan
    for spec in plan.inputs:
        givers = [n for n in run.nodes.values() if n.plan.scope == plan.scope and spec.key in n.outputs]
        if spec.transform or len(givers) != 1 or givers[0].plan.inner or spec.key not in order.inputs:
            continue
        if any(output.merge is not Merge.REPLACE for output in givers[0].plan.outputs if output.key == spec.key):
            continue
        node = run.nodes[order.node]
        parts = run.context.get(plan.scope + spec.key, ())
        if node.version is None or not parts or parts[-1].version > node.version:
            continue
        reply = world.agents.reply_of(record, givers[0])
        if reply is not None and reply[spec.key] != order.inputs[spec.key]:
            yield f"{spec.key} is {order.inputs[spec.key]!r}, and {givers[0].plan.id} gave {reply[spec.key]!r}"


def ended_means_gone(world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """An attempt has ended only when its program has, and a run when all its programs have.

    What workers of a fleet run outlives an interruption.
    """
    if isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptLost):
        attempt = attempt_id(record.id, event.node, event.number)
        if attempt in world.agents.running:
            yield f"{attempt} still runs"
    elif isinstance(event, ev.RunEnded | ev.RunInterrupted):
        tied = world.agents.tied_to(record.id, interrupted=isinstance(event, ev.RunInterrupted))
        left = [program.order.attempt for program in tied]
        if left:
            yield f"{left} still run"


def undone_after_done(world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """At the end of a run the last thing that really happened for an undone node is its undoing."""
    if not isinstance(event, ev.RunEnded) or record.run.executor == "host":
        return
    for name, node in record.run.nodes.items():
        if node.status is not NodeStatus.COMPENSATED:
            continue
        done = world.agents.tries(record.id, name, Role.FORWARD.value)
        undone = world.agents.tries(record.id, name, Role.COMPENSATE.value)
        if not undone or (done and done[-1].at > undone[-1].at):
            yield f"{name}: done {done}, undone {undone}"


def completed_was_done(world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """An attempt that has succeeded was really made."""
    if isinstance(event, ev.AttemptSucceeded) and not record.node(event.node).plan.inner:
        attempt = attempt_id(record.id, event.node, event.number)
        if attempt not in world.agents.replies:
            yield f"{attempt} has succeeded, and nobody answered"


def executors_break_down_as_scripted(_world: World, _record: Record, event: ev.Event) -> Iterator[str]:
    """No attempt fails because something broke down on the way to its program, unless that is what the program does."""
    failure = event.failure if isinstance(event, ev.AttemptFailed) else None
    if failure is not None and failure.code == "EXECUTOR_FAILED" and AgentBroke.__name__ not in failure.message:
        yield failure.message


def limits_count_what_was_lived(_world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """No limit ends anything before so much time was lived, whatever the clock showed."""
    for what, limit in _limits_passed(record, event):
        lived = record.lived - record.began[what]
        if lived < limit.total_seconds() - TOLERANCE:
            yield f"{event} after {lived:.6f} s, and the limit of {what} is {limit}"


def _limits_passed(record: Record, event: ev.Event) -> Iterator[tuple[object, timedelta]]:
    """What *event* says to have passed its limit, and the limit."""
    run = record.run
    if isinstance(event, ev.AttemptStopping):
        plan = record.node(event.node).plan
        idle = run.plan.agents[plan.agent].idle_timeout if plan.agent in run.plan.agents else None
        if event.failure == outcomes.timed_out(record.node(event.node)):
            yield (event.node, event.number), plan.timeout
        elif event.failure.code == "IDLE_TIMEOUT" and idle is not None and not plan.inner:
            yield (event.node, event.number), idle
    elif isinstance(event, ev.NodeFailed):
        plan = record.node(event.node).plan
        own = record.node(event.node).waiting is not None and f":{event.node} waited" in event.failure.message
        timeout = run.phases[plan.phase].plan.timeout
        if event.failure.code == "LOCK_TIMEOUT" and own:
            yield event.node, plan.lock_wait
        elif event.failure.code == outcomes.PHASE_TIMEOUT and timeout is not None and not plan.inner:
            yield plan.phase, timeout
    elif isinstance(event, ev.RunStopping) and event.cause.failure is not None:
        most = run.limits.max_duration_seconds
        if event.cause.failure.code == "DURATION_EXCEEDED" and most is not None:
            yield None, timedelta(seconds=most)


def waiting_is_no_work(world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """What waits for a machine is never too late: its time runs from the start of its program."""
    if not isinstance(event, ev.AttemptStopping) or event.failure != outcomes.timed_out(record.node(event.node)):
        return
    node = record.node(event.node)
    undo = node.live is not None and node.live.role is Role.COMPENSATE
    if node.plan.worker(undo=undo) not in QUEUEING | FAR or outcomes.is_clients(
        record.run, node, node.attempts[-1].role
    ):
        return
    began = world.agents.began.get(attempt_id(record.id, event.node, event.number))
    if began is None or record.lived - began < node.plan.timeout.total_seconds() - TOLERANCE:
        yield f"{event} at {record.lived:.6f} s, and its program started at {began}"


def work_of(world: World, run: RunId) -> list[str]:
    """The programs of *run* that run now."""
    return [program.order.attempt for program in world.agents.of(run)]


BEGIN_LAWS: tuple[BeginLaw, ...] = (
    work_begins_after_its_commit,
    one_program_a_node,
    no_more_programs_than_allowed,
    exclusive_work,
    same_inputs,
    inputs_are_what_was_answered,
)


def killed_runs_have_lived(world: World, record: Record, event: ev.Event) -> Iterator[str]:
    """A run whose server was killed has run until that has last shown that it lives, or written."""
    if isinstance(event, ev.RunInterrupted) and event.since is not None and record.run.changed_at is not None:
        owner = next(one for one in world.servers if one.owner.id == record.run.owner)
        heard, shown = record.run.changed_at, world.places.shown(owner.owner.id)
        if shown is not None:
            heard = max(heard, min(shown, event.at))
        if event.since > heard or (event.since < heard and not owner.alive):  # one that lives shows it again meanwhile
            yield f"{record.id} counts as dead since {event.since}, and was heard of at {heard}"


EVENT_LAWS: tuple[EventLaw, ...] = (
    ended_means_gone,
    undone_after_done,
    completed_was_done,
    executors_break_down_as_scripted,
    limits_count_what_was_lived,
    waiting_is_no_work,
    killed_runs_have_lived,
)
