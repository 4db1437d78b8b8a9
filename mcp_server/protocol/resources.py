"""The resources of a project: listing, reading, completion of their URIs, and subscriptions.

Effects: reads the project through `contents.py`, which is heavy and so imported on the first request. Single runs are
listed only once the engine is open; `orchestration://runs` always has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp.server.mcpserver import require_client_extension
from mcp.server.subscriptions import ListenHandler, SubscriptionBus
from mcp_types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from mcp_server.protocol.results import TASKS, refusal
from mcp_server.protocol.uris import (
    AGENTS,
    APP,
    COMMAND,
    COMMANDS,
    LOG,
    NODE,
    OUTPUT,
    REFERENCE,
    RUN,
    RUNS,
    RUNS_WHERE,
    SCHEMA,
    command_uri,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server.context import ServerRequestContext
    from mcp.server.mcpserver import MCPServer

    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

JSON: Final = "application/json"
PROJECT_UNKNOWN: Final = "PROJECT_UNKNOWN"
MAX_RUNS = 10
"""Runs that are listed as resources, newest first."""
MAX_COMPLETIONS = 100

APP_TYPE: Final = "text/html;profile=mcp-app"
APP_META: Final = {"ui": {"prefersBorder": True}}

FIXED = (
    Resource(name="commands", title="Commands", uri=COMMANDS, mime_type=JSON, description="All commands by name"),
    Resource(name="agents", title="Agents", uri=AGENTS, mime_type=JSON, description="All agents a command can name"),
    Resource(name="runs", title="Runs", uri=RUNS, mime_type=JSON, description="The runs of this project, newest first"),
    Resource(
        name="command-v2.json",
        title="Command format",
        uri=SCHEMA,
        mime_type="application/schema+json",
        description="JSON Schema of command files",
    ),
    Resource(name="run-view", title="Live view of a run", uri=APP, mime_type=APP_TYPE, meta=APP_META),
)
TEMPLATES = (
    ("command", COMMAND, JSON, "The definition of one command"),
    ("reference", REFERENCE, "text/markdown", "A part of the command format, or a pattern, for writing commands"),
    ("runs", RUNS_WHERE, JSON, "The runs in a state, of a command, since a time such as 2d, or with a text"),
    ("run", RUN, JSON, "The status of one run"),
    ("output", OUTPUT, None, "One output of a run, whole: text unchanged, all else as JSON"),
    ("node", NODE, JSON, "One node: prompt, inputs, attempts, times, cost, and why it waits"),
    ("log", LOG, "text/plain", "The end of what a node's agent printed, said and did; {node} may be NODE#ATTEMPT"),
    ("report", f"{RUN}/report", "text/plain", "The timeline and the run in numbers"),
    ("timeline", f"{RUN}/timeline", JSON, "When each node ran"),
    ("diagram", f"{RUN}/diagram", "application/vnd.mermaid", "The run's graph as a Mermaid flowchart"),
)


async def list_resources(
    ctx: ServerRequestContext[Session, Any], _: PaginatedRequestParams | None
) -> ListResourcesResult:
    """The fixed resources, the commands, and the newest runs."""
    project = await project_to_list(ctx)
    if project is None:
        return ListResourcesResult(resources=[*FIXED])
    return ListResourcesResult(resources=[*FIXED, *_commands(project), *[run async for run in _runs(project)]])


async def list_templates(
    _: ServerRequestContext[Session, Any], __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    """The templates of URIs."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(name=name, uri_template=template, mime_type=mime_type, description=description)
            for name, template, mime_type, description in TEMPLATES
        ]
    )


async def read_resource(
    ctx: ServerRequestContext[Session, Any], params: ReadResourceRequestParams
) -> ReadResourceResult:
    """The contents at a URI. A failure is an error with code, message and hint in its text."""
    if str(params.uri) == APP:
        return _app()
    project = await project_of(ctx)
    from engine.errors import OrchestrationError  # noqa: PLC0415 - light itself, but a part of the heavy half
    from mcp_server.protocol.contents import read  # noqa: PLC0415 - heavy: see session.py

    try:
        content = await read(project, str(params.uri))
    except OrchestrationError as error:
        raise refusal(error, {"uri": str(params.uri)}) from None
    return ReadResourceResult(
        contents=[TextResourceContents(uri=str(params.uri), mime_type=content.mime_type, text=content.text)]
    )


