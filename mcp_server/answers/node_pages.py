"""The nodes of a run in a status: a page of them, all, or one with its plan.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.ids import NodeId
from engine.run.state import NodeStatus
from engine.run.titles import title
from engine.text.cut import cut
from engine.text.redaction import one_line, redact
from engine.text.shown import printable
from engine.views.durations import milliseconds
from engine.views.progress import estimate_of
from engine.views.status import node_line
from mcp_server.answers import wire
from mcp_server.project.nodes import find_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.service import View
    from engine.views.status import NodeLine, Snapshot

MAX_NODES_SHOWN = 200
MAX_ERROR_LENGTH = 160
MAX_TASK_LENGTH = 2_000
QUIET = frozenset({NodeStatus.COMPLETED, NodeStatus.SKIPPED, NodeStatus.PENDING})


class Page(NamedTuple):
    """Which nodes a status lists."""

    node: str | None = None
    """Only this one, with dependencies, task and estimate; with an offset, its instances."""
    offset: int | None = None
    """A page in file order from this place on; None: those that matter most, such as running and failed ones."""
    whole: bool = False
    """All of them, for programs that read no pages."""


class Part(NamedTuple):
    """Nodes to list, and where the next page starts."""

    lines: Sequence[NodeLine]
    next_offset: int | None = None


def part_of(view: View, now: Snapshot, page: Page) -> Part:
    """The nodes of *now* for *page*, in file order. Raises `NotFound` (NODE_NOT_FOUND)."""
    lines = now.nodes
    if page.node is not None:
        node = find_node(view.run, page.node)
        shape = view.run.unfolded.get(node.plan.id)
        if shape is not None and page.offset is not None:
            return _instances(view, node.plan.id, shape.count, page.offset)
        return Part([node_line(view.run, node, view.now)])
    if page.offset is not None:
        end = page.offset + MAX_NODES_SHOWN
        return Part(lines[page.offset : end], end if end < len(lines) else None)
    if page.whole or len(lines) <= MAX_NODES_SHOWN:
        return Part(lines)
    kept = {line.id for line in sorted(lines, key=lambda line: line.state in QUIET)[:MAX_NODES_SHOWN]}
    return Part([line for line in lines if line.id in kept])


def _instances(view: View, name: NodeId, count: int, offset: int) -> Part:
    """A page of the instances of *name*, from *offset* on."""
    run, end = view.run, min(offset + MAX_NODES_SHOWN, count)
    nodes = (run.nodes[NodeId(f"{name}/{number}")] for number in range(offset + 1, end + 1))
    return Part([node_line(run, node, view.now) for node in nodes], end if end < count else None)


def nodes_of(view: View, now: Snapshot, page: Page) -> dict[str, Any]:
    """The fields of a status that list nodes."""
    part = part_of(view, now, page)
    lines = [_line(line) for line in part.lines]
    if page.node is not None and page.offset is None:
        lines = [_with_plan(view, line) for line in lines]
    return {
        "nodes": lines,
        "nodes_left_out": max(0, len(now.nodes) - len(lines)) or None,
        "next_offset": part.next_offset,
    }


def timeline_of(view: View, now: Snapshot, page: Page) -> dict[str, Any]:
    """The fields of a status that say when nodes ran."""
    begun = [line for line in now.nodes if line.started is not None]
    start = page.offset or 0
    end = len(begun) if page.whole else start + MAX_NODES_SHOWN
    lines = part_of(view, now, page).lines if page.node is not None else begun[start:end]
    spans = [
        wire.SpanLine(
            node=line.id,
            phase=line.phase,
            start_ms=milliseconds(line.started),
            duration_ms=milliseconds(line.duration),
            state=str(line.state),
        )
        for line in lines
        if line.started is not None and line.duration is not None
    ]
    return {
        "timeline": spans,
        "nodes_left_out": len(begun) - len(spans) or None,
        "next_offset": end if end < len(begun) and page.node is None else None,
    }


def _line(line: NodeLine) -> wire.NodeStatusLine:
    return wire.NodeStatusLine(
        id=line.id,
        phase=line.phase,
        agent_id=line.agent,
        state=str(line.state),
        attempts=line.attempts,
        started_ms=milliseconds(line.started) if line.started is not None else None,
        duration_ms=milliseconds(line.duration) if line.duration is not None else None,
        waiting_for=one_line(line.waiting_for, limit=MAX_ERROR_LENGTH) if line.waiting_for else None,
        error=_error(line),
    )


def _with_plan(view: View, line: wire.NodeStatusLine) -> wire.NodeStatusLine:
    node = find_node(view.run, line.id)
    task = printable(redact(title(view.run, node)))
    return line.model_copy(
        update={
            "depends_on": list(node.plan.depends_on),
            "task": cut(task, MAX_TASK_LENGTH),
            "estimate_ms": milliseconds(estimate_of(node, view.estimates)),
        }
    )


def _error(line: NodeLine) -> str | None:
    failure = line.failure
    return one_line(f"{failure.code}: {failure.message}", limit=MAX_ERROR_LENGTH) if failure is not None else None
