"""The MCP server: its tools, its errors, and serving them over stdio until the client leaves.

Effects: reads stdin and writes stdout, which belongs to the protocol alone; logs go to stderr. The SDK handles both
generations of the protocol.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.apps import Apps
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver import server as sdk
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp_types import CallToolResult, NotificationParams, TextContent
from pydantic import ValidationError

from engine.errors import InternalError, NotFound, OrchestrationError
from mcp_server.protocol import instructions
from mcp_server.protocol.prompts import add_prompts
from mcp_server.protocol.resources import add_resources
from mcp_server.protocol.results import error_text
from mcp_server.protocol.session import Session
from mcp_server.protocol.stdin import Lines
from mcp_server.protocol.tasks_extension import RunTasks
from mcp_server.protocol.tools import add_tools
from mcp_server.version import version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.mcpserver import Context
    from mcp_types import InputRequiredResult, Tool

    from mcp_server.door.handover import HandOver
    from mcp_server.protocol.stdout import Stdout

log = logging.getLogger(__name__)

NAME = "orchestration"
SESSION = "CLAUDE_CODE_SESSION_ID"
"""Claude Code sets it for the servers of a session."""
LAST_RESORT_SECONDS = 10.0
"""The process ends within this time after the client has left, whatever hangs."""


class OrchestrationServer(MCPServer[Session]):
    """The SDK's server, with failures of tools that say what is wrong and what to do."""

    def __init__(self, *, root: str | Path | None = None, home: Path | None = None, offers: bool = True) -> None:
        """*root* is the project root, *home* the user's home directory; by default those of the environment.

        If it does not *offer* anything, since another server of the session does, its instructions explain that.
        """
        self.sessions: set[Session] = set()
        bus = InMemorySubscriptionBus()

        @contextlib.asynccontextmanager
        async def lifespan(_: MCPServer[Session]) -> AsyncIterator[Session]:
            session = Session(bus, place=root, home=home)
            self.sessions.add(session)
            try:
                yield session
            finally:
                with anyio.CancelScope(shield=True):
                    await session.close()
                self.sessions.discard(session)

        super().__init__(
            NAME,
            title="Agent orchestration",
            instructions=instructions.SERVER if offers else instructions.TWIN,
            version=version(),
            lifespan=lifespan,
            log_level="WARNING",
            subscriptions=bus,
            extensions=[RunTasks(), Apps()],
        )
        if not offers:
            return
        add_tools(self)
        add_resources(self, bus)
        add_prompts(self)
        self._announce_changes()
        self._look_after_projects()

    def _announce_changes(self) -> None:
        """Declare in the handshake that lists change; in protocol 2026-07-28 the SDK does so by itself."""
        low = self._lowlevel_server
        changes = NotificationOptions(prompts_changed=True, resources_changed=True)
        options = partial(low.create_initialization_options, changes)
        low.create_initialization_options = options  # type: ignore[method-assign]  # transports ask without arguments

        async def connected(ctx: ServerRequestContext[Session, Any], _: NotificationParams | None) -> None:
            ctx.lifespan_context.notifications.connected(ctx.session)

        low.add_notification_handler("notifications/initialized", NotificationParams, connected)

    def _look_after_projects(self) -> None:
        """At a client's first request of any kind, clean up after killed servers."""

        async def asked(ctx: ServerRequestContext[Session, Any], call_next: CallNext) -> HandlerResult:
            ctx.lifespan_context.look_after()
            if ctx.method == "notifications/cancelled":
                ctx.lifespan_context.cancelled(ctx.params)
            return await call_next(ctx)

        self._lowlevel_server.middleware.append(asked)

    def client_gone(self) -> None:
        """Note that what ends from now on was not cancelled by anyone: runs are interrupted."""
        for session in self.sessions:
            session.closing = True

    async def list_tools(self) -> list[Tool]:
        """See the SDK's; as short as they can be, since every session reads all of it."""
        return [
            tool.model_copy(
                update={
                    "input_schema": compact(tool.input_schema),
                    "output_schema": tool.output_schema and compact(tool.output_schema),
                }
            )
            for tool in await super().list_tools()
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Session, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """See the SDK's; failures are answers with `isError` and a text of code, message and hint."""
        try:
            self._check_names(name, arguments)
            return await super().call_tool(name, arguments, context)
        except OrchestrationError as error:
            return _failed(error)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, OrchestrationError):
                return _failed(cause)
            if isinstance(cause, ValidationError):
                return _failed(_bad_parameters(name, arguments, cause))
            if not isinstance(error, UnexpectedToolError):
                raise
            log.exception("tool %s failed", name)
            message = f"{name} failed with an unexpected {type(cause).__name__}; this is a fault of the server"
            return _failed(InternalError(message, hint="See the server's log on stderr for details."))

    def _check_names(self, name: str, arguments: dict[str, Any]) -> None:
        """Reject unknown tools and parameters: a misspelled one would be silently ignored."""
        from registry.naming import closest  # noqa: PLC0415 - at the first call the registry is needed anyway

        tool = self._tool_manager.get_tool(name)
        if tool is None:
            near = closest(name, [known.name for known in self._tool_manager.list_tools()])
            hint = f'Did you mean "{near}"?' if near else None
            raise NotFound(f'there is no tool "{name}"', code="UNKNOWN_TOOL", hint=hint)
        known = tool.parameters.get("properties", {})
        for parameter in arguments:
            if parameter not in known:
                near = closest(parameter, known)
                hint = f'Did you mean "{near}"?' if near else f"Its parameters are {', '.join(known)}."
                message = f'{name} has no parameter "{parameter}"'
                raise NotFound(message, code="INVALID_PARAMETERS", hint=hint)


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """*schema* without titles, and with each definition in the place of its name; none of ours refers to itself."""
    parts = schema.get("$defs", {})
    found: dict[str, Any] = _inlined({key: part for key, part in untitled(schema).items() if key != "$defs"}, parts)
    return found


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, list):
        return [_inlined(part, parts) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _inlined(part, parts) for key, part in schema.items()}
    name = found.pop("$ref", None)
    return found if name is None else {**_inlined(untitled(parts[name.rpartition("/")[2]]), parts), **found}


