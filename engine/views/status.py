"""A run at one moment, as one value: the source of every answer about a run.

Pure. It holds references to values, never values; `mcp_server/answers/wire.py` names its fields for files and clients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from engine.ids import OwnerId, RunId, attempt_id, session_id
from engine.model.plan import NodeKind
from engine.model.policy import Failure
from engine.run import events as ev
from engine.run.events import Role, RunStatus, WaitReason
from engine.run.lookup import keys_at, parts_at
from engine.run.made import size_of
from engine.run.reducer import create
from engine.run.state import NodeStatus, is_model_work
from engine.scheduling.budget import overspent
from engine.scheduling.outcomes import is_clients
from engine.scheduling.readiness import queues, standing, waiting_for
from engine.scheduling.succession import to_redo
from engine.views.durations import leapt
from engine.views.outlook import remaining
from engine.views.progress import Progress, nodes_of_file, progress
from engine.views.short_lists import MAX_NODES_IN_FULL, is_notable, short_display, short_todos
from engine.views.tally import OVER, tally_of
from engine.views.todos import LIST_BYTES, Todo, TodoOptions, display, todos

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
    from collections.abc import Set as AbstractSet
    from datetime import timedelta

    from engine.ids import AttemptId, NodeId
    from engine.model.plan import Plan
    from engine.run.state import AttemptRecord, NodeState, PhaseState, Run
    from engine.views.locks import LockLine
    from engine.views.tally import Tally

NO_RUN = RunId("r-none")
_FAILED = {NodeStatus.FAILED, NodeStatus.COMPENSATION_FAILED}
_UNDONE = {NodeStatus.COMPENSATED, NodeStatus.COMPENSATING, NodeStatus.COMPENSATION_FAILED}


class PhaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of one phase."""

    id: str
    name: str
    state: str
    """`pending`, `running`, `completed`, `failed`, `cancelled`, `compensated` or `interrupted`."""
    done: int
    total: int


