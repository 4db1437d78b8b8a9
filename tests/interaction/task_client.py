"""A client that takes tasks and follows them itself: it sends what a test says, and gives what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import anyio
from mcp.client.extension import ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result

from tests.interaction.projects import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp import Client
    from mcp.client.extension import ClaimContext

EXTENSION = "io.modelcontextprotocol/tasks"


class Created(Result, extra="allow"):
    """A task in the place of a tool's answer."""

    result_type: Literal["task"]

    def data(self) -> dict[str, Any]:
        """The task as it came."""
        return dict(self.model_extra or {})


class TakesTasks(ClientExtension):
    """Declares the extension; tests follow a task themselves."""

    identifier = EXTENSION

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """The result of type `task`."""

        async def resolve(_: Created, __: ClaimContext) -> CallToolResult:
            raise NotImplementedError

        return [ResultClaim(result_type="task", model=Created, resolve=resolve)]


class Params(RequestParams, extra="allow"):
    """Whatever a test sends."""


class Answer(Result, extra="allow"):
    """Whatever the server answers."""


class TaskRequest(Request[Params, str]):
    """A request about a task."""

    name_param = "taskId"


async def begin(client: Client, tool: str = "run", **arguments: object) -> dict[str, Any]:
    """The task that *tool* answers with."""
    result = await client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(result, Created), text_of(result) if isinstance(result, CallToolResult) else result
    return result.data()


async def ask(client: Client, method: str, task_id: str, **params: object) -> dict[str, Any]:
    """What the server answers about a task, without what every answer has. Raises `MCPError`."""
    request = TaskRequest(method=method, params=Params.model_validate({"taskId": task_id, **params}))
    answer = await client.session.send_request(request, Answer)
    data = dict(answer.model_extra or {})
    assert data.pop("resultType") == "complete"
    return data


async def until(client: Client, task_id: str, status: str, *, line: str = "") -> dict[str, Any]:
    """The task once it has come to *status*, with *line* in its message."""
    with anyio.fail_after(30):
        while True:
            task = await ask(client, "tasks/get", task_id)
            if task["status"] == status and line in task["statusMessage"]:
                return task
            assert task["status"] in {"working", "input_required"}, task


async def answered(client: Client, task: dict[str, Any], **said: object) -> dict[str, Any]:
    """Answer each question of *task* by its node; gives what `tasks/update` answers."""
    keys = {key.split(":")[1]: key for key in task["inputRequests"]}
    responses = {keys[name.replace("_", "-")]: answer for name, answer in said.items()}
    return await ask(client, "tasks/update", task["taskId"], inputResponses=responses)
