"""The prompts: one for each command, so that a client's menu can start it, and one that writes a command.

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
AUTHOR = "new-command"
AUTHOR_DESCRIPTION = "Write a command from a sentence: file, validation, plan with its worst case, simulation"
"""The prompt that lets the model write a command; a command of the project with this name takes its place."""


async def list_prompts(ctx: ServerRequestContext[Session, Any], _: PaginatedRequestParams | None) -> ListPromptsResult:
    """All commands that can be run by name, and the prompt that writes one."""
    project = await project_to_list(ctx)
    if project is None:
        return ListPromptsResult(prompts=[])
    from mcp_server.protocol.contents import runnable  # noqa: PLC0415 - heavy: see session.py

    prompts = [_prompt(summary) for summary in runnable(project)]
    own = [] if any(prompt.name == AUTHOR for prompt in prompts) else [_author()]
    return ListPromptsResult(prompts=[*prompts, *own])


async def get_prompt(ctx: ServerRequestContext[Session, Any], params: GetPromptRequestParams) -> GetPromptResult:
    """The text that makes a model run the command with its arguments exactly as typed, or write a command."""
    project = await project_of(ctx)
    from engine.text.shown import clean  # noqa: PLC0415 - compiles patterns that a good start does not need
    from mcp_server.protocol.contents import runnable  # noqa: PLC0415 - heavy: see session.py
    from registry.naming import closest  # noqa: PLC0415

    found = {summary.name.removeprefix("/"): summary for summary in runnable(project)}
    name = params.name.removeprefix("/")
    summary = found.get(name)
    if summary is None and name != AUTHOR:
        near = closest(name, [*found, AUTHOR])
        hint = f'Did you mean "{near}"?' if near else None
        raise refusal(NotFound(f'there is no command "/{name[:200]}"', code="COMMAND_NOT_FOUND", hint=hint))
    given = params.arguments or {}
    unknown = sorted(set(given) - {ARGUMENTS})
    if unknown:
        message = f'a prompt has no argument "{unknown[0][:100]}"'
        raise refusal(InputError(message, code="INVALID_PARAMETERS", hint=f'Its argument is "{ARGUMENTS}".'))
    typed = given.get(ARGUMENTS, "")
    if summary is None:
        from mcp_server.protocol.authoring import prompt  # noqa: PLC0415 - only this prompt needs it

        text, description = prompt(typed, project.catalog.agents().agents.values(), found.values()), AUTHOR_DESCRIPTION
    else:
        text = call_text(summary.name, json.dumps(typed, ensure_ascii=False), longest_call(ctx))
        description = clean(summary.description)
    return GetPromptResult(
        description=description or None,
        messages=[PromptMessage(role="user", content=TextContent(type="text", text=text))],
    )


def add_prompts(server: MCPServer[Session]) -> None:
    """Offer all prompts on *server*."""
    low = server._lowlevel_server  # noqa: SLF001 - the SDK's own list is a fixed one
    low.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    low.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)


def _author() -> Prompt:
    about = "A sentence: the work that the command does"
    return Prompt(
        name=AUTHOR,
        title="New command",
        description=AUTHOR_DESCRIPTION,
        arguments=[PromptArgument(name=ARGUMENTS, description=about, required=False)],
    )


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