def untitled(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """*schema* without titles; a property of that name stays."""
    if isinstance(schema, dict):
        return {key: untitled(part) for key, part in schema.items() if key != "title" or not isinstance(part, str)}
    return [untitled(part) for part in schema] if isinstance(schema, list) else schema


def _bad_parameters(name: str, given: Mapping[str, Any], error: ValidationError) -> OrchestrationError:
    """An error that lists each invalid parameter; values are not repeated: they may be secret or long."""
    wrong: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        place = _place(item["loc"], given, missing=item["type"] == "missing") or "parameters"
        wrong.setdefault(place, []).append(item["msg"])
    lines = [f"{place}: {' or: '.join(dict.fromkeys(messages))}" for place, messages in wrong.items()]
    return OrchestrationError(f"{name}: {'; '.join(lines)}", code="INVALID_PARAMETERS")


def _place(steps: Sequence[str | int], given: Any, *, missing: bool) -> str:  # noqa: ANN401 - what a client sent
    """The place of an error or *missing* value in *given*, as `results.0.failure`, without attempted types."""
    place: list[str] = []
    for step in steps:
        try:
            given = given[step]
        except (KeyError, IndexError, TypeError):
            return ".".join([*place, str(step)] if missing else place)
        place.append(str(step))
    return ".".join(place)


def _failed(error: OrchestrationError) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=error_text(error))], is_error=True)


async def serve(*, root: str | Path | None = None, door: HandOver | None = None) -> int:
    """Serve over stdio until stdin closes or a signal comes; returns the exit code.

    Live runs are ended and recorded as interrupted first. *door* has both streams if it has answered before.
    """
    _keep_log()
    server = OrchestrationServer(root=root, offers=_offers(door))
    code = 0
    with anyio.CancelScope() as scope:

        def going() -> None:
            server.client_gone()
            _limit_shutdown()

        def on_signal(number: int) -> None:
            nonlocal code
            code = 128 + number
            going()
            scope.cancel()

        with _signals(on_signal), Lines(on_end=going, door=door) as stdin:
            async with stdio_server(stdin=stdin, stdout=_stdout(door)) as (read_stream, write_stream):  # type: ignore[arg-type]
                # Output printed here would wait in a buffer until descriptor 1 belongs to the client again.
                with contextlib.redirect_stdout(sys.stderr):
                    low = server._lowlevel_server  # noqa: SLF001 - the SDK has no public way to pass a transport
                    await low.run(read_stream, write_stream, low.create_initialization_options())
    return code


def _keep_log() -> None:
    """Where the log goes somewhere already, spare the SDK a handler of its own, for which it imports all of rich."""
    if logging.root.handlers:  # to which it would add nothing
        sdk.configure_logging = lambda _: None  # type: ignore[attr-defined, assignment, misc]


def _offers(door: HandOver | None) -> bool:
    """Whether this server offers the tools to its session; always if its door has said so."""
    if not os.environ.get(SESSION):
        return True
    from mcp_server.twins import is_alone, serves  # noqa: PLC0415 - other clients start one server

    offers = (door is not None and door.has_answered) or serves(os.environ)
    if door is not None and not (offers and is_alone(os.environ)):
        door.keep_nothing()
    return offers


def _stdout(door: HandOver | None) -> Stdout | None:
    """The output that the SDK gets; None if it is to use its own."""
    if door is None:
        return None
    from mcp_server.protocol.stdout import Stdout  # noqa: PLC0415 - most servers in this process do without

    return Stdout(door)


@contextlib.contextmanager
def _signals(handler: Any) -> Any:  # noqa: ANN401
    """Call *handler* with the number of a terminating signal; SIGHUP comes when the client's terminal closes."""
    import asyncio  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, handler, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _limit_shutdown() -> None:
    """Exit at once if an orderly shutdown takes too long: a client must never wait for a server that hangs."""

    def leave() -> None:
        print("orchestration-mcp: shutdown took too long; exiting", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)

    timer = threading.Timer(LAST_RESORT_SECONDS, leave)
    timer.daemon = True
    timer.start()
