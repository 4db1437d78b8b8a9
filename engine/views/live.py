"""A run as the document that the live page shows: what a graph, a timeline and lists need.

Pure. Nothing in it changes with the time alone, so that nothing is sent while nothing happens: times are milliseconds
from the request for the run, and a page counts on from the time of its last news. Text of others passes `shown`. Names
are camelCase, as on the wire; what does not apply is absent, and there is no null.

A long list is not sent whole: beyond `MAX_INSTANCES` instances only those are sent of which there is something to say,
and `fold` counts all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.model.plan import IN_PLACE, NodeKind
from engine.model.policy import FailureKind
from engine.run.events import Role, RunStatus
from engine.run.state import NodeStatus
from engine.scheduling.readiness import standing, waiting_for
from engine.text.cut import cut
from engine.text.redaction import shown
from engine.views.durations import milliseconds
from engine.views.folding import ASKING, WHOLE_LIST_BYTES, sections
from engine.views.progress import estimate_of, fold_of, item_name, nodes_of_file, phases_of_file, progress
from engine.views.status import failures, questions, redo_of, warnings_of
from engine.views.timeline import closing, critical_path, end_of, ending
from engine.views.todos import MAX_TASK_LENGTH, TodoOptions, subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import AttemptRecord, NodeState, PhaseState, Run
    from engine.views.progress import Fold

MAX_INSTANCES = 400
"""Instances of lists and loops, with the nodes inside them, that are all sent."""
MAX_TRIES = 10
"""Attempts of a node that are drawn, the newest ones."""
MAX_MESSAGE_LENGTH = 600
MAX_FAILURES = 20
MAX_WARNINGS = 20


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a document."""


class Try(Part, frozen=True, kw_only=True):
    """One attempt of a node."""

    start_ms: int
    end_ms: int | None = None
    """Absent while it runs."""
    how: str = ""
    """`failed`, `cancelled`, `lost` or `undo`; absent for one that runs or was completed."""


class Folded(Part, frozen=True, kw_only=True):
    """The instances of a node in numbers."""

    total: int
    settled: int
    failed: int = 0
    running: int = 0


class Node(Part, frozen=True, kw_only=True):
    """A node: what the graph, the timeline and the list of nodes show of it."""

    phase: int
    """Its phase's key in `phases`."""
    place: tuple[int, int]
    """Its position in file order, and among instances in order of creation."""
    agent: str
    task: str
    needs: tuple[str, ...] = ()
    estimate_ms: int
    kind: str = "agent"
    """`agent`, `command`, `phases`, `list` or `loop`."""
    item: str | None = None
    """The name of an instance."""
    state: str
    """`interrupted` while its run is, if it was at work."""
    waiting_for: str | None = None
    asks: bool = False
    """A person has to answer."""
    tries: tuple[Try, ...] = ()
    took_ms: int | None = None
    """How long it was under way, without its rollback; absent while it is."""
    idle_ms: int = 0
    """How long the run had no process while it was under way."""
    attempts: int = 0
    error: str | None = None
    skipped: str | None = None
    cost_usd: float | None = None
    critical: bool = False
    fold: Folded | None = None
    limit: int | None = None
    """The most iterations of a loop, or instances of a list at once."""


class Phase(Part, frozen=True, kw_only=True):
    """A phase."""

    id: str
    name: str
    """That of items and iterations is the task of their node, cut as for a list."""
    after: int | None = None
    group: str | None = None
    """The node that it is inside of; absent at the top level."""
    limit: int | None = None
    done: int
    total: int
    opened_ms: int | None = None
    ended_ms: int | None = None
    idle_ms: int = 0


class Ask(Part, frozen=True, kw_only=True):
    """A question to a person."""

    node: str
    text: str
    answers: tuple[str, ...]


class Fault(Part, frozen=True, kw_only=True):
    """A failure."""

    node: str | None = None
    code: str
    message: str
    hint: str | None = None
    compensated: bool = False


class Item(Part, frozen=True, kw_only=True):
    """A line of the todo list."""

    text: str
    status: str


class Head(Part, frozen=True, kw_only=True):
    """The run itself."""

    id: str
    command: str
    state: str
    executor: str
    ended: bool = False
    created_at: str
    total_ms: int | None = None
    """The time from the request to its end, once it has ended."""
    idle_ms: int = 0
    """The part of that in which it had no process, which does not count as its time."""
    done: int
    total: int
    message: str | None = None
    cost_usd: float | None = None
    can: tuple[str, ...] = ()
    """The actions that are possible: `cancel`, `resume`, `retry`."""


