"""Views of a run that look at all of it each time: what those that follow it have to agree with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.run.events import RunStatus
from engine.run.state import ZERO, NodeStatus
from engine.scheduling.readiness import standing, waiting_for
from engine.text.shown import clean
from engine.views import folding, outlook, status
from engine.views import progress as of_progress
from engine.views.folding import ASKING, FAILED, FAILURE, FRAME_BYTES, QUIET, WORDS, size_of
from engine.views.known import NEW, Known, Mark
from engine.views.progress import BUSY, DONE, Progress, changes_inside, node_remaining, nodes_of_file, part_done
from engine.views.todos import LIST_BYTES, Todo, TodoOptions, folded_phase, is_folded, numbered_phases, todo_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run
    from engine.views.todos import TodoStatus


def progress(run: Run) -> Progress:
    """The number of finished nodes; a cancelled one does not count."""
    over = DONE - {NodeStatus.CANCELLED}
    nodes = list(nodes_of_file(run))
    part = sum(part_done(run, node) for node in nodes if node.status not in over) if run.unfolded else 0.0
    return Progress(sum(node.status in over for node in nodes), len(nodes), part)


def remaining(run: Run, now: datetime, learned: Mapping[str, float]) -> timedelta | None:
    """The remaining time of *run*; None if it cannot be estimated: while rolling back, or interrupted."""
    if run.status not in {RunStatus.PENDING, RunStatus.RUNNING}:
        return ZERO if run.ended and run.status is not RunStatus.INTERRUPTED else None
    path: dict[NodeId, timedelta] = {}
    total = ZERO
    for phase in run.phases:
        if phase.ended_at is None and phase.plan.group is None:
            total += _phase_remaining(run, phase, now, learned, path)
    return total


def _phase_remaining(
    run: Run, phase: PhaseState, now: datetime, learned: Mapping[str, float], path: dict[NodeId, timedelta]
) -> timedelta:
    """The longer of the phase's remaining path and its remaining work spread over its slots."""
    longest = work = ZERO
    inside = set(phase.plan.nodes)
    for name in _in_order(run, phase):
        node = run.nodes[name]
        own = node_remaining(run, node, now, learned)
        before = max((path.get(dep, ZERO) for dep in node.plan.depends_on if dep in inside), default=ZERO)
        path[name] = before + own
        longest = max(longest, path[name])
        work += own
    limits = [limit for limit in (phase.plan.limit, run.limits.max_parallelism) if limit]
    return max(longest, work / min(limits)) if limits else longest


def _in_order(run: Run, phase: PhaseState) -> list[NodeId]:
    """The phase's nodes, dependencies first."""
    found: dict[NodeId, None] = {}

    def visit(name: NodeId) -> None:
        if name in found or name not in phase.plan.nodes:
            return
        for dep in run.nodes[name].plan.depends_on:
            visit(dep)
        found[name] = None

    for name in phase.plan.nodes:
        visit(name)
    return list(found)


def first_wait(run: Run) -> str | None:
    """What the first node waits for, of those that wait."""
    notable = (node for node in run.nodes.values() if node.plan.turn and standing(node) is NodeStatus.WAITING)
    nodes = [*nodes_of_file(run), *sorted(notable, key=lambda node: node.plan.place)]
    waits = (waiting_for(run, node) for node in nodes if standing(node) is NodeStatus.WAITING)
    return next((wait for wait in waits if wait), None)


def phase_line(run: Run, phase: PhaseState) -> tuple[str, int]:
    """The state of *phase*, and how many of its nodes are done."""
    states = [run.nodes[name].status for name in phase.plan.nodes]
    count = sum(state in DONE - {NodeStatus.CANCELLED} for state in states)
    if phase.opened_at is None:
        return "pending", count
    if not FAILED.isdisjoint(states):
        return "failed", count
    if any("compensat" in state for state in states):
        return "compensated", count
    if NodeStatus.CANCELLED in states:
        return "cancelled", count
    if phase.ended_at is not None:
        return "completed", count
    return str(run.status) if run.ended else "running", count


