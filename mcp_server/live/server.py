"""Serves the live page of one project on loopback, with what it shows and what a person can do there.

Effects: listens on a loopback port until a signal comes; reads the project, and changes runs as `actions` says.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from engine.errors import EnvironmentFault, InputError, InternalError, NotFound, OrchestrationError, StateError
from engine.ids import RunId
from engine.text.redaction import redact_shown
from mcp_server.answers import wire
from mcp_server.answers.logs import log_of_run
from mcp_server.answers.nodes import node_of_run
from mcp_server.live.access import Gate, Secrets, data_of
from mcp_server.live.actions import Actions
from mcp_server.live.page import page, policy
from mcp_server.live.watching import Watching
from mcp_server.project.loopback import loopback
from mcp_server.project.outputs import outputs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from starlette.requests import Request

    from mcp_server.live.watching import Watched
    from mcp_server.project.reading import Runs

CONNECTIONS = 100
"""Requests at once; each page that is open holds one."""
QUIET_SECONDS = 15
"""A page that has not heard anything for three times as long tries again."""
MAX_BODY_BYTES = 64 * 1024
CUT_OFF = "ASGI callable returned without completing response."
"""A complaint of uvicorn about a stream of events that the end of the server has cut off."""
FILTERS = ("state", "command", "since", "grep")
STATUS: dict[type, int] = {NotFound: 404, InputError: 400, StateError: 409, EnvironmentFault: 503, InternalError: 500}


class Given(BaseModel):
    """The body of an action's request."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Cancel(Given):
    """See `Actions.cancel`."""

    compensate: bool = True


class Resume(Given):
    """See `Actions.resume`."""

    failed: bool = False


class Decide(Given):
    """See `Actions.decide`."""

    node: str = Field(max_length=500)
    answer: str = Field(max_length=20)


G = TypeVar("G", bound=Given)


class LivePage:
    """The application: its routes, below the secret path."""

    def __init__(self, project: Runs, known: Secrets, *, home: Path | None = None) -> None:
        """Of *project*, for those who know the secrets."""
        self._project = project
        self._known = known
        self.watching = Watching(project)
        self.actions = Actions(project.root, home=home)

    def app(self) -> Gate:
        """The application, guarded."""
        routes = [
            Route("/", self._page),
            Route("/runs/{run}", self._page),
            Route("/api/hello", _guarded(_hello)),
            Route("/api/events", self._runs),
            Route("/api/runs/{run}/events", self._run),
            Route("/api/runs/{run}/node", _guarded(self._node)),
            Route("/api/runs/{run}/log", _guarded(self._log)),
            Route("/api/runs/{run}/outputs", _guarded(self._outputs)),
            Route("/api/runs/{run}/cancel", _guarded(self._cancel), methods=["POST"]),
            Route("/api/runs/{run}/resume", _guarded(self._resume), methods=["POST"]),
            Route("/api/runs/{run}/decide", _guarded(self._decide), methods=["POST"]),
        ]
        return Gate(Starlette(routes=[Mount(self._known.base, routes=routes)]), self._known)

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(page(), headers={"Content-Security-Policy": policy()})

    async def _runs(self, request: Request) -> Response:
        where = {key: text for key in FILTERS if (text := request.query_params.get(key, "")[:200])}
        return self._events(lambda: self.watching.runs(where))

    async def _run(self, request: Request) -> Response:
        run_id = _run_of(request)
        return self._events(lambda: self.watching.run(run_id))

    def _events(self, following: Callable[[], AbstractAsyncContextManager[Watched]]) -> Response:
        """A stream that begins with a snapshot; an error is its last message."""

        async def messages() -> AsyncIterator[dict[str, str]]:
            number = 0
            try:
                async with following() as watched:
                    while True:
                        news = await watched.news(number, seconds=QUIET_SECONDS)
                        number = news.number
                        yield {"data": wire.compact(await self.watching.message(watched, news))}
            except OrchestrationError as error:
                yield {"event": "failure", "data": wire.compact(data_of(error))}

        return EventSourceResponse(messages(), ping=3600)

    async def _node(self, request: Request) -> object:
        return (await node_of_run(self._project, _run_of(request), _node_of(request))).data()

    async def _log(self, request: Request) -> object:
        return {"text": await log_of_run(self._project, _run_of(request), _node_of(request))}

    async def _outputs(self, request: Request) -> object:
        engine = await self._project.reader()
        name = _node_of(request)
        found = await engine.read(_run_of(request), lambda view: outputs_of(view.run, engine.values, name))
        return {one.key: redact_shown(one.value) for one in found}

    async def _cancel(self, request: Request) -> object:
        given = await _given(request, Cancel)
        await self.actions.cancel(_run_of(request), compensate=given.compensate)
        return {}

    async def _resume(self, request: Request) -> object:
        given = await _given(request, Resume)
        await self.actions.resume(_run_of(request), failed=given.failed)
        return {}

    async def _decide(self, request: Request) -> object:
        given = await _given(request, Decide)
        await self.actions.decide(_run_of(request), given.node, given.answer)
        return {}


async def _hello(_: Request) -> object:
    """For a page that has lost its stream: the server is here, and knows it."""
    return {}


def _run_of(request: Request) -> RunId:
    return RunId(request.path_params["run"])


def _node_of(request: Request) -> str:
    return request.query_params.get("name", "")


async def _given(request: Request, kind: type[G]) -> G:
    """The body of *request*. Raises `InputError` (INVALID_PARAMETERS)."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise InputError("the request is too large", code="INVALID_PARAMETERS")
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        places = ", ".join(".".join(map(str, one["loc"])) or "the body" for one in error.errors(include_url=False))
        raise InputError(f"the request has invalid parameters: {places}", code="INVALID_PARAMETERS") from None


def _guarded(act: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    """*act* with its result as JSON, and its errors as JSON with code, message and hint."""

    async def answered(request: Request) -> Response:
        try:
            return JSONResponse(await act(request))
        except OrchestrationError as error:
            status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
            return JSONResponse(data_of(error), status_code=status)

    return answered


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Whether *record* is more than that a page was still open at the end."""
    return record.getMessage() != CUT_OFF


async def serve_page(project: Runs, *, port: int, opened: Callable[[Secrets], None], home: Path | None = None) -> None:
    """Serve until a signal comes; *opened* is called once the page can be opened. Raises `OSError`."""
    with loopback(port) as (found, chosen):
        known = Secrets(chosen)
        live = LivePage(project, known, home=home)
        config = uvicorn.Config(
            live.app(),
            log_level="warning",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        opened(known)
        noise = logging.getLogger("uvicorn.error")
        noise.addFilter(_is_a_fault)
        try:
            await uvicorn.Server(config).serve(sockets=[found])
        finally:
            noise.removeFilter(_is_a_fault)
            await live.watching.close()
            await live.actions.close()
