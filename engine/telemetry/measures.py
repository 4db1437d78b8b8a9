"""Durations, waits, tokens and cost, as the metrics of OpenTelemetry have them.

Pure, apart from what `Measures` remembers. Every number is one that the report has, so sums agree with it.

Attributes have few values: names of commands, agents and models, codes of failures; never a node, whose instances may
be thousands, and never a run. An agent's program may invent codes, and a client commands, so each attribute takes at
most `MAX_VALUES` different ones in a process, and the rest is `_OTHER`, as the conventions call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.model.plan import NodeKind
from engine.run import events as ev
from engine.run.events import Role, WaitReason
from engine.run.state import ZERO, is_model_work
from engine.telemetry.spans import BAD_ENDS, beginning, model_attributes
from engine.text.redaction import one_line
from engine.views.timeline import SHORTEST_WAIT, ready_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from engine.ids import NodeId, RunId
    from engine.run.state import AttemptRecord, NodeState, Run

MAX_VALUES = 100
OTHER = "_OTHER"
RUN, AGENT, TOKENS = "gen_ai.workflow.duration", "gen_ai.invoke_agent.duration", "gen_ai.client.token.usage"
ATTEMPT, WAIT, COST = "orchestration.attempt.duration", "orchestration.wait.duration", "orchestration.cost"
SLOT, TURN = "slot", "turn"
"""Waits without a `WaitReason`: for a place among the nodes that may run at once, and in an executor's queue."""
_MINUTES = (0.01, 0.1, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


class Instrument(NamedTuple):
    """One instrument of OpenTelemetry."""

    name: str
    unit: str
    description: str
    by: str
    """Its attributes, in words."""
    buckets: tuple[float, ...]
    """Bounds of a histogram; empty: a counter."""


INSTRUMENTS = (
    Instrument(
        RUN,
        "s",
        "Duration of a run, without the time when no process ran it.",
        "command and status",
        (1, *_MINUTES[3:]),
    ),
    Instrument(
        AGENT, "s", "Duration of an attempt of a model agent.", "agent and model", tuple(0.1 * 2**n for n in range(15))
    ),
    Instrument(
        TOKENS,
        "{token}",
        "Tokens of an attempt of a model agent.",
        "agent, model and type (`input`, `output`)",
        tuple(float(4**n) for n in range(14)),
    ),
    Instrument(
        ATTEMPT, "s", "Time that an attempt has worked.", "command, agent and role (`forward`, `compensate`)", _MINUTES
    ),
    Instrument(WAIT, "s", "Time that a node, or a run, has waited.", "command and reason", _MINUTES),
    Instrument(COST, "{USD}", "Cost of attempts.", "command and agent", ()),
)


class Measure(NamedTuple):
    """One number for an instrument."""

    name: str
    value: float
    attributes: dict[str, str]


class Measures:
    """Finds what there is to measure in the events of runs; remembers which waits are open.

    A wait is measured when it ends, or up to an interruption of its run: whoever resumes the run measures the rest.
    """

    def __init__(self) -> None:
        """Begin with no run."""
        self._open: dict[RunId, dict[NodeId | None, tuple[WaitReason, datetime]]] = {}
        """Waits by node, with their start; None: that of the run itself for its locks."""
        self._values: dict[str, set[str]] = {}

    def of(self, run: Run, events: Sequence[ev.Event]) -> Iterator[Measure]:
        """The measures that *events*, the newest of *run*, give."""
        for event in events:
            for found in (*self._waits(run, event), *_of(run, event)):
                few = {name: self._few(name, text) for name, text in found.attributes.items()}
                yield Measure(found.name, found.value, few)

    def _waits(self, run: Run, event: ev.Event) -> Iterator[Measure]:
        waits = self._open.setdefault(run.id, {})
        match event:
            case ev.RunCreated():
                self._claim(run, event.at)
            case ev.NodeWaiting(node=name):
                yield from self._end(run, name, event.at)
                waits[name] = (event.reason, event.at)
            case ev.RunStarted():
                yield from self._end(run, None, event.at)
            case (
                ev.NodeReady(node=name)
                | ev.NodeSkipped(node=name)
                | ev.NodeFailed(node=name)
                | ev.NodeCancelled(node=name)
                | ev.AttemptScheduled(node=name)
                | ev.CompensationFailed(node=name)
            ):
                yield from self._end(run, name, event.at)
            case ev.ClockJumped():
                by = event.at - event.since
                self._open[run.id] = {name: (reason, since + by) for name, (reason, since) in waits.items()}
            case ev.RunInterrupted():  # perhaps of a process that died, so that this one has seen no wait begin
                self._find(run)
                yield from self._end_all(run, event.since or event.at)
            case ev.RunEnded():
                yield from self._end_all(run, event.at)
            case ev.RunResumed() | ev.RunReopened():
                self._claim(run, event.at)
                self._find(run, event.at)
            case _:
                pass

    def _claim(self, run: Run, at: datetime) -> None:
        """Open the wait of a *run* for its own locks, without which it does not start."""
        if run.plan.locks and (run.started_at is None or run.started_at >= at):
            self._open[run.id][None] = (WaitReason.LOCKS, at)

    def _find(self, run: Run, at: datetime | None = None) -> None:
        """Open the waits of the state that are not known, from their start or *at* a time."""
        for name, node in run.nodes.items():
            if node.waiting is not None:
                self._open[run.id].setdefault(name, (node.waiting.reason, at or node.waiting.since))

    def _end_all(self, run: Run, at: datetime) -> Iterator[Measure]:
        for name in list(self._open[run.id]):
            yield from self._end(run, name, at)
        del self._open[run.id]

    def _end(self, run: Run, name: NodeId | None, at: datetime) -> Iterator[Measure]:
        found = self._open[run.id].pop(name, None)
        if found is not None:
            yield from _wait(run, found[0], at - found[1])

    def _few(self, name: str, text: str) -> str:
        known = self._values.setdefault(name, set())
        if text not in known:
            if len(known) >= MAX_VALUES:
                return OTHER
            known.add(text)
        return one_line(text)


def _of(run: Run, event: ev.Event) -> Iterator[Measure]:
    match event:
        case ev.AttemptScheduled(node=name):
            yield from _slot(run, run.nodes[name], event)
        case ev.AttemptStarted(node=name):
            record = _record(run.nodes[name], event.number)
            yield from _wait(run, TURN, (event.since or event.at) - record.scheduled_at)
        case ev.AttemptSucceeded(node=name) | ev.AttemptFailed(node=name):
            yield from _attempt(run, run.nodes[name], event.number)
        case ev.RunEnded():
            yield _end_of(run, event)
        case _:
            pass


def _end_of(run: Run, event: ev.RunEnded) -> Measure:
    attributes = {"gen_ai.workflow.name": run.plan.command, "orchestration.run.status": event.status.value}
    if event.status in BAD_ENDS:
        cause = None if run.stop is None else run.stop.failure
        attributes["error.type"] = event.status.value if cause is None else cause.code
    return Measure(RUN, run.lived(beginning(run), event.at).total_seconds(), attributes)


def _wait(run: Run, reason: str, waited: timedelta) -> Iterator[Measure]:
    if waited > ZERO:
        attributes = {"gen_ai.workflow.name": run.plan.command, "orchestration.wait.reason": str(reason)}
        yield Measure(WAIT, waited.total_seconds(), attributes)


def _slot(run: Run, node: NodeState, event: ev.AttemptScheduled) -> Iterator[Measure]:
    """How long *node* could have run, had there been a place for it."""
    if node.started_at == event.at and event.role is Role.FORWARD:
        ready = ready_at(run, node)
        named = sum((waited for reason, waited in node.waited.items() if reason is not WaitReason.RETRY), ZERO)
        if ready is not None and run.lived(ready, event.at) - named >= SHORTEST_WAIT:
            yield from _wait(run, SLOT, run.lived(ready, event.at) - named)


def _attempt(run: Run, node: NodeState, number: int) -> Iterator[Measure]:
    record = _record(node, number)
    undoes = record.role is Role.COMPENSATE
    if node.plan.kind is NodeKind.SUB_COMMAND and not undoes:
        return
    agent = node.plan.worker(undo=undoes)
    worked = run.worked(record, record.ended_at or run.created_at).total_seconds()
    command = {"gen_ai.workflow.name": run.plan.command}
    failed = {} if record.failure is None else {"error.type": record.failure.code}
    role = {"orchestration.attempt.role": record.role.value}
    yield Measure(ATTEMPT, worked, {**command, "orchestration.agent.id": agent, **role, **failed})
    models = is_model_work(run, node.plan, undo=undoes)
    told = model_attributes(run, agent) if models else {}
    if models:
        yield Measure(AGENT, worked, {**told, **failed})
    usage = record.usage
    if usage is None:
        return
    if usage.cost_usd:
        yield Measure(COST, usage.cost_usd, {**command, "orchestration.agent.id": agent})
    kinds = {"input": usage.input_tokens, "output": usage.output_tokens}
    for kind, count in kinds.items():
        if count is not None:
            yield Measure(TOKENS, count, {**told, "gen_ai.token.type": kind})


def _record(node: NodeState, number: int) -> AttemptRecord:
    return next(record for record in reversed(node.attempts) if record.number == number)
