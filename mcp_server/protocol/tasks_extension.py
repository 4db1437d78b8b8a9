"""Runs as tasks of the protocol: the tasks extension, for clients that offer it (SEP-2663, protocol 2026-07-28).

Effects: answers a call of `run` that has waited long enough with a task, and serves `tasks/get`, `tasks/update` and
`tasks/cancel`. A task is a run and has its id, which cannot be guessed; it is read from the journal, so every server of
the project knows it. `task_states.py` says in which state a task is. Clients poll; changes are not announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from mcp_server.protocol.resources import project_of
from mcp_server.protocol.results import TASKS, RunInProgress, refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import CallToolRequestParams

    from engine.ids import RunId
    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

    Handler = Callable[[Project, "Ctx", Any], Awaitable[dict[str, Any]]]

    Ctx = ServerRequestContext[Session, Any]


class TaskParams(RequestParams):
    """The task that a request is about."""

    task_id: str = Field(min_length=1, max_length=200)


class UpdateParams(TaskParams):
    """Answers to the questions of a task, by key."""

    input_responses: dict[str, Any]


class RunTasks(Extension):
    """The tasks extension over the runs of a project."""

    identifier = TASKS

    def methods(self) -> Sequence[MethodBinding]:
        """`tasks/get`, `tasks/update` and `tasks/cancel`; clients of older protocols find none of them."""
        return [
            _method("tasks/get", TaskParams, _get),
            _method("tasks/update", UpdateParams, _update),
            _method("tasks/cancel", TaskParams, _cancel),
        ]

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:  # noqa: ARG002 - the SDK passes all three
        """Answer with a task where a run continues; one that has ended is answered as usual."""
        result = await call_next(ctx)
        if not isinstance(result, RunInProgress):
            return result
        task = await _get(await project_of(ctx), ctx, TaskParams(task_id=result.structured_content["runId"]))
        if "result" in task:
            answer: dict[str, Any] = task["result"]
            return answer
        task.pop("inputRequests", None)
        return {"resultType": "task", **task}


def _method(name: str, params_type: type[TaskParams], handler: Handler) -> MethodBinding:
    """*handler* for clients that declare the extension; its failures become errors of the protocol."""

    async def checked(ctx: Ctx, params: Any) -> dict[str, Any]:  # noqa: ANN401 - of params_type
        require_client_extension(ctx, TASKS)
        _check_header(ctx, params)
        project = await project_of(ctx)
        from engine.errors import OrchestrationError  # noqa: PLC0415 - light itself, but a part of the heavy half

        try:
            return await handler(project, ctx, params)
        except OrchestrationError as error:
            raise refusal(error) from None

    return MethodBinding(name, params_type, checked, protocol_versions=frozenset(MODERN_PROTOCOL_VERSIONS))


def _check_header(ctx: Ctx, params: TaskParams) -> None:
    """Refuse a request whose header names another task; over HTTP a header repeats the id, for routing."""
    named = ctx.request.headers.get(MCP_NAME_HEADER) if ctx.request is not None else None
    if named is not None and decode_header_value(named) != params.task_id:
        raise MCPError(HEADER_MISMATCH, f"the header {MCP_NAME_HEADER} does not name the task of the request")


async def _get(project: Project, ctx: Ctx, params: TaskParams) -> dict[str, Any]:
    from mcp_server.protocol.task_states import task_of  # noqa: PLC0415 - heavy: see session.py

    return await task_of(project, ctx, _run(params))


async def _update(project: Project, ctx: Ctx, params: UpdateParams) -> dict[str, Any]:
    from mcp_server.protocol.task_states import give_answers  # noqa: PLC0415 - heavy: see session.py

    await give_answers(project, ctx, _run(params), params.input_responses)
    return {}


async def _cancel(project: Project, ctx: Ctx, params: TaskParams) -> dict[str, Any]:
    """Ask the run to end; a task that is over stays as it is, even if its run was interrupted and could be undone."""
    run_id = _run(params)
    engine = await project.engine()
    over = await engine.read(run_id, lambda view: view.run.ended)
    if not (over or run_id in ctx.lifespan_context.completed_tasks):
        with anyio.CancelScope(shield=True):
            await engine.cancel(run_id, reason="its task was cancelled")
    return {}


def _run(params: TaskParams) -> RunId:
    return params.task_id  # type: ignore[return-value]  # the engine checks whether it exists
