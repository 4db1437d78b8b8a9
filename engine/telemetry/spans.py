"""The spans of a run, for OpenTelemetry: a run, its phases, their nodes, the attempts of each.

Pure, a projection of the run: `ended_spans` names the spans that an event ends, with all that is known of them.

Theory of operation
===================

**A span is made when it ends**, from the folded run, so nothing has to be remembered from its start, and a process that
resumes a run makes the spans that the one before has left open. Ids follow from names (`ids.py`). The span of a run
lasts to its end, through interruptions, which are events in it; a run that is retried has another one, below the first
and linked to it.

**Parents.** Attempt, node, phase, and the run or the node of the sub-command around. An attempt that undoes a node is
below the run: it comes after the end of its node, and is linked to the attempt that it undoes.

**The listener may be late.** The run may be ahead of the events, but never by a reset, and what is read here of an
attempt or a node does not change after its end.

**What is in a span.** Names, times, numbers and the message of a failure, which is redacted and cut. No task, no input,
no output. The names are those of the semantic conventions for generative AI where there is one; they are spelled out,
as the Python package that had them as constants has given them up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from engine.ids import attempt_id, session_id
from engine.model.plan import NodeKind
from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus
from engine.run.state import NodeStatus, is_model_work
from engine.telemetry.ids import attempt_span, caller_of, first_span, node_span, phase_span, run_span, trace_of
from engine.text.redaction import one_line
from engine.views.metrics import totals
from engine.views.timeline import closing, end_of, ready_at, work_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from engine.model.plan import PhasePlan
    from engine.model.policy import Failure, Usage
    from engine.run.state import AttemptRecord, NodeState, PhaseState, Run

PROVIDER = "anthropic"
"""The provider of all model agents here."""
MAX_MESSAGE_LENGTH = 500
BAD_ENDS = frozenset({RunStatus.FAILED, RunStatus.COMPENSATED, RunStatus.COMPENSATION_FAILED})
"""Ends of a run that are errors; a cancelled one ended as somebody wanted."""
Value: TypeAlias = "str | int | float"


class Link(NamedTuple):
    """A link to another span of the same trace."""

    span: int
    why: str
    """`retries`, `undoes` or `retries_run`."""


class Span(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One span that has ended."""

    name: str
    trace: int
    id: int
    parent: int | None
    start: datetime
    end: datetime
    attributes: Mapping[str, Value]
    calls: bool = False
    """It is about another program that continues the trace: its kind is CLIENT, otherwise INTERNAL."""
    failed: bool = False
    message: str = ""
    """The reason of its failure."""
    links: tuple[Link, ...] = ()
    moments: tuple[tuple[str, datetime], ...] = ()
    """Moments in it: name and time."""


def ended_spans(run: Run, events: Sequence[ev.Event]) -> Iterator[Span]:
    """The spans of *run* that *events*, the newest ones, have ended."""
    for event in events:
        make = _MAKE.get(type(event))
        if make is not None:
            yield from make(run, event)


def beginning(run: Run) -> datetime:
    """When the newest span of *run* begins: when it was asked for, or last retried."""
    return run.counts_from or run.created_at if run.retried else run.created_at


def _succeeded(run: Run, event: ev.AttemptSucceeded) -> Iterator[Span]:
    yield from _attempt(run, event)
    node = run.nodes[event.node]
    if _record(node, event.number).role is Role.FORWARD:
        yield from _node(run, node, NodeStatus.COMPLETED, event.at)


def _attempt(run: Run, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptLost) -> Iterator[Span]:
    node = run.nodes[event.node]
    record = _record(node, event.number)
    if node.plan.kind is NodeKind.AGENT or record.role is Role.COMPENSATE:
        yield _attempt_span(run, node, record)


