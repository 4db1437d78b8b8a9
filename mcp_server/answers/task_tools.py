"""A run as calls of Claude Code's Task tools: only what has changed since the session's last answer.

Effects: remembers in the session's memory what was sent. TaskCreate returns an id that only the model sees, so an
update names its task by the subject with which it was created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.text.cut import cut
from engine.text.gerunds import active_form
from engine.text.redaction import redact
from engine.text.shown import clean
from engine.views.progress import phases_of_file
from engine.views.todos import MARKED, TodoOptions, subject, todos
from mcp_server.answers import wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from engine.run.state import Run
    from engine.views.todos import TodoStatus

MAX_NODES_SHOWN = 40
"""Up to this many nodes each is a task; beyond, each phase is one."""
MAX_SUBJECT_LENGTH = 200
Sent = dict[str, "tuple[TodoStatus, str]"]
"""Status and subject by task, as last sent."""


class _Task(msgspec.Struct, frozen=True):
    key: str
    subject: str
    """Its first subject, by which the model finds its id."""
    status: TodoStatus
    text: str
    """Its subject now."""
    description: str
    active_form: str


def task_lines(run: Run, now: datetime, sent: Sent) -> list[wire.TaskLine]:
    """The calls that bring a task list in the state *sent* up to date; *sent* is updated."""
    lines: list[wire.TaskLine] = []
    for task in _tasks(run, now):
        before = sent.get(task.key)
        sent[task.key] = (task.status, task.text)
        create = None
        if before is None:
            create = wire.TaskCreate(subject=task.subject, description=task.description, active_form=task.active_form)
        status, text = before or ("pending", task.subject)
        update = wire.TaskUpdate(
            status=task.status if task.status != status else None, subject=task.text if task.text != text else None
        )
        if create is not None or update.data():
            lines.append(wire.TaskLine(task=task.subject, create=create, update=update if update.data() else None))
    return lines


def _tasks(run: Run, now: datetime) -> Iterator[_Task]:
    return _nodes(run, now) if len(run.plan.nodes) <= MAX_NODES_SHOWN else _phases(run)


def _nodes(run: Run, now: datetime) -> Iterator[_Task]:
    names = [name for phase in phases_of_file(run) for name in phase.plan.nodes]
    lines = todos(run, now, {}, TodoOptions(batch_size=len(names)))
    for name, line in zip(names, lines, strict=True):
        plan = run.nodes[name].plan
        task = subject(run, run.nodes[name])
        called = _cut(task)
        yield _Task(
            key=name,
            subject=called,
            status=line.status,
            text=_cut(line.content) if line.content.startswith((*MARKED, "Failed:")) else called,
            description=_cut(f"{name}, by {plan.agent}, of {run.plan.command} run {run.id}"),
            active_form=_cut(active_form(task)),
        )


def _phases(run: Run) -> Iterator[_Task]:
    for number, phase in enumerate(phases_of_file(run), start=1):
        called = _cut(f"Phase {number}: {phase.plan.name} ({len(phase.plan.nodes)} nodes)")
        over = run.ended or phase.ended_at is not None
        yield _Task(
            key=phase.plan.id,
            subject=called,
            status="completed" if over else "in_progress" if phase.opened_at is not None else "pending",
            text=called,
            description=_cut(f"phase {phase.plan.id} of {run.plan.command} run {run.id}"),
            active_form=called,
        )


def _cut(text: str) -> str:
    return cut(clean(redact(text)), MAX_SUBJECT_LENGTH)
