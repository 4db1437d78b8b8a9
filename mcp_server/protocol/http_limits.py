"""Bounds on what one client of the HTTP server may hold: time for a request, memory for answers that it does not read.

Effects: ends connections. uvicorn limits idle connections only, and keeps an answer for ever that its client does not
read.
"""

from __future__ import annotations

import gc
import logging
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE = 64 * 1024
"""Bytes of an answer that are handed on at once."""
KERNEL_BYTES = 128 * 1024
"""Of an answer that the kernel may hold until the client takes them."""
SWEEP_SECONDS = 0.2
"""Between a connection that ended early and the search for what it left, which finds what others left meanwhile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What a client may take."""

    header_seconds: float = 10.0
    """From the first byte of a request, or from connecting, to the end of its headers."""
    body_seconds: float = 30.0
    """From the end of the headers to the end of the body."""
    stall_seconds: float = 30.0
    """For which an answer may wait while the client reads none of it."""
    unread_bytes: int = 32 * 1024 * 1024
    """Of answers that no client has read, over all connections, beside the newest: beyond it the oldest are cut off."""
    connections: int = 256
    """At once; a request over one more is answered 503."""


class Bounded(TypedDict):
    """Arguments of `uvicorn.Config`."""

    app: ASGIApp
    http: type[BoundedProtocol]
    limit_concurrency: int


class InPieces:
    """Sends answers piece by piece, each when the one before was read, and holds no more of them than that takes.

    uvicorn would copy a whole answer into its buffer. The end of an answer is sent when the application has returned:
    what it was made of is not held for a client that does not read.
    """

    def __init__(self, app: ASGIApp, unsent: dict[object, int]) -> None:
        """*unsent* is told how many bytes are held for an answer that is not sent, by the client's address."""
        self._app = app
        self._unsent = unsent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        end: list[bytes] = []

        async def in_pieces(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= PIECE:
                await send(message)
            elif message.get("more_body"):  # the application waits, with what it made this of and that as text
                await self._send(_pieces(body), scope, send, beside=2 * len(body))
            else:
                end.extend(_pieces(body))

        await self._app(scope, receive, in_pieces)
        if end:
            await self._send(end, scope, send)
            await send({"type": "http.response.body", "body": b""})

    async def _send(self, pieces: list[bytes], scope: Scope, send: Send, *, beside: int = 0) -> None:
        """Send *pieces*, last first, and let go of each; *beside* is what is held besides until all are sent."""
        left = sum(map(len, pieces))
        try:
            while pieces:
                self._unsent[scope["client"]] = beside + left
                left -= len(pieces[-1])
                await send({"type": "http.response.body", "body": pieces.pop(), "more_body": True})
        finally:
            self._unsent.pop(scope["client"], None)


def _pieces(body: bytes) -> list[bytes]:
    """*body* in pieces, the last one first."""
    return [body[at : at + PIECE] for at in range((len(body) - 1) // PIECE * PIECE, -1, -PIECE)]


class Sweeper:
    """Frees the answers of connections that ended early.

    The application is cancelled then, and its frames, which hold the answer, are left in cycles with the exception. The
    collector counts objects, not bytes: it would come to them after hundreds of megabytes.
    """

    def __init__(self) -> None:
        """There is nothing to sweep yet."""
        self._timer: asyncio.TimerHandle | None = None

    def sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sweep in a moment, for all connections that end until then."""
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        gc.collect()


class BoundedProtocol(H11Protocol):
    """uvicorn's connection, which ends where the client takes more than `limits` allow."""

    limits = HttpLimits()
    sweeper = Sweeper()
    unsent: Mapping[object, int] = {}
    """Bytes that wait before the connection of a client, by its address."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """See uvicorn's."""
        super().__init__(*arguments, **options)
        self._request_timer: asyncio.TimerHandle | None = None
        self._awaits = ""
        """The part of a request that the timer is for."""
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio's."""
        super().connection_made(transport)
        if (connection := transport.get_extra_info("socket")) is not None:
            # Else the kernel lets it grow to megabytes, which are counted nowhere.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio's."""
        _cancel(self._request_timer)
        _cancel(self._stall_timer)
        if self.client in self.unsent:
            self.sweeper.sweep_soon(self.loop)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """See uvicorn's: called with new data, and for a request that was sent ahead of the answer before it."""
        super().handle_events()
        self._watch_request()

    def pause_writing(self) -> None:
        """See asyncio's."""
        super().pause_writing()
        self._stalled_since = self.loop.time()
        self._unread = self.unread
        self._watch_reading()
        self._make_room()

    def resume_writing(self) -> None:
        """See asyncio's."""
        super().resume_writing()
        self._stalled_since = None
        _cancel(self._stall_timer)

    def _watch_request(self) -> None:
        """Start the timer of the part of a request that is awaited now, unless it runs already."""
        awaits = ""
        if self.conn.their_state is h11.SEND_BODY:
            awaits = "body"
        elif self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None:
            awaits = "headers"
        if awaits == self._awaits:
            return
        self._awaits = awaits
        _cancel(self._request_timer)
        if awaits:
            seconds = self.limits.body_seconds if awaits == "body" else self.limits.header_seconds
            self._request_timer = self._later(seconds, lambda: self._cut_off(f"the {awaits} took over {seconds:g} s"))

    def _watch_reading(self) -> None:
        """End the connection unless the client reads something of its answer in time, again and again."""
        _cancel(self._stall_timer)
        self._stall_timer = self._later(self.limits.stall_seconds, self._look_at_reading)

    def _look_at_reading(self) -> None:
        unread = self.unread
        if unread >= self._unread:
            self._cut_off(f"the client read nothing of its answer for {self.limits.stall_seconds:g} s")
            return
        self._unread = unread
        self._watch_reading()

    def _make_room(self) -> None:
        """Cut off the connections that wait longest, but never this one, until what is unread is within the bound."""
        waiting = [one for one in self.connections if isinstance(one, BoundedProtocol) and one.waits is not None]
        waiting.remove(self)
        unread = sum(one.unread for one in waiting)
        for one in sorted(waiting, key=lambda one: one.waits or 0.0):
            if unread <= self.limits.unread_bytes:
                return
            unread -= one.unread
            one._cut_off("clients left too much of their answers unread")  # noqa: SLF001 - of the same class

    @property
    def waits(self) -> float | None:
        """Since when the connection has waited for its client to read; None: it does not."""
        return self._stalled_since

    @property
    def unread(self) -> int:
        """Bytes of the answer that the client has still to take."""
        return self.transport.get_write_buffer_size() + self.unsent.get(self.client, 0)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)

    def _cut_off(self, reason: str) -> None:
        log.info("a connection is cut off: %s", reason)
        self._stalled_since = None
        if (connection := self.transport.get_extra_info("socket")) is not None:
            # Else the kernel would keep what it has of the answer, for a client that does not read.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def bounded(app: ASGIApp, limits: HttpLimits) -> Bounded:
    """What uvicorn needs to serve *app* within *limits*."""
    unsent: dict[object, int] = {}
    shared = {"limits": limits, "unsent": unsent, "sweeper": Sweeper()}
    protocol = type("BoundedProtocol", (BoundedProtocol,), shared)
    return {"app": InPieces(app, unsent), "http": protocol, "limit_concurrency": limits.connections}


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
