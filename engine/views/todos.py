"""A run as a todo list: TodoWrite's payload, and the text block for clients without todo tools.

Pure. SPEC 10; the payload fits Claude Code's schema: content, status, activeForm and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.run.titles import title
from engine.scheduling.readiness import standing, waiting_for
from engine.text.gerunds import active_form
from engine.text.redaction import one_line
from engine.text.shown import clean
from engine.views.durations import about, took
from engine.views.marks import MARKS
from engine.views.progress import fold_of, item_lines, node_remaining, phases_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, timedelta

    from engine.run.state import NodeState, PhaseState, Run

MAX_TASK_LENGTH = 120
MAX_NAME_LENGTH = 60
"""Characters of a task in a list: an answer repeats it several times, and the command has the whole text."""
MAX_NOTE_LENGTH = 100
"""Characters of the note behind a task, such as why the node failed."""
LIST_BYTES = 2000
"""Bytes of the list in an ordinary answer."""
BATCH_SIZE = 10
"""Above this many nodes, each phase that has not opened is folded into one line."""

MARKED = ("❌", "↩️", "⏭️", "⏹️")
"""Prefixes of the todo of a node that did not simply complete."""

TodoStatus = Literal["pending", "in_progress", "completed"]


@dataclass(frozen=True, slots=True)
class Todo:
    """One line of Claude Code's todo list."""

    content: str
    status: TodoStatus
    active_form: str


class TodoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the list."""

    batch_size: int | None = BATCH_SIZE
    """None: no number of nodes folds phases."""
    grouping: bool = True


def todos(run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions | None = None) -> list[Todo]:
    """The todo list of *run*: one todo a node, in phase order; folded phases are one todo each."""
    options = options or TodoOptions()
    found: list[Todo] = []
    for number, phase in numbered_phases(run):
        if is_folded(run, phase, options):
            folded = folded_phase(run, phase, number)
            found.append(Todo(folded, "pending", folded))
        else:
            found.extend(todo_of(run, run.nodes[name], now, learned) for name in phase.plan.nodes)
    return found


def display(run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions | None = None) -> str:
    """The guide's text block: phase headings, icons, times."""
    options = options or TodoOptions()
    blocks: list[str] = []
    for number, phase in numbered_phases(run):
        if is_folded(run, phase, options):
            blocks.append(folded_phase(run, phase, number))
            continue
        lines = [heading(run, phase, number)] if options.grouping else []
        indent = "  " if options.grouping else ""
        for name in phase.plan.nodes:
            lines.append(f"{indent}{line(run, run.nodes[name], now, learned)}")
            lines += [f"{indent}  {_cut(text, MAX_TASK_LENGTH)}" for text in item_lines(run, run.nodes[name])]
        blocks.append("\n".join(lines))
    return ("\n\n" if options.grouping else "\n").join(blocks)


