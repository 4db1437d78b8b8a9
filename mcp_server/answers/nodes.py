"""One node of a run for people and for the wire: `orchestrate show`, a resource, and a part of a status.

Effects: reads stored values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.errors import OrchestrationError
from engine.executors.answer import request_of
from engine.executors.claude.prompt import host_prompt_of, large_inputs, prompt_of
from engine.model.plan import NodeKind
from engine.run import events as ev
from engine.runtime.orders import make_order
from engine.text.cut import cut
from engine.text.redaction import one_line, redact, redact_shown
from engine.text.shown import clean, within
from engine.views.durations import about, milliseconds, rounded, took
from engine.views.money import dollars
from engine.views.node_detail import node_detail
from engine.views.todos import line
from mcp_server.answers.wire import Line, Wire, Words
from mcp_server.project.nodes import find_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.executors.port import WorkOrder
    from engine.ids import RunId
    from engine.run.state import NodeState, Run
    from engine.service import View
    from engine.storage.cache import ValueCache
    from engine.views.node_detail import AttemptLine, NodeDetail
    from mcp_server.project.reading import Runs

MAX_MESSAGE_LENGTH = 600
MAX_VALUE_LENGTH = 300
"""Characters of an input that a text shows."""
MAX_VALUE_BYTES = 8 * 1024
"""Bytes of an input that JSON includes."""
MAX_PROMPT_LENGTH = 100_000
KILO = 1024


class NodeAttempt(Wire):
    """One attempt of a node."""

    number: int
    rollback: bool | None = None
    state: str
    """waiting, running, stopping, completed, failed or lost."""
    started_at: str
    duration_ms: int
    worker: Line | None = None
    code: Line | None = None
    message: Words | None = None
    hint: Words | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    session: str | None = None
    """The Claude Code session: `claude --resume` shows it."""
    warnings: list[Words] | None = None


class NodeInput(Wire):
    """One input of a node."""

    key: Line
    required: bool
    from_nodes: list[str]
    """The nodes that produced it; none for an argument or a default."""
    bytes: int | None = None
    """Absent: there is no value yet."""
    value: Any = None
    """As the agent gets it; absent if it is large, or if the node has not started."""


class NodeOutput(Wire):
    """One output of a node."""

    key: Line
    persist: bool
    bytes: int | None = None
    """Absent: there is no value yet."""


class NodeAnswer(Wire):
    """Everything about one node of a run."""

    run_id: str
    id: str
    phase: Line
    agent_id: Line
    executor: str
    """The kind of its agent, or `command` for a sub-command."""
    state: str
    waiting_for: Line | None = None
    skipped: Words | None = None
    """Why it was skipped."""
    depends_on: list[str]
    dependents: list[str]
    estimate_ms: int
    """From the file."""
    measured_ms: int | None = None
    """The median of earlier runs; absent before the first."""
    timeout_ms: int
    started_ms: int | None = None
    """Milliseconds after the start of the run, without those in which it had no process."""
    duration_ms: int | None = None
    remaining_ms: int | None = None
    cost_usd: float | None = None
    task: Words
    prompt: str | None = None
    """The text that its last attempt was started with; absent before the first."""
    inputs: list[NodeInput]
    outputs: list[NodeOutput]
    attempts: list[NodeAttempt]


def order_of(run: Run, node: NodeState, values: ValueCache, project: Path) -> WorkOrder | None:
    """The work order of the last attempt of *node*; None before the first, and if its inputs cannot be made again."""
    if not node.attempts or node.plan.kind is NodeKind.SUB_COMMAND:
        return None
    last = node.attempts[-1]
    agent = run.plan.agents.get(node.plan.worker(undo=last.role is ev.Role.COMPENSATE))
    if agent is None:
        return None
    event = ev.AttemptScheduled(
        last.scheduled_at, node.plan.id, last.number, last.role, node.version or 0, last.deadline, budget=last.budget
    )
    try:
        return make_order(run, node, event, agent=agent, values=values, project=project)
    except OrchestrationError as error:
        if error.code == "VALUE_LOST":
            raise
        return None


def prompt_for(run: Run, order: WorkOrder) -> str:
    """The text with which an attempt of *order* starts; large inputs, which the agent reads from files, are named."""
    if not order.agent.kind.traits.needs_model:
        return json.dumps(request_of(order), ensure_ascii=False, indent=2)
    files = {key: f"({_size(len(data))})" for key, data in large_inputs(order).items()}
    return host_prompt_of(order, files) if run.executor == "host" else prompt_of(order, files)


def node_answer(view: View, node: NodeState, values: ValueCache, project: Path) -> NodeAnswer:
    """*node* of the run of *view* for the wire."""
    run = view.run
    found = node_detail(run, node, view.now, view.estimates)
    order = order_of(run, node, values, project)
    given = {} if order is None else order.inputs
    return NodeAnswer(
        run_id=run.id,
        id=found.id,
        phase=found.phase,
        agent_id=found.agent,
        executor=found.kind,
        state=str(found.state),
        waiting_for=found.waiting_for,
        skipped=found.skipped,
        depends_on=list(found.after),
        dependents=list(found.before),
        estimate_ms=milliseconds(found.estimate),
        measured_ms=None if found.measured is None else milliseconds(found.measured),
        timeout_ms=milliseconds(found.timeout),
        started_ms=None if found.started is None else milliseconds(found.started),
        duration_ms=None if found.duration is None else milliseconds(found.duration),
        remaining_ms=None if found.remaining is None else milliseconds(found.remaining),
        cost_usd=round(found.cost_usd, 6) or None,
        task=redact(found.task),
        prompt=None if order is None else cut(redact(prompt_for(run, order)), MAX_PROMPT_LENGTH),
        inputs=[
            NodeInput(
                key=one.key,
                required=one.required,
                from_nodes=list(one.makers),
                bytes=one.size,
                value=redact_shown(given[one.key]) if one.key in given and _is_small(given[one.key]) else None,
            )
            for one in found.inputs
        ],
        outputs=[NodeOutput(key=one.key, persist=one.persist, bytes=one.size) for one in found.outputs],
        attempts=[_attempt(one) for one in found.attempts],
    )


def _is_small(value: object) -> bool:
    return len(json.dumps(value, ensure_ascii=False)) <= MAX_VALUE_BYTES


def _attempt(one: AttemptLine) -> NodeAttempt:
    failure, usage = one.failure, one.usage
    return NodeAttempt(
        number=one.number,
        rollback=one.undo or None,
        state=one.state,
        started_at=one.began_at.isoformat(timespec="milliseconds"),
        duration_ms=milliseconds(one.duration),
        worker=one.worker or None,
        code=None if failure is None else failure.code,
        message=None if failure is None else cut(redact(failure.message), MAX_MESSAGE_LENGTH),
        hint=None if failure is None or not failure.hint else cut(redact(failure.hint), MAX_MESSAGE_LENGTH),
        cost_usd=None if usage is None else usage.cost_usd,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        session=one.session,
        warnings=[redact(text) for text in one.warnings] or None,
    )


async def node_of_run(project: Runs, run_id: RunId, name: str) -> NodeAnswer:
    """The node called *name* of a run. Raises `NotFound` (RUN_NOT_FOUND, NODE_NOT_FOUND)."""
    engine = await project.reader()

    def found(view: View) -> NodeAnswer:
        folder = engine.location.folder_of(view.run.worktree)
        return node_answer(view, find_node(view.run, name), engine.values, folder)

    return await engine.read(run_id, found)


def node_lines(view: View, node: NodeState, values: ValueCache, project: Path) -> Iterator[str]:
    """*node* of the run of *view* as text; nothing in it that others wrote stands at the start of a line."""
    run = view.run
    found = node_detail(run, node, view.now, view.estimates)
    order = order_of(run, node, values, project)
    yield line(run, node, view.now, view.estimates)
    yield from _facts(run, found)
    if found.attempts:
        yield "attempts:"
        yield from map(_attempt_line, found.attempts)
    yield "task:"
    yield f"  {within(redact(found.task))}"
    yield from _data_lines(found, {} if order is None else order.inputs)
    if order is not None:
        agent = order.agent
        yield "prompt:" if agent.kind.traits.needs_model else "request, on its stdin:"
        yield f"  {within(redact(prompt_for(run, order)))}"
    if found.attempts:
        live = "" if run.ended or node.settled else " -f"
        yield f"its log: orchestrate logs {run.id} {clean(found.id)}{live}"


def _facts(run: Run, found: NodeDetail) -> Iterator[str]:
    facts = {
        "node": f"{found.id}, run {run.id}",
        "phase": found.phase,
        "agent": f"{found.agent} ({found.kind})",
        "state": f"{found.state}{'' if found.duration is None else f', {took(found.duration)}'}",
        "waits for": found.waiting_for,
        "skipped": found.skipped,
        "after": ", ".join(found.after),
        "before": ", ".join(found.before),
        "estimate": _estimate(found),
        "cost": dollars(found.cost_usd) if found.cost_usd else None,
    }
    width = max(map(len, facts)) + 1
    for name, text in facts.items():
        if text:
            yield f"{name + ':':<{width}} {one_line(text, limit=MAX_MESSAGE_LENGTH)}"


def _estimate(found: NodeDetail) -> str:
    own = rounded(found.estimate)
    text = own if found.measured is None else f"{rounded(found.measured)} in earlier runs, {own} in the file"
    return f"{text}, {about(found.remaining)} left" if found.remaining else text


def _attempt_line(one: AttemptLine) -> str:
    marks = {"completed": "✅", "failed": "❌", "lost": "⏸️", "running": "⚙️"}
    tokens = one.usage and (one.usage.input_tokens, one.usage.output_tokens)
    parts = [
        f"{marks.get(one.state, '⏳')} #{one.number} {one.state}",
        "rollback" if one.undo else "",
        f"{'since' if one.state == 'waiting' else 'began'} {one.began_at.astimezone():%Y-%m-%d %H:%M:%S}",
        f"took {took(one.duration)}" if one.state != "waiting" else "",
        dollars(one.usage.cost_usd) if one.usage is not None and one.usage.cost_usd else "",
        f"{tokens[0]} tokens in, {tokens[1]} out" if tokens and None not in tokens else "",
        f"on {clean(one.worker)}" if one.worker else "",
        f"transcript: claude --resume {one.session}" if one.session else "",
    ]
    text = f"  {' · '.join(part for part in parts if part)}"
    if one.failure is not None:
        message = within(cut(redact(one.failure.message), MAX_MESSAGE_LENGTH), " " * 7)
        text += f"\n     {clean(one.failure.code)}: {message}"
    return text


def _data_lines(found: NodeDetail, given: Any) -> Iterator[str]:  # noqa: ANN401 - inputs by key, any JSON values
    if found.inputs:
        yield "inputs:"
    for one in found.inputs:
        makers = f", from {', '.join(map(clean, one.makers))}" if one.makers else ""
        size = "none yet" if one.size is None else _size(one.size)
        value = ""
        if one.key in given:
            text = json.dumps(given[one.key], ensure_ascii=False)
            value = f": {one_line(text, limit=MAX_VALUE_LENGTH)}"
        yield f"  {clean(one.key)} ({size}{makers}){value}"
    if found.outputs:
        yield "outputs:"
    for result in found.outputs:
        size = "none yet" if result.size is None else _size(result.size)
        yield f"  {clean(result.key)} ({size}{', to persist' if result.persist else ''})"


def _size(size: int) -> str:
    return f"{size} bytes" if size < KILO else f"{size / KILO:.0f} kB"
