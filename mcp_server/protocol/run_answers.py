"""Answers about a run for one session: what it does not know yet, and once what an earlier session left behind.

Effects: reads runs, and remembers in the session what was sent.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import OrchestrationError
from engine.run.events import RunStatus
from engine.runtime.clock import process_of
from engine.statefolder.location import has_journal
from engine.views.known import Known
from mcp_server.answers import wire
from mcp_server.answers.follow import Seen, seen_in
from mcp_server.answers.guidance import CANCEL_PENDING, CANCEL_UNHEARD, left_behind
from mcp_server.answers.node_pages import Page
from mcp_server.answers.status import status_of
from mcp_server.answers.task_tools import task_lines
from mcp_server.protocol.results import RunInProgress, longest_call, result_of

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp_types import CallToolResult

    from engine.ids import RunId
    from engine.service import View
    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

LOOK_BACK = timedelta(days=7)
"""How long ago a run may have begun that a session's first answer names."""
MAX_LOOKED_AT = 50
MAX_NAMED = 3


async def answer_about(
    ctx: ServerRequestContext[Session, Any],
    project: Project,
    run_id: RunId | None,
    *,
    kind: type[CallToolResult],
    view_name: wire.ViewName = "summary",
    afresh: bool = False,
    estimate: wire.EstimateLine | None = None,
    refused: list[wire.RefusedLine] | None = None,
    cancelling: bool = False,
    nodes: tuple[str | None, int | None] = (None, None),
) -> CallToolResult:
    """The status of *run_id* (default: the newest run). *afresh*: as if the session knew nothing of its nodes.

    *nodes* are the node and the offset of a page.
    """
    session = ctx.lifespan_context
    engine = await project.reader()
    heard = not cancelling or run_id is None or await engine.archive.is_heard(run_id)

    def shape(view: View) -> tuple[RunId, Seen, wire.Status]:
        run = view.run
        tasks = task_lines(run, view.now, session.tasks.setdefault(run.id, {})) if view_name == "todos" else None
        handed = session.orders.setdefault(run.id, set())
        if view_name == "nodes" and nodes == (None, None):  # a client asks for it when it has lost its orders
            handed.difference_update(order.attempt for order in view.work)
        known = session.known.setdefault(run.id, Known())
        if afresh:
            known.clear()
        answer = status_of(
            view,
            view_name=view_name,
            values=engine.values,
            options=project.todo_options,
            tasks=tasks,
            handed=handed,
            known=known,
            wait=longest_call(ctx),
            page=Page(*nodes),
        )
        update: dict[str, Any] = {"refused": refused}
        if estimate is not None and not run.ended:
            update["estimate"] = estimate
        if cancelling and not (run.ended or run.saga is not None):
            pending = CANCEL_PENDING if heard else CANCEL_UNHEARD.format(process=process_of(run.owner))
            update["next"] = f"{pending} {answer.next}"
        return run.id, seen_in(run), answer.model_copy(update=update)

    found, seen, answer = await engine.read(run_id, shape)
    session.seen[found] = seen
    if not issubclass(kind, RunInProgress):  # what is sent then is built in task_states.py
        answer = with_interrupted(answer, await interrupted_runs(session, project, but=found))
        session.answered = True
    return result_of(answer, kind)


def with_interrupted(answer: wire.Status, lines: list[wire.InterruptedLine]) -> wire.Status:
    """*answer*, which names the runs of *lines* and says what to do about them."""
    if not lines:
        return answer
    return answer.model_copy(update={"interrupted": lines, "next": f"{answer.next} {left_behind(lines)}"})


async def interrupted_runs(
    session: Session, project: Project, *, but: RunId | None = None
) -> list[wire.InterruptedLine]:
    """Runs that a session's first answer names since they were interrupted, apart from *but*; later none.

    The answer of a task that was the first one says it whenever it is fetched.
    """
    if session.answered and (but is None or session.first_task != but):
        return []
    if session.left is None:
        session.left = await _interrupted(project)
    return [line for line in session.left if line.run_id != but][:MAX_NAMED]


async def _interrupted(project: Project) -> list[wire.InterruptedLine]:
    try:
        if not await asyncio.to_thread(has_journal, project.root):
            return []
        engine = await project.reader()
        rows = await engine.archive.look_after_all(MAX_LOOKED_AT)
    except OrchestrationError:  # an answer about runs reports it
        return []
    since = engine.clock.now() - LOOK_BACK
    return [
        wire.InterruptedLine(run_id=row.id, command=row.command, done=row.done, total=row.total)
        for row in rows
        if row.status is RunStatus.INTERRUPTED and row.created_at >= since
    ]