def _attempt_span(run: Run, node: NodeState, record: AttemptRecord) -> Span:
    undoes = record.role is Role.COMPENSATE
    agent = node.plan.worker(undo=undoes)
    models = is_model_work(run, node.plan, undo=undoes)
    verb = "invoke_agent" if models else "undo" if undoes else "attempt"
    start = record.started_at or record.scheduled_at
    attributes: dict[str, Value] = {
        "orchestration.run.id": run.id,
        "orchestration.node.id": node.plan.id,
        "orchestration.agent.id": agent,
        "orchestration.attempt.number": record.number,
        "orchestration.attempt.role": record.role.value,
    }
    if models:
        attributes |= model_attributes(run, agent)
        if run.executor == "claude":
            attributes["gen_ai.conversation.id"] = session_id(attempt_id(run.id, node.plan.id, record.number))
    if record.usage is not None:
        attributes |= _used(record.usage)
    if start > record.scheduled_at:
        attributes["orchestration.wait.turn"] = (start - record.scheduled_at).total_seconds()
    if record.worker:
        attributes["orchestration.worker"] = record.worker
    failure = record.failure
    if record.lost:
        attributes["error.type"] = "LOST"
    elif failure is not None:
        attributes["error.type"] = _text(failure.code)
    return Span(
        name=f"{verb} {agent}",
        trace=trace_of(run),
        id=attempt_span(run.id, node.plan.id, record.number),
        parent=run_span(run) if undoes else node_span(run, node.plan.id),
        start=start,
        end=max(start, end_of(record) or start),
        attributes=attributes,
        calls=models,
        failed=record.lost or failure is not None,
        message="the process that ran the attempt died" if record.lost else _message(failure),
        links=tuple(_links(run, node, record)),
    )


def _links(run: Run, node: NodeState, record: AttemptRecord) -> Iterator[Link]:
    """To the attempt that *record* repeats, and to the one that it undoes."""
    if record.number == 1:
        return
    name = node.plan.id
    earlier = [one for one in node.attempts if one.number < record.number]
    undoes = record.role is Role.COMPENSATE
    if not undoes or earlier[-1].role is record.role:  # a retry of the run repeats even what was undone
        yield Link(attempt_span(run.id, name, record.number - 1), "retries")
    forward = [one for one in earlier if one.role is Role.FORWARD]
    if undoes and node.plan.kind is NodeKind.SUB_COMMAND and not run.retried:  # else it may be of an earlier span
        yield Link(node_span(run, name), "undoes")
    elif undoes and forward and node.plan.kind is NodeKind.AGENT:
        yield Link(attempt_span(run.id, name, forward[-1].number), "undoes")


def model_attributes(run: Run, agent: str) -> dict[str, str]:
    """Attributes of the conventions for the work of model agent *agent*."""
    found = run.plan.agents.get(agent)
    model = None if found is None else found.model
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.agent.name": agent,
    }
    return attributes if model is None else {**attributes, "gen_ai.request.model": model}


def _used(usage: Usage) -> dict[str, Value]:
    numbers = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "orchestration.cost.usd": usage.cost_usd,
    }
    return {name: number for name, number in numbers.items() if number is not None}


def _skipped(run: Run, event: ev.NodeSkipped) -> Iterator[Span]:
    yield from _node(run, run.nodes[event.node], NodeStatus.SKIPPED, event.at)


def _failed(run: Run, event: ev.NodeFailed) -> Iterator[Span]:
    yield from _node(run, run.nodes[event.node], NodeStatus.FAILED, event.at, event.failure)


def _cancelled(run: Run, event: ev.NodeCancelled) -> Iterator[Span]:
    node = run.nodes[event.node]
    if node.started_at is not None:  # else it has only waited
        yield from _node(run, node, NodeStatus.CANCELLED, event.at)


def _node(
    run: Run, node: NodeState, status: NodeStatus, end: datetime, failure: Failure | None = None
) -> Iterator[Span]:
    """The span of *node*, after those of the phases inside: some of them end with it, without an event."""
    plan = node.plan
    for index in plan.inner:
        phase = run.phases[index]
        yield from _phase(run, phase, phase.ended_at or end)
    attributes: dict[str, Value] = {
        "orchestration.run.id": run.id,
        "orchestration.node.id": plan.id,
        "orchestration.node.status": status.value,
    }
    if plan.kind is NodeKind.AGENT:
        attributes["orchestration.agent.id"] = plan.agent
        attributes["orchestration.node.work"] = work_of(run, node, end).total_seconds()
        attributes["orchestration.node.attempts"] = len(node.forward)
    for reason, waited in node.waited.items():
        attributes[f"orchestration.wait.{reason.value}"] = waited.total_seconds()
    if failure is not None:
        attributes["error.type"] = _text(failure.code)
    start = min(time for time in (ready_at(run, node), node.started_at, end) if time is not None)
    yield Span(
        name=f"node {plan.origin or plan.id}",
        trace=trace_of(run),
        id=node_span(run, node.plan.id),
        parent=phase_span(run, run.phases[plan.phase].plan),
        start=start,
        end=end,
        attributes=attributes,
        failed=failure is not None and failure.kind is not FailureKind.CANCEL,
        message=_message(failure),
    )


