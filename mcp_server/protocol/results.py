"""The results of requests: an answer, a refusal, or the status of a run that continues as a task.

Pure. `tasks_extension.py` builds the task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from engine.errors import InvalidCommand
from mcp_server.answers import wire
from mcp_server.protocol.instructions import LONG_WAIT

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from engine.errors import OrchestrationError

TASKS: Final = "io.modelcontextprotocol/tasks"
"""The extension by which a client declares that it supports tasks (SEP-2663)."""
MAX_PROBLEMS = 50


class RunInProgress(CallToolResult):
    """The status of a run that may continue, for a client that accepts a task instead of an answer."""


def result_of(answer: wire.Wire, kind: type[CallToolResult] = CallToolResult) -> CallToolResult:
    """*answer* as structured content, and as text for clients that support nothing else."""
    return result_with(answer.data(), kind)


def result_with(data: dict[str, Any], kind: type[CallToolResult] = CallToolResult) -> CallToolResult:
    """*data* as structured content, and as text."""
    from engine.text.shown import escaped  # noqa: PLC0415 - compiles patterns that a good start does not need

    return kind(content=[TextContent(type="text", text=escaped(wire.compact(data)))], structured_content=data)


def error_text(error: OrchestrationError) -> str:
    """Code, message, every problem of a command with its suggestion, and the hint, made safe to show."""
    from engine.text.redaction import redact  # noqa: PLC0415 - as above
    from engine.text.shown import clean, within  # noqa: PLC0415

    problems = error.problems if isinstance(error, InvalidCommand) else ()
    wrong = [problem for problem in problems if str(problem.severity) == "error"]
    message = error.message.splitlines()[0] if wrong else error.message
    place = f" (at {clean(error.pointer)})" if error.pointer and not problems else ""
    lines = [f"{error.code}: {within(message)}{place}"]
    for problem in wrong[:MAX_PROBLEMS]:
        suggestion = f" ({within(problem.suggestion)})" if problem.suggestion else ""
        place = f" ({clean(problem.place)})" if problem.place else ""
        lines.append(
            f"- {problem.code} at {clean(problem.pointer) or '/'}{place}: {within(problem.message)}{suggestion}"
        )
    if len(wrong) > MAX_PROBLEMS:
        lines.append(f"- and {len(wrong) - MAX_PROBLEMS} more")
    if error.client_hint:
        lines.append(f"hint: {within(error.client_hint)}")
    return redact("\n".join(lines))


def refusal(error: OrchestrationError, data: Any = None) -> MCPError:  # noqa: ANN401 - any JSON value
    """*error* as an error of the protocol, for requests other than tool calls."""
    return MCPError(INVALID_PARAMS, error_text(error), data)


def is_claude_code(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client is Claude Code, whose calls last as long as progress is reported, and whose Esc cancels."""
    client = ctx.session.client_params
    return client is not None and client.client_info.name == "claude-code"


def longest_call(ctx: ServerRequestContext[Any, Any]) -> int:
    """How many seconds one call of this client may take, as far as is known."""
    return LONG_WAIT if is_claude_code(ctx) and not ctx.lifespan_context.hurries else wire.SHORT_WAIT


def takes_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client declares with this request that it supports tasks; in older protocols it cannot."""
    capabilities = ctx.session.client_capabilities
    declared = (capabilities.extensions if capabilities is not None else None) or {}
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and TASKS in declared