@dataclass(slots=True)
class Section:
    """The part of a list about one phase: named nodes, and a line for all others."""

    number: int
    phase: PhaseState
    named: list[tuple[NodeState, Todo]] = field(default_factory=list)
    rest: Todo | None = None

    def todos(self) -> list[Todo]:
        """Its lines."""
        return [todo for _, todo in self.named] + ([] if self.rest is None else [self.rest])

    def size(self) -> int:
        """Bytes of its lines as JSON."""
        return sum(map(size_of, self.todos()))


def sections(
    run: Run,
    now: datetime,
    learned: Mapping[str, float],
    options: TodoOptions,
    *,
    room: int,
    only: Container[NodeId] | None = None,
) -> list[Section]:
    """The list of *run*, or of its nodes in *only*, in *room* bytes if it can be; without phases that have none."""
    found: list[Section] = []
    for number, phase in numbered_phases(run):
        section = Section(number, phase)
        names = [name for name in phase.plan.nodes if only is None or name in only]
        if names and is_folded(run, phase, options):
            section.rest = _whole_phase(run, section)
        else:
            section.named = [(run.nodes[name], todo_of(run, run.nodes[name], now, learned)) for name in names]
        if names:
            found.append(section)
    _fit(run, found, room - FRAME_BYTES - sum(section.size() for section in found))
    return found


