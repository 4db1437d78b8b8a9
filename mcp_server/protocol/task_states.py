"""The state of a run as a task of the protocol, and a person's answers to its questions.

Effects: reads runs and passes answers to them. A task ends where the call that it stands for would have been answered:
when the run has ended, when it has work for the client, or when it waits for a person who cannot be asked here. It ends
only once: a run that continues after that no longer has a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ElicitResult
from pydantic import ValidationError

from engine.run.events import RunStatus
from engine.text.redaction import shown
from engine.text.shown import clean
from engine.views.status import snapshot
from mcp_server.answers.guidance import progress_line
from mcp_server.answers.status import status_of
from mcp_server.protocol.elicitation import answer_in, can_be_asked, form_request, open_in, open_questions, pass_on
from mcp_server.protocol.results import longest_call, result_of
from mcp_server.protocol.run_answers import interrupted_runs, with_interrupted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mcp.server.context import ServerRequestContext

    from engine.ids import RunId
    from engine.service import View
    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

POLL_MS: Final = 1000
"""Milliseconds between a client's polls."""


async def task_of(project: Project, ctx: ServerRequestContext[Session, Any], run_id: RunId) -> dict[str, Any]:
    """The task as `tasks/get` returns it, with `inputRequests` or `result` if it has them. Raises `NotFound`."""
    session = ctx.lifespan_context
    engine = await project.reader()
    asks = can_be_asked(ctx.session.client_capabilities)
    left = await interrupted_runs(session, project, but=run_id)

    def shape(view: View) -> dict[str, Any]:
        run = view.run
        now = snapshot(run, view.now, view.estimates)
        task = {
            "taskId": run.id,
            "status": "working",
            "statusMessage": progress_line(now, run, view.actions),
            "createdAt": _time(run.created_at),
            "lastUpdatedAt": _time(run.changed_at or run.created_at),
            "ttlMs": None,  # kept until it is pruned
            "pollIntervalMs": POLL_MS,
        }
        if run.status is RunStatus.CANCELLED and run.id not in session.completed_tasks:
            return {**task, "status": "cancelled", "statusMessage": clean(shown(now.message)) or task["statusMessage"]}
        asked = [one for one in open_in(view) if one.key not in session.asked] if asks else []
        waits = bool(view.work) or (bool(now.questions) and not asked and not run.live)
        if now.ended or waits or run.id in session.completed_tasks:
            session.completed_tasks.add(run.id)
            if not session.answered:
                session.answered, session.first_task = True, run.id
            handed = session.orders[run.id] = set()  # so that the answer is the same whenever it is fetched
            answer = status_of(
                view, values=engine.values, options=project.todo_options, handed=handed, wait=longest_call(ctx)
            )
            result = result_of(with_interrupted(answer, left)).model_dump(mode="json", by_alias=True, exclude_none=True)
            return {**task, "status": "completed", "result": result}
        if asked:
            return {**task, "status": "input_required", "inputRequests": {one.key: form_request(one) for one in asked}}
        return task

    return await engine.read(run_id, shape)


async def give_answers(
    project: Project, ctx: ServerRequestContext[Session, Any], run_id: RunId, responses: Mapping[str, Any]
) -> None:
    """Pass a person's answers to the run; those to questions that are no longer open are ignored. Raises `NotFound`."""
    answers = []
    for one in await open_questions(project, run_id):
        if one.key in responses and one.key not in ctx.lifespan_context.asked:
            try:
                response = ElicitResult.model_validate(responses[one.key], by_name=False)
            except ValidationError:
                raise MCPError(INVALID_PARAMS, f'the response to "{one.key}" is not a form answer') from None
            answers.append((one, answer_in(one.question, response)))
    await pass_on(ctx.lifespan_context, project, answers)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