def _phase_ended(run: Run, event: ev.PhaseEnded) -> Iterator[Span]:
    phase = run.phases[event.phase]
    if phase.plan.group is None:  # else it is made with the node around it
        yield from _phase(run, phase, event.at)


def _phase(run: Run, phase: PhaseState, end: datetime) -> Iterator[Span]:
    """The span of *phase*; none if it was not opened since the run was last retried: that has been made before."""
    plan = phase.plan
    opened = phase.opened_at
    if opened is None or (run.retried and run.counts_from is not None and opened < run.counts_from):
        return
    yield Span(
        name=f"phase {_pattern(run, plan)}",
        trace=trace_of(run),
        id=phase_span(run, plan),
        parent=run_span(run) if plan.group is None else node_span(run, plan.group),
        start=opened,
        end=max(opened, end),
        attributes={
            "orchestration.run.id": run.id,
            "orchestration.phase.id": plan.id,
            "orchestration.phase.nodes": len(plan.nodes),
        },
    )


def _pattern(run: Run, plan: PhasePlan) -> str:
    """The id of a phase with `*` for the number of an item or iteration: spans are grouped by their names."""
    if plan.group is None:
        return plan.id
    around = run.nodes[plan.group].plan
    own = "*" if around.loop is not None else plan.id.rpartition("/")[2]
    return f"{around.origin or around.id}/{own}"


def _run_ended(run: Run, event: ev.RunEnded) -> Iterator[Span]:
    for index in run.top:
        phase = run.phases[index]
        if phase.ended_at is None:
            yield from _phase(run, phase, closing(run, phase, event.at))
    caller = caller_of(run.traceparent)
    first = first_span(run.id)
    failed = event.status in BAD_ENDS
    yield Span(
        name=f"invoke_workflow {run.plan.command}",
        trace=trace_of(run),
        id=run_span(run),
        parent=first if run.retried else None if caller is None else caller.span,
        start=beginning(run),
        end=event.at,
        attributes=_of_run(run, event),
        failed=failed,
        message=_text(event.message) if failed else "",
        links=(Link(first, "retries_run"),) if run.retried else (),
        moments=tuple(_moments(run)),
    )


def _of_run(run: Run, event: ev.RunEnded) -> dict[str, Value]:
    """The numbers of the report: those of all processes that have run it, and of all retries."""
    sums = totals(run, event.at)
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run.plan.command,
        "orchestration.run.id": run.id,
        "orchestration.run.status": event.status.value,
        "orchestration.run.executor": run.executor,
        "orchestration.run.nodes": len(run.nodes),
        "orchestration.run.attempts": run.attempts_total,
        "orchestration.run.retries": sums.retries,
        "orchestration.run.duration": _seconds(run.lived(run.created_at, event.at)),
        "orchestration.run.work": _seconds(sums.work),
        "orchestration.run.undo": _seconds(sums.undo),
        "orchestration.wait.locks": _seconds(sums.lock_wait),
    }
    used = {
        "gen_ai.usage.input_tokens": sums.input_tokens,
        "gen_ai.usage.output_tokens": sums.output_tokens,
        "orchestration.cost.usd": sums.cost_usd,
    }
    attributes |= {name: number for name, number in used.items() if number is not None}
    if event.status in BAD_ENDS:
        cause = None if run.stop is None else run.stop.failure
        attributes["error.type"] = _text(cause.code) if cause is not None else event.status.value
    return attributes


def _moments(run: Run) -> Iterator[tuple[str, datetime]]:
    """Pauses since the start of the span: the run had no owner, or the clock jumped."""
    start = beginning(run)
    for since, until in run.pauses:
        if since > start:
            yield "paused", since
            yield "continued", until


def _record(node: NodeState, number: int) -> AttemptRecord:
    return next(record for record in reversed(node.attempts) if record.number == number)


def _message(failure: Failure | None) -> str:
    return "" if failure is None else _text(failure.message)


def _text(message: str) -> str:
    return one_line(message, limit=MAX_MESSAGE_LENGTH)


def _seconds(time: timedelta) -> float:
    return time.total_seconds()


_MAKE: dict[type[ev.Event], Callable[..., Iterator[Span]]] = {
    ev.AttemptSucceeded: _succeeded,
    ev.AttemptFailed: _attempt,
    ev.AttemptLost: _attempt,
    ev.NodeSkipped: _skipped,
    ev.NodeFailed: _failed,
    ev.NodeCancelled: _cancelled,
    ev.PhaseEnded: _phase_ended,
    ev.RunEnded: _run_ended,
}