def _fit(run: Run, found: Iterable[Section], left: int) -> None:
    """Fold sections until *left*, the bytes that are left, is no longer negative."""
    ended: list[Section] = []
    unopened: list[Section] = []
    opened: list[Section] = []
    for section in found:
        group = unopened if section.phase.opened_at is None else opened if _is_busy(run, section.phase) else ended
        group.append(section)
    ended.sort(key=lambda section: _has_failed(run, section))
    for section in (*ended, *reversed(unopened)):
        if left >= 0:
            return
        left += _keep(run, section, 0)
    for section in opened:
        if left >= 0:
            return
        left += _keep(run, section, _sort_by_news(section))
    under_way = {section.number for section in opened}
    sound = [section for section in ended if not _has_failed(run, section)]
    parts = [section for section in sound if section.number in under_way]
    whole = [section for section in sound if section.number not in under_way]
    for group in (whole, parts, unopened):
        left += _share(run, group, left)
    for section in reversed(opened):
        while left < 0 and section.named:
            left += _keep(run, section, len(section.named) // 2)
    for group in ([section for section in ended if _has_failed(run, section)], opened):
        left += _share(run, group, left)


def _has_failed(run: Run, section: Section) -> bool:
    return any(run.nodes[name].status in FAILED for name in section.phase.plan.nodes)


def _share(run: Run, group: list[Section], left: int) -> int:
    """Give all of *group* the line of its first section if *left* is negative; returns the bytes that this saves."""
    if left >= 0 or len(group) < 2:
        return 0
    before = sum(section.size() for section in group)
    group = sorted(group, key=lambda section: section.number)
    first, *others = group
    last = others[-1].number
    counts = Counter(WORDS[standing(run.nodes[name])] for section in group for name in section.phase.plan.nodes)
    phases = f"Phases {first.number} to {last}" if last != first.number else f"Phase {last}, other parts"
    failed = any(_has_failed(run, section) for section in group)
    text = f"{FAILURE if failed else ''}{phases} ({_counted(counts)})"
    states: set[TodoStatus] = {section.rest.status for section in group if section.rest is not None}
    first.rest = Todo(text, states.pop() if len(states) == 1 else "in_progress", text)
    for section in others:
        section.rest = None
    return before - sum(section.size() for section in group)


def _counted(counts: Counter[str]) -> str:
    """`10 tasks completed`, or `10 tasks: 9 completed, 1 failed`."""
    total = counts.total()
    tasks = f"{total} task{'s' if total != 1 else ''}"
    if len(counts) == 1:
        return f"{tasks} {next(iter(counts))}"
    return f"{tasks}: {', '.join(f'{count} {word}' for word, count in counts.items())}"


def _keep(run: Run, section: Section, count: int) -> int:
    """Name only the first *count* nodes of *section*; returns the bytes that this saves."""
    before = section.size()
    if count < len(section.named):
        section.named = section.named[:count]
        section.rest = _more_of_phase(run, section) if count else _whole_phase(run, section)
    return before - section.size()


def _sort_by_news(section: Section) -> int:
    """Put the nodes of *section* first that failed, ask, wait or run, in this order; returns how many there are."""
    section.named.sort(key=lambda pair: _urgency(pair[0]))
    return sum(_urgency(node) < QUIET for node, _ in section.named)


def _urgency(node: NodeState) -> int:
    """How soon a node is named: the smaller, the sooner."""
    if node.status in FAILED:
        return 0
    if node.waiting is not None and node.waiting.reason in ASKING:
        return 1
    return QUIET - 1 if node.status in BUSY else QUIET


def _is_busy(run: Run, phase: PhaseState) -> bool:
    """Whether anything happens in *phase*, or happened when its run was interrupted."""
    return (phase.ended_at is None and not run.ended) or any(
        run.nodes[name].status in BUSY for name in phase.plan.nodes
    )


def _whole_phase(run: Run, section: Section) -> Todo:
    """One line for a whole phase: `Phase 1: Review (10 tasks: 9 completed, 1 failed)`."""
    phase = section.phase
    if phase.opened_at is None and not run.ended:
        text = folded_phase(run, phase, section.number)
        return Todo(text, "pending", text)
    counts = Counter(WORDS[standing(run.nodes[name])] for name in phase.plan.nodes)
    failed = _has_failed(run, section)
    text = f"{FAILURE if failed else ''}Phase {section.number}: {clean(phase.plan.name)} ({_counted(counts)})"
    over = run.ended or not (failed or _is_busy(run, phase))
    return Todo(text, "completed" if over else "in_progress", text)


def _more_of_phase(run: Run, section: Section) -> Todo:
    """One line for the nodes of an open phase that are not named."""
    named = {node.plan.id for node, _ in section.named}
    counts = Counter(WORDS[standing(run.nodes[name])] for name in section.phase.plan.nodes if name not in named)
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    failure = FAILURE if any(WORDS[status] in counts for status in FAILED) else ""
    text = f"{failure}Phase {section.number}: {clean(section.phase.plan.name)}, other tasks ({said})"
    over = run.ended or set(counts) <= {"completed", "skipped"}
    return Todo(text, "completed" if over else "pending", text)


def marks(run: Run) -> dict[NodeId, Mark]:
    """The mark of each node: where two differ, there is something new to say of it."""
    interrupted = run.status is RunStatus.INTERRUPTED
    return {
        name: (
            standing(node),
            len(node.attempts) + changes_inside(run, node),
            node.waiting.reason if node.waiting is not None else None,
            interrupted and node.status in BUSY,
        )
        for name, node in ((node.plan.id, node) for node in nodes_of_file(run))
    }


ROOMS = (150, 600, LIST_BYTES)
OPTIONS = TodoOptions(batch_size=None)


def lists(run: Run, room: int, only: Sequence[NodeId] | None = None) -> tuple[object, object]:
    """The list of a view that follows, and that of one that looks at all nodes."""
    now = run.changed_at or run.created_at
    followed = folding.sections(run, now, {}, OPTIONS, room=room, only=only)
    looked = sections(run, now, {}, OPTIONS, room=room, only=only)
    return (
        [(one.number, list(one.named), todos) for one in followed if (todos := one.todos())],
        [(one.number, [node.plan.id for node, _ in one.named], todos) for one in looked if (todos := one.todos())],
    )


def agree(run: Run, learned: Mapping[str, float], late: timedelta) -> None:
    """All views of *run*, some time after its last event."""
    now = (run.changed_at or run.created_at) + late
    assert outlook.remaining(run, now, learned) == remaining(run, now, learned)
    assert of_progress.progress(run) == progress(run)
    assert status.first_wait(run) == first_wait(run)
    shown = status.snapshot(run, now, learned, lists=False)
    lines = [phase_line(run, phase) for phase in of_progress.phases_of_file(run)]
    assert [(phase.state, phase.done) for phase in shown.phases] == lines
    for room in ROOMS:
        followed, looked = lists(run, room)
        assert followed == looked


def agree_on_news(run: Run, client: Known, knew: dict[NodeId, Mark]) -> None:
    """What is new to *client*, which knew the marks of *knew*."""
    fresh = client.learn(run)
    found = marks(run)
    assert set(fresh) == {name for name, mark in found.items() if knew.get(name, NEW) != mark}
    for room in ROOMS:
        followed, looked = lists(run, room, fresh)
        assert followed == looked
    knew.update(found)
