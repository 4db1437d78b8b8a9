"""Serves over streamable HTTP: for tests, and for clients that cannot start a program.

Effects: listens on a loopback port until a signal comes. Host and Origin are checked and a bearer token is required,
since any page in a browser can reach a loopback port. All clients of one server share one session.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import signal
import sys
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse

from mcp_server.project.loopback import HOST, loopback
from mcp_server.protocol.app import OrchestrationServer
from mcp_server.protocol.http_limits import HttpLimits, bounded

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
TOKEN = "ORCHESTRATION_HTTP_TOKEN"  # noqa: S105 - the name of the variable
GRACE_SECONDS = 5
"""How long open streams of clients may delay shutdown."""


class RequireToken:
    """Answers 401 to every request without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """*app* receives the requests that carry *token*."""
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            scheme, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(b" "), self._token):
                answer = PlainTextResponse(
                    "a bearer token is required", status_code=401, headers={"WWW-Authenticate": "Bearer"}
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class HttpServer(uvicorn.Server):
    """uvicorn's server, which notifies ours of shutdown: runs are then interrupted, not cancelled."""

    def __init__(
        self, server: OrchestrationServer, *, port: int, token: str | None, limits: HttpLimits | None = None
    ) -> None:
        """Serve *server* on *port*; without a *token* anyone on this machine may use it, as tests do.

        *limits* bound what a client may use.
        """
        self._ours = server
        app: ASGIApp = server.streamable_http_app(
            streamable_http_path=PATH,
            transport_security=TransportSecuritySettings(
                allowed_hosts=[f"{name}:{port}" for name in (HOST, "localhost")],
                allowed_origins=[f"http://{name}:{port}" for name in (HOST, "localhost")],
            ),
        )
        super().__init__(
            uvicorn.Config(
                **bounded(app if token is None else RequireToken(app, token), limits or HttpLimits()),
                log_level="warning",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See uvicorn's."""
        self._ours.client_gone()
        super().handle_exit(sig, frame)


async def serve_http(*, port: int, root: str | Path | None = None) -> None:
    """Serve until a signal comes; URL and token are printed to stderr. Raises `OSError` if the port is taken."""
    token = os.environ.get(TOKEN) or secrets.token_urlsafe(32)
    with loopback(port) as (listening, chosen):
        server = HttpServer(OrchestrationServer(root=root), port=chosen, token=token)
        shown = "as set" if os.environ.get(TOKEN) else token
        print(f"http://{HOST}:{chosen}{PATH}\nbearer token ({TOKEN}): {shown}", file=sys.stderr, flush=True)  # noqa: T201
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.handle_exit, signal.SIGHUP, None)
        await server.serve(sockets=[listening])