class Document(Part, frozen=True, kw_only=True):
    """A run."""

    run: Head
    phases: dict[str, Phase]
    nodes: dict[str, Node]
    questions: tuple[Ask, ...] = ()
    failures: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    todos: tuple[Item, ...] = ()


def run_document(run: Run, now: datetime, learned: Mapping[str, float], warnings: Iterable[str] = ()) -> dict[str, Any]:
    """*run* at *now* as a document; *learned* are seconds by node, *warnings* further ones about it."""
    until = ending(run, now)
    critical = frozenset(critical_path(run, until) if run.ended else run.plan.critical_path)
    nodes = list(_nodes(run))
    phases = {phase.plan.index: phase for phase in phases_of_file(run)}
    phases |= {node.plan.phase: run.phases[node.plan.phase] for node in nodes}
    document = Document(
        run=_head(run, until),
        phases={str(index): _phase(run, phases[index], until) for index in sorted(phases)},
        nodes={node.plan.id: _node(run, node, learned, critical, until) for node in nodes},
        questions=tuple(Ask(node=one.node, text=shown(one.text), answers=one.answers) for one in questions(run)),
        failures=tuple(_failures(run)),
        warnings=tuple(shown(text) for text in warnings_of(run, warnings)[:MAX_WARNINGS]),
        todos=tuple(
            Item(text=shown(todo.content), status=todo.status)
            for section in sections(run, now, learned, TodoOptions(), room=WHOLE_LIST_BYTES)
            for todo in section.todos()
        ),
    )
    found: dict[str, Any] = msgspec.to_builtins(document)
    return found


def _nodes(run: Run) -> Iterator[NodeState]:
    """The nodes of the file, and instances: all of them if there are few, else those that run, ask or failed.

    Nodes around an instance come with it.
    """
    if len(run.nodes) - len(run.plan.nodes) <= MAX_INSTANCES:
        yield from run.nodes.values()
        return
    yield from nodes_of_file(run)
    seen: dict[NodeId, None] = {}
    busy = sorted({*run.undoing, *run.waits, *run.live}, key=lambda name: run.nodes[name].plan.place)
    for name in (*run.failures, *run.undo_failures, *busy):
        more = [one for one in _around(run, run.nodes[name]) if one not in seen]
        if len(seen) + len(more) > MAX_INSTANCES:
            break
        seen |= dict.fromkeys(more)
    yield from (run.nodes[name] for name in seen)


def _around(run: Run, node: NodeState) -> Iterator[NodeId]:
    """*node* and the nodes around it, as far as they are instances or inside of one."""
    while node.plan.turn:
        yield node.plan.id
        group = run.phases[node.plan.phase].plan.group
        assert group is not None  # noqa: S101 - what is made from a template is inside the node that has it
        node = run.nodes[group]


def _head(run: Run, until: datetime) -> Head:
    count = progress(run)
    return Head(
        id=run.id,
        command=shown(run.plan.command),
        state=run.status.value,
        executor=run.executor,
        ended=run.ended,
        created_at=run.created_at.isoformat(timespec="milliseconds"),
        total_ms=milliseconds(until - run.created_at) if run.ended else None,
        idle_ms=_idle(run, run.created_at, until),
        done=count.done,
        total=count.total,
        message=cut(shown(run.message), MAX_MESSAGE_LENGTH) or None,
        cost_usd=round(run.cost_usd, 6) or None,
        can=tuple(_can(run)),
    )


def _can(run: Run) -> Iterator[str]:
    if run.status is RunStatus.INTERRUPTED and run.executor != "simulate":
        yield "resume"
    if redo_of(run) and run.executor != "simulate":
        yield "retry"
    if not run.ended or run.status is RunStatus.INTERRUPTED:
        yield "cancel"


def _phase(run: Run, phase: PhaseState, until: datetime) -> Phase:
    plan = phase.plan
    over = run.ended and run.status is not RunStatus.INTERRUPTED and phase.opened_at is not None
    end = closing(run, phase, until) if over else phase.ended_at
    return Phase(
        id=plan.id,
        name=shown(plan.name) if plan.host is None else cut(shown(plan.name), MAX_TASK_LENGTH),
        after=plan.after,
        group=plan.group,
        limit=plan.limit,
        done=len(plan.nodes) - phase.unsettled,
        total=len(plan.nodes),
        opened_ms=_since(run, phase.opened_at),
        ended_ms=_since(run, end),
        idle_ms=_idle(run, phase.opened_at, end or until),
    )