def _app() -> ReadResourceResult:
    """The live view, which needs no project."""
    from mcp_server.live.page import page  # noqa: PLC0415 - only hosts of MCP Apps read it

    return ReadResourceResult(contents=[TextResourceContents(uri=APP, mime_type=APP_TYPE, text=page(), meta=APP_META)])


async def complete(ctx: ServerRequestContext[Session, Any], params: CompleteRequestParams) -> CompleteResult:
    """Names of commands and nodes, ids of runs and keys of outputs that begin as typed; a prompt's argument is free."""
    found: list[str] = []
    if isinstance(params.ref, ResourceTemplateReference):
        project = await project_of(ctx)
        from engine.errors import OrchestrationError  # noqa: PLC0415
        from mcp_server.protocol.contents import complete as completions  # noqa: PLC0415 - heavy: see session.py

        given = (params.context and params.context.arguments) or {}
        try:
            found = await completions(project, params.argument.name, params.argument.value, given)
        except OrchestrationError:
            found = []
    return CompleteResult(
        completion=Completion(values=found[:MAX_COMPLETIONS], total=len(found), has_more=len(found) > MAX_COMPLETIONS)
    )


async def subscribe(ctx: ServerRequestContext[Session, Any], params: SubscribeRequestParams) -> EmptyResult:
    """Notify a client of an older protocol of changes."""
    await ctx.lifespan_context.notifications.subscribe(await project_of(ctx), str(params.uri), ctx.session)
    return EmptyResult()


async def unsubscribe(ctx: ServerRequestContext[Session, Any], params: UnsubscribeRequestParams) -> EmptyResult:
    """Undo `subscribe`."""
    ctx.lifespan_context.notifications.unsubscribe(str(params.uri), ctx.session)
    return EmptyResult()


def add_resources(server: MCPServer[Session], bus: SubscriptionBus) -> None:
    """Offer all resources on *server*; changes are announced on *bus*."""
    streams = ListenHandler(bus)

    async def listen(
        ctx: ServerRequestContext[Session, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        if (params.notifications.model_extra or {}).get("taskIds"):  # not granted: clients poll their tasks
            require_client_extension(ctx, TASKS)
        uris = params.notifications.resource_subscriptions
        if not uris:  # listening from the start needs no project
            return await streams(ctx, params)
        async with ctx.lifespan_context.notifications.listening(await project_of(ctx), uris):
            return await streams(ctx, params)

    low = server._lowlevel_server  # noqa: SLF001 - the SDK's own lists are fixed ones
    low.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
    low.add_request_handler("resources/templates/list", PaginatedRequestParams, list_templates)
    low.add_request_handler("resources/read", ReadResourceRequestParams, read_resource)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    low.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, listen)
    low.add_request_handler("completion/complete", CompleteRequestParams, complete)


async def project_of(ctx: ServerRequestContext[Session, Any]) -> Project:
    """The project. A failure to open it is an error of the protocol with code, message and hint in its text."""
    from engine.errors import OrchestrationError  # noqa: PLC0415

    try:
        return await ctx.lifespan_context.project()
    except OrchestrationError as error:
        raise refusal(error) from None


async def project_to_list(ctx: ServerRequestContext[Session, Any]) -> Project | None:
    """The project; None if there is none, in which case a list is empty."""
    from engine.errors import OrchestrationError  # noqa: PLC0415

    try:
        return await ctx.lifespan_context.project()
    except OrchestrationError as error:
        if error.code == PROJECT_UNKNOWN:
            return None
        raise refusal(error) from None


def _commands(project: Project) -> list[Resource]:
    from engine.text.shown import clean  # noqa: PLC0415
    from mcp_server.protocol.contents import runnable  # noqa: PLC0415 - heavy: see session.py

    return [
        Resource(
            name=summary.name,
            uri=command_uri(summary.name),
            mime_type=JSON,
            description=clean(summary.description)[:200] or None,
        )
        for summary in runnable(project)
    ]


async def _runs(project: Project) -> AsyncIterator[Resource]:
    if not project.is_open:
        return
    from engine.text.shown import clean  # noqa: PLC0415

    for row in await (await project.reader()).storage.summaries(MAX_RUNS):
        yield Resource(
            name=clean(f"{row.command} {row.id}"),
            uri=f"{RUNS}/{row.id}",
            mime_type=JSON,
            description=f"{row.status}, {row.done} of {row.total} done",
        )
