"""What a call of a tool comes to: an answer, or the news that a run goes on, which is to become a task.

Pure. `mcp_tasks.py` makes the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_types import CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_server import wire

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension with which a client says that it takes tasks (SEP-2663)."""


class Begun(CallToolResult):
    """The status of a run that may go on, for a client that takes a task in the place of the answer."""


def result_of(answer: wire.Wire, kind: type[CallToolResult] = CallToolResult) -> CallToolResult:
    """*answer* as structured content, and as text for clients that know no other."""
    data = answer.data()
    return kind(content=[TextContent(type="text", text=wire.compact(data))], structured_content=data)


def takes_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client of this request has said with it that it takes tasks; one that shook hands cannot."""
    capabilities = ctx.session.client_capabilities
    declared = (capabilities.extensions if capabilities is not None else None) or {}
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and TASKS in declared
