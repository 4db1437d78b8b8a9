"""A run's todo list within a number of bytes, whole or of some nodes: what each answer about a run carries.

Pure. The reader is a model that pays for each line with each turn, so a list that is too long is folded, first where
least happens: phases that have ended, then those that have not opened, the last ones first, are one line each; then
nodes of an open phase of which there is nothing to say. If there are too many phases for a line each, all that have
ended share one, and all that have not opened. Only then are nodes left out that run, and last those that ask or failed.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.run.events import RunStatus, WaitReason
from engine.run.state import NodeStatus
from engine.scheduling.readiness import standing
from engine.text.shown import clean
from engine.views.progress import changes_inside, item_lines, nodes_of_file
from engine.views.todos import Todo, TodoOptions, folded_phase, heading, is_folded, line, numbered_phases, todo_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run
    from engine.views.todos import TodoStatus

FRAME_BYTES = len('{"todos":[]}')
WHOLE_LIST_BYTES = 20_000
"""Bytes of the list where a client asks for all of it."""
FAILED = frozenset({NodeStatus.FAILED, NodeStatus.COMPENSATION_FAILED})
ASKING = frozenset({WaitReason.APPROVAL, WaitReason.DECISION})
"""Reasons to wait for a person."""
QUIET = 3
"""The urgency of a node of which there is nothing to say."""
BUSY = frozenset({NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.COMPENSATING})
WORDS = {
    NodeStatus.PENDING: "not started",
    NodeStatus.WAITING: "waiting",
    NodeStatus.RUNNING: "running",
    NodeStatus.COMPLETED: "completed",
    NodeStatus.SKIPPED: "skipped",
    NodeStatus.FAILED: "failed",
    NodeStatus.CANCELLED: "cancelled",
    NodeStatus.COMPENSATING: "being rolled back",
    NodeStatus.COMPENSATED: "rolled back",
    NodeStatus.COMPENSATION_FAILED: "not rolled back",
}
FAILURE = "❌ "
ICONS = {"completed": "✅ ", "in_progress": "⚙️ ", "pending": "⏳ "}

Mark = tuple[NodeStatus, int, WaitReason | None, bool]
"""A node but for its times: its status, its attempts, the reason why it waits, whether it was cut off."""


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
    if left >= 0 or len(group) < 2:  # noqa: PLR2004 - two make a group
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


def text_of(
    run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions, found: Iterable[Section]
) -> str:
    """The list *found* as text: phase headings, icons, times."""
    indent = "  " if options.grouping else ""
    blocks: list[str] = []
    for section in found:
        lines = [heading(run, section.phase, section.number)] if section.named and options.grouping else []
        for node, _ in section.named:
            lines.append(f"{indent}{line(run, node, now, learned)}")
            lines += [f"{indent}  {text}" for text in item_lines(run, node)]
        if section.rest is not None:
            rest = section.rest
            shut = section.phase.opened_at is None or rest.content.startswith(FAILURE)
            lines.append(f"{indent if section.named else ''}{'' if shut else ICONS[rest.status]}{rest.content}")
        if lines:
            blocks.append("\n".join(lines))
    return ("\n\n" if options.grouping else "\n").join(blocks)


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


def size_of(todo: Todo) -> int:
    """Bytes of *todo* as JSON in a list."""
    line = {"content": todo.content, "status": todo.status, "activeForm": todo.active_form}
    return len(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) + 1
