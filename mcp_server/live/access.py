"""Access to the live page: for a browser that was given its address, and for no other page that is open in it.

Effects: none but answers to requests.

Any page on the web can make a browser send requests to a loopback port. So each request has to name this server as its
host (a name of the attacker's that resolves to 127.0.0.1 does not), has to come from no other page as far as the
browser says, and needs the secret: the token, once, in the address that `orchestrate view` prints, then a cookie that
scripts cannot read. Cookies of one host are sent to every port of it: so this one is bound to a path that only this
server has, and named after its port. A request that changes something must be one that only our own page can send.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse

from engine.errors import OrchestrationError
from mcp_server.project.loopback import HOST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = frozenset({"GET", "HEAD"})
FOREIGN_REQUEST = "FOREIGN_REQUEST"
VIEW_TOKEN_NEEDED = "VIEW_TOKEN_NEEDED"  # noqa: S105 - a code
JSON = "application/json"
HTTP_PORT = 80
"""The one that browsers leave out of the host."""
SAFETY = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer."""


class Secrets:
    """The secrets of one server."""

    def __init__(self, port: int) -> None:
        """Choose them for the server on *port*."""
        self.token = secrets.token_urlsafe(32)
        self.base = f"/{secrets.token_hex(8)}"
        """The path below which everything is."""
        self.cookie_name = f"orchestration_view_{port}"
        self.cookie = secrets.token_urlsafe(32)
        names = (HOST, "localhost")
        self.hosts = frozenset(f"{name}:{port}" for name in names) | frozenset(names if port == HTTP_PORT else ())
        self.port = port

    def address(self, run: str | None = None) -> str:
        """The address to open: of the list of runs, or of one run."""
        return f"http://{HOST}:{self.port}{self.base}/{f'runs/{run}' if run else ''}?token={self.token}"

    @property
    def set_cookie(self) -> str:
        """The header that leaves the cookie in the browser."""
        return f"{self.cookie_name}={self.cookie}; Path={self.base}; HttpOnly; SameSite=Strict"


class Gate:
    """Lets only those requests through to *app* that may use it."""

    def __init__(self, app: ASGIApp, known: Secrets) -> None:
        """*app* receives the requests of those who know the secrets."""
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        has_token = self._has_token(scope)
        error = self._refusal(scope, headers, has_token=has_token)
        more = {**SAFETY, **({"Set-Cookie": self._known.set_cookie} if has_token and error is None else {})}

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(more)
            await send(message)

        answer = self._app if error is None else _answer(scope, error)
        await answer(scope, receive, safely)

    def _refusal(self, scope: Scope, headers: Headers, *, has_token: bool) -> OrchestrationError | None:
        host = headers.get("host", "")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        reads = scope["method"] in READING
        # A link in another program's window is followed with a navigation; everything else comes from a page of ours.
        typed = reads and headers.get("sec-fetch-mode") == "navigate"
        if (
            host not in self._known.hosts
            or origin not in {f"http://{host}", *((None,) if reads else ())}
            or not (typed or site in {"same-origin", "none"})
            or not (reads or headers.get("content-type", "").partition(";")[0].strip() == JSON)
        ):
            return OrchestrationError("the request does not come from this server's own page", code=FOREIGN_REQUEST)
        if has_token or self._has_cookie(headers):
            return None
        return OrchestrationError(
            "this address needs the token of the server that is running now",
            code=VIEW_TOKEN_NEEDED,
            hint="Open the address that `orchestrate view` prints.",
        )

    def _has_token(self, scope: Scope) -> bool:
        """Whether a page was asked for with the token."""
        if scope["method"] not in READING:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[-1]
        return hmac.compare_digest(given.encode(), self._known.token.encode())

    def _has_cookie(self, headers: Headers) -> bool:
        """Whether our cookie is among those of *headers*, whatever form those of other servers here have."""
        pairs = (pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";"))
        given = [value for name, _, value in pairs if name == self._known.cookie_name]
        return any(hmac.compare_digest(value.encode(), self._known.cookie.encode()) for value in given)


def data_of(error: OrchestrationError) -> dict[str, str]:
    """*error* as JSON data."""
    found = {"code": error.code, "message": error.message, "hint": error.hint}
    return {key: value for key, value in found.items() if value}


def _answer(scope: Scope, error: OrchestrationError) -> ASGIApp:
    """The answer to a request that was refused: for a person who opens an address, text."""
    status = 401 if error.code == VIEW_TOKEN_NEEDED else 403
    if "/api/" in scope["path"]:
        return JSONResponse(data_of(error), status_code=status)
    return PlainTextResponse(f"{error.code}: {error.message}\n{error.hint or ''}\n", status_code=status)
