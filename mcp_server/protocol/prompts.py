"""The prompts: one for each command, named after it, so that a client's menu can start it.

Effects: reads command files. A prompt only asks the model to call `run`; it starts nothing itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcp_types import (
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)

from engine.errors import InputError, NotFound
from mcp_server.protocol.instructions import call_text
from mcp_server.protocol.resources import project_of, project_to_list
from mcp_server.protocol.results import longest_call, refusal

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.mcpserver import MCPServer

    from mcp_server.protocol.session import Session
    from registry.commands import CommandSummary

ARGUMENTS = "arguments"


async def list_prompts(ctx: ServerRequestContext[Session, Any], _: PaginatedRequestParams | None) -> ListPromptsResult:
    """All commands that can be run by name."""
    project = await project_to_list(ctx)
    if project is None:
        return ListPromptsResult(prompts=[])
    from mcp_server.protocol.contents import runnable  # noqa: PLC0415 - heavy: see session.py

    return ListPromptsResult(prompts=[_prompt(summary) for summary in runnable(project)])


async def get_prompt(ctx: ServerRequestContext[Session, Any], params: GetPromptRequestParams) -> GetPromptResult:
    """The text that makes a model run the command with its arguments exactly as typed."""
    project = await project_of(ctx)
    from engine.text.shown import clean  # noqa: PLC0415 - compiles patterns that a good start does not need
    from mcp_server.protocol.contents import runnable  # noqa: PLC0415 - heavy: see session.py
    from registry.naming import closest  # noqa: PLC0415

    found = {summary.name.removeprefix("/"): summary for summary in runnable(project)}
    name = params.name.removeprefix("/")
    summary = found.get(name)
    if summary is None:
        near = closest(name, found)
        hint = f'Did you mean "{near}"?' if near else None
        raise refusal(NotFound(f'there is no command "/{name[:200]}"', code="COMMAND_NOT_FOUND", hint=hint))
    given = params.arguments or {}
    unknown = sorted(set(given) - {ARGUMENTS})
    if unknown:
        message = f'a prompt has no argument "{unknown[0][:100]}"'
        raise refusal(InputError(message, code="INVALID_PARAMETERS", hint=f'Its argument is "{ARGUMENTS}".'))
    text = call_text(summary.name, json.dumps(given.get(ARGUMENTS, ""), ensure_ascii=False), longest_call(ctx))
    return GetPromptResult(
        description=clean(summary.description) or None,
        messages=[PromptMessage(role="user", content=TextContent(type="text", text=text))],
    )


def add_prompts(server: MCPServer[Session]) -> None:
    """Offer all prompts on *server*."""
    low = server._lowlevel_server  # noqa: SLF001 - the SDK's own list is a fixed one
    low.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    low.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)


def _prompt(summary: CommandSummary) -> Prompt:
    from engine.text.shown import clean  # noqa: PLC0415 - compiles patterns that a good start does not need

    declared = clean(", ".join(summary.arguments))
    return Prompt(
        name=summary.name.removeprefix("/"),
        title=summary.name,
        description=clean(summary.description) or None,
        arguments=[
            PromptArgument(
                name=ARGUMENTS,
                description=f"Text after the command's name{f': {declared}' if declared else ''}",
                required=False,
            )
        ],
    )