def _node(
    run: Run, node: NodeState, learned: Mapping[str, float], critical: frozenset[NodeId], until: datetime
) -> Node:
    plan = node.plan
    status = standing(node)
    cut_off = run.status is RunStatus.INTERRUPTED and status in {NodeStatus.RUNNING, NodeStatus.COMPENSATING}
    waits = waiting_for(run, node) if status in {NodeStatus.PENDING, NodeStatus.WAITING} else None
    failure = node.compensation_failure or node.failure
    costs = [record.usage.cost_usd or 0.0 for record in node.attempts if record.usage is not None]
    fold = fold_of(run, node)
    limit = plan.each.limit if plan.each is not None else plan.loop.max_iterations if plan.loop is not None else None
    return Node(
        phase=plan.phase,
        place=plan.place,
        agent=shown(plan.doer),
        task=shown(subject(run, node)),
        needs=plan.depends_on,
        estimate_ms=milliseconds(estimate_of(node, learned)),
        kind=_kind(node),
        item=_item(run, node),
        state=run.status.value if cut_off else status.value,
        waiting_for=cut(shown(waits), MAX_MESSAGE_LENGTH) if waits else None,
        asks=node.waiting is not None and node.waiting.reason in ASKING and not run.ended,
        tries=tuple(_try(run, record) for record in node.attempts[-MAX_TRIES:] if record.started_at is not None),
        took_ms=milliseconds(run.lived(node.started_at, node.ended_at)) if node.started_at and node.ended_at else None,
        idle_ms=_idle(run, node.started_at, until) if node.ended_at is None else 0,
        attempts=len(node.forward),
        error=f"{failure.code}: {cut(shown(failure.message), MAX_MESSAGE_LENGTH)}" if failure is not None else None,
        skipped=cut(shown(node.skip_message), MAX_MESSAGE_LENGTH) if node.skip_message else None,
        cost_usd=round(sum(costs), 6) or None,
        critical=plan.id in critical,
        fold=None if fold is None else _folded(fold),
        limit=limit,
    )


def _kind(node: NodeState) -> str:
    plan = node.plan
    if plan.each is not None:
        return "list"
    if plan.loop is not None:
        return "loop"
    if plan.kind is NodeKind.AGENT:
        return "agent"
    return "phases" if plan.agent == IN_PLACE else "command"


def _item(run: Run, node: NodeState) -> str | None:
    """The name of *node* as an item of a list or as an iteration; None for any other, also inside one."""
    phase = run.phases[node.plan.phase].plan
    if phase.host is None or phase.group is None:
        return None
    if run.nodes[phase.group].plan.loop is not None:
        return f"iteration {node.plan.id.rpartition('/')[2]}"
    return shown(item_name(run, node.plan.id))


def _folded(fold: Fold) -> Folded:
    return Folded(total=fold.total, settled=fold.settled, failed=fold.failed, running=fold.running)


def _try(run: Run, record: AttemptRecord) -> Try:
    how = "undo" if record.role is Role.COMPENSATE else ""
    if record.lost or record.failure is not None:
        how = "lost" if record.lost else "cancelled" if _is_cancelled(record) else "failed"
    return Try(start_ms=_since(run, record.started_at) or 0, end_ms=_since(run, end_of(record)), how=how)


def _is_cancelled(record: AttemptRecord) -> bool:
    return record.failure is not None and record.failure.kind is FailureKind.CANCEL


def _idle(run: Run, start: datetime | None, end: datetime) -> int:
    return 0 if start is None else max(0, milliseconds(end - start - run.lived(start, end)))


def _since(run: Run, at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at - run.created_at)


def _failures(run: Run) -> Iterator[Fault]:
    for line in failures(run)[:MAX_FAILURES]:
        failure = line.failure
        yield Fault(
            node=line.node,
            code=failure.code,
            message=cut(shown(failure.message), MAX_MESSAGE_LENGTH),
            hint=cut(shown(failure.hint), MAX_MESSAGE_LENGTH) if failure.hint else None,
            compensated=line.compensated,
        )
