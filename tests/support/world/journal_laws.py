"""Laws of single events: what may be written into a run's journal, given what stands there.

Pure. Each law is a function that yields what breaks it; its docstring is the law. The record is as it was before the
event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from engine.ids import NodeId
from engine.model.plan import NodeKind
from engine.model.policy import CompensationType, FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, StopKind, WaitReason
from engine.run.nesting import is_inside, outer
from engine.run.state import END_STATES, NodeStatus
from engine.scheduling import retry, saga
from engine.scheduling.outcomes import PHASE_TIMEOUT, is_stopping
from engine.scheduling.saga import UNDOING
from tests.support.reading import stale

if TYPE_CHECKING:
    from engine.ids import OwnerId
    from engine.run.state import NodeState, Run
    from tests.support.world.record import Record

Law: TypeAlias = "Callable[[Record, ev.Event, OwnerId], Iterator[str]]"


def one_owner(record: Record, _event: ev.Event, writer: OwnerId) -> Iterator[str]:
    """Only the owner of a run writes its journal."""
    if record.owner != writer:
        yield f"{writer} writes, and {record.owner} owns it"


def nothing_in_anothers_name(record: Record, event: ev.Event, writer: OwnerId) -> Iterator[str]:
    """Who finds a run without its owner writes that it is interrupted, and nothing else before it takes the run up."""
    first = isinstance(event, ev.RunInterrupted | ev.RunResumed | ev.RunReopened)
    if record.run.owner != writer and not first:
        yield f"{writer} writes {event}, and has not taken the run up"


def nothing_after_the_end(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """After a run has ended nothing happens to it but that it is taken up again."""
    status = record.run.status
    if status is RunStatus.INTERRUPTED:
        if not isinstance(event, ev.RunResumed):
            yield f"{status}, then {event}"
    elif status in END_STATES and not (
        isinstance(event, ev.RunReopened) and status in {RunStatus.FAILED, RunStatus.DEGRADED}
    ):
        yield f"{status}, then {event}"


def nothing_twice(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """What has succeeded is neither done nor undone once more, until it is reset."""
    if isinstance(event, ev.AttemptScheduled):
        names = record.done if event.role is Role.FORWARD else record.undone
        if event.node in names:
            yield f"{event.node} has succeeded before ({event.role})"


def dependencies_first(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """No node starts before all that it depends on is settled and its phase is open."""
    if isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD:
        plan = record.node(event.node).plan
        missing = [name for name in plan.depends_on if not record.node(name).settled]
        if missing:
            yield f"{event.node} starts before {missing}"
        phase = record.run.phases[plan.phase]
        if phase.opened_at is None or phase.ended_at is not None:
            yield f"{event.node} starts, and its phase {phase.plan.id} is not open"


def limits(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """No limit of parallelism, attempts, cost or time is passed."""
    if not isinstance(event, ev.AttemptScheduled) or event.role is not Role.FORWARD:
        return
    run, plan = record.run, record.node(event.node).plan
    most = run.limits
    phase = run.phases[plan.phase]
    host = phase if phase.plan.host is None else run.phases[phase.plan.host]
    fails = (
        plan.kind is NodeKind.SUB_COMMAND and record.node(event.node).attempts
    )  # it may go on only to undo what it did
    for part in (phase, host) if plan.template is None and not fails else ():
        if part.plan.limit is not None and part.running >= part.plan.limit:
            yield f"{event.node} is one too many in phase {part.plan.id}"
    if run.deadline is not None and event.at > run.deadline and run.stop is None:
        yield f"{event.node} starts at {event.at}, and the time was over at {run.deadline}"
    if phase.deadline is not None and event.at > phase.deadline and not fails:
        yield f"{event.node} starts at {event.at}, and the time of its phase was over at {phase.deadline}"
    if plan.kind is NodeKind.SUB_COMMAND:
        return
    if most.max_parallelism is not None and run.running >= most.max_parallelism:
        yield f"{event.node} is one too many"
    if most.max_attempts_total is not None and run.attempts_total >= most.max_attempts_total:
        yield f"{event.node} starts after {run.attempts_total} attempts"
    if most.max_cost_usd is not None and run.cost_usd >= most.max_cost_usd:
        yield f"{event.node} starts after ${run.cost_usd}"
    if event.budget is not None and (run.budget_left is None or event.budget > run.budget_left):
        yield f"{event.node} may cost ${event.budget}, and ${run.budget_left} is left"


def the_best_goes_first(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """No node takes the slot of a better one of its phase that has only to hear from its locks or its breaker."""
    if not isinstance(event, ev.AttemptScheduled) or event.role is not Role.FORWARD:
        return
    phase = record.run.phases[record.node(event.node).plan.phase].plan
    if phase.limit is None or record.node(event.node).plan.kind is NodeKind.SUB_COMMAND:
        return
    nodes = [record.node(name) for name in phase.nodes]
    live = sum(node.live is not None and node.live.role is Role.FORWARD for node in nodes)
    better = [node.plan.id for node in nodes if _asks(node) and _rank(node) < _rank(record.node(event.node))]
    if better and live + len(better) >= phase.limit:
        yield f"{event.node} starts before {better}"


def _asks(node: NodeState) -> bool:
    waiting = node.waiting
    asked = waiting is not None and waiting.until is None and waiting.reason in ev.ASKED
    return asked and node.status is NodeStatus.WAITING


def _rank(node: NodeState) -> tuple[int, float, int]:
    return (-node.plan.priority, -node.plan.rank.total_seconds(), node.plan.index)


def a_lost_attempt_is_no_retry(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """A node is tried again as often as its policy says; what a crash or an exhausted quota took does not count."""
    if not isinstance(event, ev.NodeFailed | ev.CompensationFailed):
        return
    node = record.node(event.node)
    policy, failure = node.plan.retry, event.failure
    if (
        record.failure.get(event.node) != failure
        or failure.code == PHASE_TIMEOUT
        or node.plan.kind is NodeKind.SUB_COMMAND
    ):
        return
    forward = isinstance(event, ev.NodeFailed)
    if forward and is_stopping(record.run, event.node):
        return
    if not forward and record.run.stop is not None and not record.run.stop.compensate:
        return
    tries = record.failed[event.node, Role.FORWARD if forward else Role.COMPENSATE]
    by_policy = policy.max_retries if policy is not None and retry.is_retryable(policy, failure) else None
    extra = forward and node.retried_by_compensation
    if by_policy is not None and tries != 1 + by_policy + extra:
        yield f"{event.node} ({event.failure.code}) is given up after {tries} tries of {1 + by_policy + extra}"
    if policy is None and tries > 1 + extra:
        yield f"{event.node} was tried {tries} times without a policy"


def no_try_too_many(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """No node is tried more often than its policy says."""
    if not isinstance(event, ev.AttemptScheduled):
        return
    node = record.node(event.node)
    if node.plan.kind is NodeKind.SUB_COMMAND:
        return
    allowed = node.plan.retry.max_retries if node.plan.retry is not None else 0
    allowed += event.role is Role.FORWARD and node.retried_by_compensation
    if record.failed[event.node, event.role] > allowed:
        yield f"{event.node} is tried, has failed {record.failed[event.node, event.role]} times and may {allowed} times"


def no_second_harm(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """A node that is not idempotent and was lost in a crash does not run again before a person has decided."""
    if isinstance(event, ev.AttemptScheduled) and event.role is Role.FORWARD and event.node in record.held:
        yield f"{event.node} runs again"


def undone_in_order(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """What depends on a node, or is inside it, is undone before it is."""
    if not isinstance(event, ev.AttemptScheduled) or event.role is not Role.COMPENSATE:
        return
    sagas = [record.run.saga, *record.run.stopping.values()]
    order = next((one.order for one in sagas if one is not None and event.node in one.order), ())
    over = {NodeStatus.COMPENSATED, NodeStatus.COMPENSATION_FAILED}
    for name in order:
        later = name in record.node(event.node).plan.dependents or is_inside(name, event.node)
        if later and record.node(name).status not in over:
            yield f"{event.node} is undone before {name}"


def completed_means_all_done(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """A run is completed if and only if every node has completed or was skipped, but for iterations before the last."""
    if isinstance(event, ev.RunEnded):
        good = {NodeStatus.COMPLETED, NodeStatus.SKIPPED}
        left = {
            name: node.status.value
            for name, node in record.run.nodes.items()
            if node.status not in good and not _is_past(record.run, name)
        }
        left |= dict.fromkeys(record.run.exhausted, "exhausted")
        if (event.status is RunStatus.COMPLETED) != (not left and record.run.stop is None):
            yield f"{event.status} with {left}, stop {record.run.stop}"


def _is_past(run: Run, name: NodeId) -> bool:
    """Whether *name* is inside an iteration that another one followed."""
    for one in (name, *outer(name)):
        around, _, number = one.rpartition("/")
        shape = run.unfolded.get(NodeId(around))
        if shape is not None and not shape.items and int(number) < shape.count:
            return name != one
    return False


def as_many_as_items(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """From its unfolding on a node has one instance for each item, and a loop one for each iteration."""
    if isinstance(event, ev.RunEnded):
        for name, shape in record.run.unfolded.items():
            numbers = {other.rpartition("/")[2] for other in record.run.nodes if other.rpartition("/")[0] == name}
            if numbers != {str(number) for number in range(1, shape.count + 1)}:
                yield f"{name} has the instances {sorted(numbers)} of {shape.count}"


def ends_idle(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """When a run ends, nothing of it runs."""
    if isinstance(event, ev.RunEnded):
        live = sorted(record.run.live)
        if live:
            yield f"{event.status} while {live} run"


def undone_or_reported(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """At the end of a stopped run all that had to be undone is undone, recorded as not undone, or named as left."""
    run = record.run
    if not isinstance(event, ev.RunEnded) or run.stop is None or run.stop.rollback_to is not None:
        return
    kind = run.stop.failure.kind if run.stop.failure is not None else FailureKind.CANCEL
    for name, node in run.nodes.items():
        undo = node.plan.compensation
        if not saga.has_begun(run, node) or undo is None or undo.type not in UNDOING:
            continue
        if node.status in {NodeStatus.COMPENSATED, NodeStatus.COMPENSATION_FAILED}:
            continue
        if run.stop.compensate and kind in undo.on:
            yield f"{name} is {node.status}"
        if not run.stop.compensate and name not in event.message:
            yield f"{name} is {node.status} and not named: {event.message}"


def undone_inside(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """A sub-command that fails while the run goes on fails when what was done inside it is undone."""
    if not isinstance(event, ev.NodeFailed) or record.run.stop is not None:
        return
    group, undo = record.node(event.node).plan, record.node(event.node).plan.compensation
    cascades = undo is not None and undo.type is CompensationType.CASCADE and event.failure.kind in undo.on
    if not group.inner or cascades or not record.run.phases[group.phase].plan.continue_on_error:
        return
    for name, node in record.run.nodes.items():
        over = node.status in {NodeStatus.COMPENSATED, NodeStatus.COMPENSATION_FAILED}
        if is_inside(name, group.id) and saga.is_undone_after(record.run, node, event.failure.kind) and not over:
            yield f"{name} is {node.status}"


def ended_as_it_went(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """The end state says what happened: cancelled by a person, undone, failed, or a failed undoing."""
    run = record.run
    if not isinstance(event, ev.RunEnded):
        return
    if (event.status is RunStatus.COMPENSATION_FAILED) != bool(run.undo_failures):
        yield f"{event.status} with failed undoing of {run.undo_failures}"
    cancelled = run.stop is not None and run.stop.kind is StopKind.CANCEL and not run.undo_failures
    if (event.status is RunStatus.CANCELLED) != cancelled:
        yield f"{event.status}, stopped by {run.stop}"
    if event.status is RunStatus.DEGRADED and not run.failures and not run.exhausted:
        yield "degraded without a failure"


def nothing_read_is_stale(record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """When a run ends, every node has read what those before it gave in the end, however often it was taken up."""
    if isinstance(event, ev.RunEnded):
        yield from stale(record.run)


def waits_have_reasons(_record: Record, event: ev.Event, _writer: OwnerId) -> Iterator[str]:
    """Waiting for a retry ends by itself; only people, and tables that answer at once, are waited for without end."""
    if isinstance(event, ev.NodeWaiting) and event.until is None and event.reason is WaitReason.RETRY:
        yield f"{event.node} waits for {event.reason} for ever"


JOURNAL_LAWS: tuple[Law, ...] = (
    one_owner,
    nothing_in_anothers_name,
    nothing_after_the_end,
    nothing_twice,
    dependencies_first,
    limits,
    the_best_goes_first,
    a_lost_attempt_is_no_retry,
    no_try_too_many,
    no_second_harm,
    undone_in_order,
    completed_means_all_done,
    as_many_as_items,
    ends_idle,
    undone_or_reported,
    undone_inside,
    ended_as_it_went,
    nothing_read_is_stale,
    waits_have_reasons,
)