class NodeLine(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one node."""

    id: NodeId
    phase: str
    agent: str
    state: NodeStatus
    attempts: int
    """To do its work; those to undo it do not count."""
    started: timedelta | None
    """How long the run had lived when it started; None before."""
    duration: timedelta | None
    """Up to now, while it runs."""
    waiting_for: str | None
    failure: Failure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLine:
    """One failure to show to the user."""

    node: NodeId | None
    """None: the run itself, which reached a limit or did not get its locks."""
    failure: Failure
    compensated: bool
    """Whether the node's work was rolled back."""
    session: str | None = None
    """The Claude Code session of the failed attempt, if any: `claude --resume` shows it."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that a node waits for."""

    node: NodeId
    text: str
    answers: tuple[str, ...]


class OutputLine(msgspec.Struct, frozen=True, kw_only=True):
    """One context key that the run itself produced."""

    key: str
    size: int
    """Bytes of its JSON; of all its parts if it was merged."""
    persist: bool


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one moment.

    What takes a look at all of the run is made when it is first asked for, which has to be at that moment.
    """

    run: Run = field(repr=False, compare=False)
    until: datetime = field(repr=False)
    """The moment, or the end of the run."""
    id: RunId
    command: str
    state: RunStatus
    ended: bool
    executor: str
    started_at: datetime
    """When it was asked for: its wait for its own locks counts, as in a report."""
    elapsed: timedelta
    remaining: timedelta | None
    progress: Progress
    phases: tuple[PhaseStatus, ...]
    failures: tuple[FailureLine, ...]
    questions: tuple[Question, ...]
    todos: tuple[Todo, ...]
    display: str
    running: tuple[NodeId, ...]
    """Nodes with a running attempt, in the order in which they started."""
    message: str
    warnings: tuple[str, ...]
    locks: tuple[LockLine, ...]
    """Locks that the run holds, requests or has reserved."""
    cost_usd: float

    @cached_property
    def nodes(self) -> tuple[NodeLine, ...]:
        """The nodes of the file, then instances that run, wait for something or failed."""
        return tuple(_node(self.run, node, self.until) for node in _listed(self.run))

    @cached_property
    def outputs(self) -> tuple[OutputLine, ...]:
        """Most interesting first: those of the last phase, then persisted ones, then the rest."""
        return _outputs(self.run)

    @cached_property
    def redo(self) -> tuple[NodeId, ...]:
        """Nodes that a retry of the run would run again, in file order; empty if it cannot be retried."""
        return redo_of(self.run)


def snapshot(
    run: Run,
    now: datetime,
    learned: Mapping[str, float] | None = None,
    options: TodoOptions | None = None,
    *,
    warnings: Sequence[str] = (),
    locks: Sequence[LockLine] = (),
    lists: bool = True,
) -> Snapshot:
    """*run* at *now*; *learned* are seconds by node that replace the file's estimates.

    *warnings* are added to those of the plan, *locks* are the lines of the lock table about *run*. Without *lists* both
    forms of the todo list are empty: whoever needs neither saves the time.
    """
    learned = learned or {}
    until = run.ended_at or (run.changed_at if run.ended else None) or now
    few = len(run.plan.nodes) <= MAX_NODES_IN_FULL
    full = few or run.status is RunStatus.PENDING
    tally = tally_of(run)
    listing, showing = (todos, display) if full else (short_todos, short_display)
    return Snapshot(
        run=run,
        until=until,
        id=run.id,
        command=run.plan.command,
        state=run.status,
        ended=run.ended,
        executor=run.executor,
        started_at=run.created_at,
        elapsed=run.lived(run.created_at, until),
        remaining=remaining(run, now, learned),
        progress=progress(run),
        phases=_phases(run, tally),
        failures=failures(run),
        questions=questions(run),
        todos=tuple(listing(run, now, learned, options)) if lists else (),
        display=showing(run, now, learned, options) if lists else "",
        running=tuple(sorted(at_work(run), key=lambda name: run.nodes[name].start_order)),
        message=run.message,
        warnings=warnings_of(run, warnings),
        locks=tuple(locks),
        cost_usd=run.cost_usd,
    )


def _listed(run: Run) -> Iterator[NodeState]:
    """The nodes of the file, and of instances those that run, wait for something or failed."""
    yield from nodes_of_file(run)
    names = {*run.live, *run.waits, *run.failures, *run.undo_failures, *run.undoing} if run.unfolded else set()
    some = [run.nodes[name] for name in names if run.nodes[name].plan.turn and is_notable(run.nodes[name])]
    yield from sorted(some, key=lambda node: node.plan.place)


def redo_of(run: Run) -> tuple[NodeId, ...]:
    """The nodes that a retry of *run* would run again, in file order; empty if it cannot be retried."""
    if run.status not in {RunStatus.FAILED, RunStatus.DEGRADED}:
        return ()
    again = to_redo(run)
    return tuple(name for name, node in run.nodes.items() if name in again and node.plan.kind is NodeKind.AGENT)


def warnings_of(run: Run, others: Iterable[str] = ()) -> tuple[str, ...]:
    """All warnings about *run*: those of its plan, *others*, those of its attempts, clock jumps and its cost."""
    over = overspent(run)
    return (
        *run.plan.warnings,
        *dict.fromkeys((*others, *warned(run))),  # a warning can arrive before it is recorded
        *jumps(run),
        *left_running(run),
        *([f"The run has cost {over}"] if over else []),
    )


def jumps(run: Run) -> list[str]:
    """Warnings about clock jumps."""
    if not run.jumps:
        return []
    last, count = run.jumps[-1], len(run.jumps)
    how = leapt(last.by)
    jumped = f"jumped {how}" if count == 1 else f"jumped {count} times, the last time {how}"
    return [f"The clock of this machine {jumped}. The skipped time does not count against any limit"]


def left_running(run: Run) -> list[str]:
    """Warnings about processes that outlived their attempts."""
    return [
        f'Node "{name}": process {line}'
        for name in run.remarks
        for record in run.nodes[name].attempts
        for line in record.left
    ]


def warned(run: Run) -> list[str]:
    """Other recorded warnings about attempts."""
    return [text for name in run.remarks for record in run.nodes[name].attempts for text in record.warnings]


def preview(plan: Plan, options: TodoOptions | None = None, *, room: int = LIST_BYTES) -> list[Todo]:
    """The first todo list of a run of *plan*, in about *room* bytes."""
    from engine.views.folding import sections  # noqa: PLC0415 - the help of the command line needs no list

    at = datetime.min.replace(tzinfo=UTC)
    run = create(ev.RunCreated(at, NO_RUN, plan, OwnerId(""), "none"))
    found = sections(run, at, {}, options or TodoOptions(), room=room)
    return [todo for section in found for todo in section.todos()]


def failures(run: Run) -> tuple[FailureLine, ...]:
    """Every failure, in the order in which nodes failed; that of a compensation follows its node's.

    A failure of the run itself comes first.
    """
    lines: list[FailureLine] = []
    stop = run.stop
    if stop is not None and stop.node is None and stop.failure is not None:
        undone = run.status is RunStatus.COMPENSATED
        lines.append(FailureLine(node=None, failure=stop.failure, compensated=undone))
    for name in dict.fromkeys((*run.failures, *run.undo_failures)):
        node = run.nodes[name]
        undone = node.status is NodeStatus.COMPENSATED
        told = [failure for failure in (node.failure, node.compensation_failure) if failure is not None]
        lines += [
            FailureLine(node=name, failure=failure, compensated=undone, session=_session_of(run, node, failure))
            for failure in told
        ]
    return tuple(lines)


def _session_of(run: Run, node: NodeState, failure: Failure) -> str | None:
    records = [record for record in node.attempts if record.failure == failure]
    return session_of(run, node, records[-1]) if records else None


def session_of(run: Run, node: NodeState, record: AttemptRecord) -> str | None:
    """The Claude Code session of an attempt; None if it was made by something else.

    None for an agent in a worktree, too: Claude Code finds a session only from the folder where it began.
    """
    undo = record.role is Role.COMPENSATE
    if run.executor != "claude" or not is_model_work(run, node.plan, undo=undo):
        return None
    if run.plan.agents[node.plan.worker(undo=undo)].isolation is not None:
        return None
    return session_id(attempt_id(run.id, node.plan.id, record.number))


def questions(run: Run) -> tuple[Question, ...]:
    """The decisions that people have to make, in file order."""
    found = []
    waits = () if run.ended else sorted(run.waits, key=lambda name: run.nodes[name].plan.place)
    for name in waits:
        node = run.nodes[name]
        waiting = node.waiting
        assert waiting is not None  # noqa: S101 - it is among those that wait
        if waiting.reason is WaitReason.APPROVAL:
            text = waiting.detail
            found.append(Question(node=name, text=text, answers=("yes", "no")))
        elif waiting.reason is WaitReason.DECISION:
            found.append(Question(node=name, text=waiting.detail, answers=("retry", "skip", "fail")))
    return tuple(found)


def at_work(run: Run) -> Iterator[NodeId]:
    """The nodes with a running attempt."""
    return (name for name in run.live if not queues(run.nodes[name]))


def works(run: Run) -> bool:
    """Whether an agent is at work; a sub-command counts as at work while anything in it waits."""
    return any(run.nodes[name].plan.kind is NodeKind.AGENT for name in run.live)


def waits_for_people(run: Run) -> bool:
    """Whether *run* can only go on once people answer."""
    if not questions(run) or works(run):
        return False
    asks = {WaitReason.APPROVAL, WaitReason.DECISION}
    waits = (run.nodes[name].waiting for name in run.waits)
    return all(waiting is None or (waiting.reason in asks) for waiting in waits)


def first_wait(run: Run) -> str | None:
    """The reason why the first node waits, of those that do; None if none does."""
    waiting = (run.nodes[name] for name in run.waits | run.live)
    found = {node.plan.place: wait for node in waiting if _waits(node) and (wait := waiting_for(run, node))}
    return found[min(found, key=lambda place: (place[1] > 0, place))] if found else None


def _waits(node: NodeState) -> bool:
    return standing(node) is NodeStatus.WAITING


def _phases(run: Run, tally: Tally) -> tuple[PhaseStatus, ...]:
    """The progress of the phases of the file; only that of phases that moved since the last look is made."""
    lines = tally.lines = tally.lines or [None] * len(run.plan.phases)
    for index in tally.moved:
        lines[index] = _phase(run, run.phases[index], tally)
    tally.moved.clear()
    return tuple(lines)


def _phase(run: Run, phase: PhaseState, tally: Tally) -> PhaseStatus:
    found = tally.standings(phase.plan.index)
    return PhaseStatus(
        id=phase.plan.id,
        name=phase.plan.name,
        state=_phase_state(run, phase, found.keys()),
        done=_done(found),
        total=len(phase.plan.nodes),
    )


def _done(found: Mapping[NodeStatus, Sized]) -> int:
    return sum(len(nodes) for state, nodes in found.items() if state in OVER)


def _phase_state(run: Run, phase: PhaseState, states: AbstractSet[NodeStatus]) -> str:
    if phase.opened_at is None:
        return "pending"
    if not states.isdisjoint(_FAILED):
        return "failed"
    if not states.isdisjoint(_UNDONE):
        return "compensated"
    if NodeStatus.CANCELLED in states:
        return "cancelled"
    if phase.ended_at is not None:
        return "completed"
    return "running" if not run.ended else str(run.status)


def node_line(run: Run, node: NodeState, now: datetime) -> NodeLine:
    """The state of any node of *run*, also of an instance that a snapshot leaves out."""
    until = run.ended_at or (run.changed_at if run.ended else None) or now
    return _node(run, node, until)


def _node(run: Run, node: NodeState, until: datetime) -> NodeLine:
    begun = node.started_at
    return NodeLine(
        id=node.plan.id,
        phase=run.phases[node.plan.phase].plan.id,
        agent=node.plan.agent,
        state=standing(node),
        attempts=len(node.forward),
        started=run.lived(run.created_at, begun) if begun is not None else None,
        duration=run.lived(begun, node.ended_at or until) if begun is not None else None,
        waiting_for=waiting_for(run, node),
        failure=node.compensation_failure or node.failure,
    )


def _outputs(run: Run) -> tuple[OutputLine, ...]:
    """Top-level keys that nodes of this run produced, without the run's own arguments."""
    last = max((phase.plan.index for phase in run.phases if phase.plan.group is None), default=0)
    found: list[tuple[tuple[bool, bool, int], OutputLine]] = []
    for place, key in enumerate(keys_at(run, "", run.version)):
        parts = parts_at(run, key, run.version)
        makers = [run.nodes[part.node] for part in parts if part.node is not None]
        if not makers:
            continue
        persist = any(output.persist for node in makers for output in node.plan.outputs if output.key == key)
        late = any(node.plan.phase == last for node in makers)
        line = OutputLine(key=key, size=sum(size_of(part.ref) for part in parts), persist=persist)
        found.append(((not late, not persist, place), line))
    return tuple(line for _, line in sorted(found, key=lambda item: item[0]))


def stopped_work(run: Run) -> tuple[AttemptId, ...]:
    """The client's attempts that were stopped before it reported them, oldest first."""
    nodes = (run.nodes[name] for name in run.stopped if name in run.nodes)
    return tuple(
        attempt_id(run.id, node.plan.id, record.number)
        for node in sorted(nodes, key=lambda node: (node.plan.turn, node.plan.index))
        for record in node.attempts
        if record.stopping is not None and is_clients(run, node, record.role)
    )