def line(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> str:
    """One node with its icon: `⚙️ Reviewing security... (in progress, ~6 min remaining)`."""
    mark = MARKS[run.status] if _is_cut_off(run, node) else _icon(node)
    return f"{mark} {_text(run, node, now, learned)}"


def subject(run: Run, node: NodeState) -> str:
    """The node's task on one line short enough for a list, with its arguments filled in.

    The node's id follows if another node has the same task.
    """
    own = node.plan.id in run.repeated or node.plan.turn > 0  # instances have the task of their template
    name = f" ({_cut(clean(node.plan.id), MAX_NAME_LENGTH)})" if own else ""
    return _cut(clean(title(run, node)), MAX_TASK_LENGTH - len(name)) + name


def _cut(text: str, limit: int) -> str:
    """*text* of one line, within *limit*; redacted before it is cut, since a cut can make a secret unrecognizable."""
    return text if len(text) <= limit else one_line(text, limit=limit)


def _text(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> str:
    task = subject(run, node)
    status = standing(node)
    if _is_cut_off(run, node):
        return f"{task} (interrupted; resume continues it)"
    if status is NodeStatus.RUNNING:
        fold = fold_of(run, node)
        if fold is not None:
            return f"{active_form(task).removesuffix('...')} ({fold.note})"
        left = node_remaining(run, node, now, learned)
        rest = f"{about(left)} remaining" if left else "longer than estimated"
        tries = f", attempt {len(node.attempts)}" if len(node.attempts) > 1 else ""
        return f"{active_form(task)} (in progress{tries}, {rest})"
    note = _note(run, node)
    return f"{task} ({note})" if note else task


def _is_cut_off(run: Run, node: NodeState) -> bool:
    """Whether *node* was being worked on, or undone, when its run was interrupted."""
    return run.status is RunStatus.INTERRUPTED and node.status in {NodeStatus.RUNNING, NodeStatus.COMPENSATING}


def _note(run: Run, node: NodeState) -> str | None:
    """The note in parentheses behind the task of a node that is not running."""
    status = standing(node)
    fold = fold_of(run, node)
    if status is NodeStatus.COMPLETED:
        count = f", {fold.note}" if fold is not None else ""
        return f"completed in {took(_duration(run, node))}{count}"
    if status is NodeStatus.SKIPPED:
        return _cut(clean(node.skip_message), MAX_NOTE_LENGTH) if node.skip_message else None
    if status is NodeStatus.FAILED:
        return f"failed: {_reason(node)}{fold.rollback if fold is not None else ''}"
    fixed = "not started" if _icon(node) == NEVER_STARTED else _NOTES.get(status)
    if fixed is not None and fold is not None:
        fixed += fold.rollback
    if fixed is not None or run.phases[node.plan.phase].opened_at is None:
        return fixed
    waiting = waiting_for(run, node)
    if waiting is None:
        return None
    return _cut(clean(f"waiting for {waiting if node.waiting is not None else _words(waiting)}"), MAX_NOTE_LENGTH)


def todo_of(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> Todo:
    """The todo of one node."""
    task = subject(run, node)
    text = _text(run, node, now, learned)
    status = standing(node)
    if _is_cut_off(run, node):
        return Todo(text, "pending", active_form(task))
    if status is NodeStatus.RUNNING:
        return Todo(task, "in_progress", text if fold_of(run, node) is not None else active_form(task))
    if status in {NodeStatus.FAILED, NodeStatus.COMPENSATION_FAILED}:
        if run.ended:
            return Todo(f"❌ {text}", "completed", f"❌ {text}")
        failed = f"Failed: {task}: {_reason(node)}"
        return Todo(failed, "in_progress", failed)
    if status is NodeStatus.COMPENSATING:
        return Todo(text, "in_progress", f"Rolling back: {task}...")
    if status in {NodeStatus.COMPLETED, NodeStatus.SKIPPED, NodeStatus.CANCELLED, NodeStatus.COMPENSATED}:
        mark = "" if status is NodeStatus.COMPLETED else f"{_icon(node)} "
        return Todo(f"{mark}{text}", "completed", active_form(task))
    return Todo(text, "pending", active_form(task))


def numbered_phases(run: Run) -> Iterator[tuple[int, PhaseState]]:
    """Top-level phases with their number from 1, each followed by the phases of its sub-commands."""
    number = 0
    for phase in phases_of_file(run):
        if phase.plan.group is None:
            number += 1
        yield number, phase


def is_folded(run: Run, phase: PhaseState, options: TodoOptions) -> bool:
    """Whether *phase* is one line because it has not opened and the run has more than `batch_size` nodes."""
    many = options.batch_size is not None and len(run.plan.nodes) > options.batch_size
    return many and phase.opened_at is None and not run.ended


def folded_phase(run: Run, phase: PhaseState, number: int) -> str:
    """The line of a phase that has not opened: `Phase 4: Code Review (3 tasks, waiting for testing)`."""
    count = len(phase.plan.nodes)
    waiting = _phase_waits_for(run, phase)
    note = f", waiting for {waiting}" if waiting else ""
    return f"Phase {number}: {clean(phase.plan.name)} ({count} task{'s' if count != 1 else ''}{note})"


def heading(run: Run, phase: PhaseState, number: int) -> str:
    """The line above the nodes of *phase*."""
    waiting = _phase_waits_for(run, phase) if phase.opened_at is None and not run.ended else None
    return f"Phase {number}: {clean(phase.plan.name)}" + (f" (waiting for {waiting})" if waiting else "")


def _phase_waits_for(run: Run, phase: PhaseState) -> str | None:
    before = phase.plan.after
    if before is None or run.phases[before].ended_at is not None:
        return None
    return _words(run.phases[before].plan.id)


def _words(names: str) -> str:
    """Ids as words: `integration-tests` becomes "integration tests"."""
    return names.replace("-", " ").replace("_", " ")


def _duration(run: Run, node: NodeState) -> timedelta:
    last = node.attempts[-1]
    return run.worked(last, last.scheduled_at)


def _reason(node: NodeState) -> str:
    failure = node.compensation_failure or node.failure
    return _cut(clean(failure.message.splitlines()[0]), MAX_NOTE_LENGTH) if failure and failure.message else "unknown"


def _icon(node: NodeState) -> str:
    status = standing(node)
    return NEVER_STARTED if status is NodeStatus.CANCELLED and not node.attempts else _ICONS[status]


NEVER_STARTED = "⏹️"
_ICONS = {
    NodeStatus.PENDING: "⏳",
    NodeStatus.WAITING: "⏳",
    NodeStatus.RUNNING: "⚙️",
    NodeStatus.COMPLETED: "✅",
    NodeStatus.SKIPPED: "⏭️",
    NodeStatus.FAILED: "❌",
    NodeStatus.CANCELLED: "❌",
    NodeStatus.COMPENSATING: "↩️",
    NodeStatus.COMPENSATED: "↩️",
    NodeStatus.COMPENSATION_FAILED: "❌",
}
_NOTES = {
    NodeStatus.CANCELLED: "cancelled",
    NodeStatus.COMPENSATING: "rolling back...",
    NodeStatus.COMPENSATED: "rolled back",
    NodeStatus.COMPENSATION_FAILED: "rollback failed",
}
