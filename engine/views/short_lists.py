"""The lists of a large run that name each node of which there is something to say, and count the others.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.run.state import NodeStatus
from engine.views.progress import phases_of_file
from engine.views.tally import OVER
from engine.views.todos import MARKED, Todo, TodoOptions, is_folded, todos

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.run.state import NodeState, PhaseState, Run

MAX_NODES_IN_FULL = 40
"""Up to this many nodes, a todo list names each one; above, finished phases become one line each."""


def short_todos(
    run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions | None = None
) -> list[Todo]:
    """The todo list of a large run: one line a finished phase, and one for the pending nodes of an open one."""
    every = iter(todos(run, now, learned, options))
    found: list[Todo] = []
    for phase in phases_of_file(run):
        if is_folded(run, phase, options or TodoOptions()):
            found.append(next(every))
            continue
        lines = [(run.nodes[name], next(every)) for name in phase.plan.nodes]
        named = [todo for node, todo in lines if is_notable(node)]
        found.extend(named[:MAX_NODES_IN_FULL])
        rest = len(lines) - len(named[:MAX_NODES_IN_FULL])
        if rest:
            found.append(_rest(run, phase, rest, alone=not named))
    return found


def short_display(run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions | None = None) -> str:
    """The text block of a large run, from the same lines as its short todo list."""
    icons = {"completed": "✅", "in_progress": "⚙️", "pending": "⏳"}
    return "\n".join(
        todo.content if todo.content.startswith(MARKED) else f"{icons[todo.status]} {todo.content}"
        for todo in short_todos(run, now, learned, options)
    )


def is_notable(node: NodeState) -> bool:
    """Whether a short list still names *node*: it runs, waits for something, or failed."""
    quiet = {NodeStatus.COMPLETED, NodeStatus.SKIPPED, NodeStatus.PENDING, NodeStatus.CANCELLED, NodeStatus.COMPENSATED}
    return node.status not in quiet


def _rest(run: Run, phase: PhaseState, count: int, *, alone: bool) -> Todo:
    done = sum(run.nodes[name].status in OVER for name in phase.plan.nodes)
    total = len(phase.plan.nodes)
    which = f"{count} tasks" if alone else f"{count} more tasks"
    text = f"{phase.plan.name}: {which} ({done} of {total} done)"
    over = phase.ended_at is not None or run.ended
    return Todo(text, "completed" if over else "pending", text)
