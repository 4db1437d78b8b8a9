"""Bounds on what one client of the HTTP server may use: time for a request, memory for answers that it does not read.

Effects: ends connections. uvicorn limits idle connections only, and keeps an unread answer for ever.
"""

from __future__ import annotations

import gc
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any, TypedDict

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PIECE = 64 * 1024
"""Bytes of an answer that are sent at once."""
KERNEL_BYTES = 128 * 1024
"""Bytes of an answer that the kernel may buffer for the client."""
SWEEP_SECONDS = 0.2
"""Delay between the early end of a connection and the collection of its memory, so that several share one."""

log = logging.getLogger(__name__)


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on what a client may use."""

    header_seconds: float = 10.0
    """Time from the first byte of a request, or from connecting, to the end of its headers."""
    body_seconds: float = 30.0
    """Time from the end of the headers to the end of the body."""
    stall_seconds: float = 30.0
    """Time that an answer may wait while the client reads none of it."""
    unread_bytes: int = 32 * 1024 * 1024
    """Bytes of unread answers over all connections, not counting the newest; beyond it the oldest are cut off."""
    connections: int = 256
    """Connections at once; a request over a further one is answered 503."""


class Bounded(TypedDict):
    """Arguments of `uvicorn.Config`."""

    app: ASGIApp
    http: type[BoundedProtocol]
    limit_concurrency: int


class InPieces:
    """Sends answers in pieces, each once the one before was read, and frees every piece that was sent.

    uvicorn would copy a whole answer into its buffer. The last message of an answer is sent after the application has
    returned, so that the application's data is not kept for a client that does not read.
    """

    def __init__(self, app: ASGIApp, unsent: dict[object, int]) -> None:
        """*unsent* is kept up to date: bytes that are held for an unsent answer, by the client's address."""
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
            elif message.get("more_body"):  # the application waits and still holds the data and its text
                await self._send(_pieces(body), scope, send, beside=2 * len(body))
            else:
                end.extend(_pieces(body))

        await self._app(scope, receive, in_pieces)
        if end:
            await self._send(end, scope, send)
            await send({"type": "http.response.body", "body": b""})

    async def _send(self, pieces: list[bytes], scope: Scope, send: Send, *, beside: int = 0) -> None:
        """Send *pieces*, last first, and free each; *beside* are the bytes held in addition until all are sent."""
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

    The application is then cancelled, and its frames, which hold the answer, stay in a reference cycle with the
    exception. The garbage collector counts objects, not bytes: it would run only after hundreds of megabytes.
    """

    def __init__(self) -> None:
        """Start with nothing to free."""
        self._timer: asyncio.TimerHandle | None = None

    def sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Free memory shortly, for all connections that end until then."""
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        gc.collect()


class BoundedProtocol(H11Protocol):
    """uvicorn's connection, which ends when the client uses more than `limits` allow."""

    limits = HttpLimits()
    sweeper = Sweeper()
    unsent: Mapping[object, int] = {}
    """Bytes that are not yet in a connection's buffer, by the client's address."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - uvicorn's own
        """See uvicorn's."""
        super().__init__(*arguments, **options)
        self._request_timer: asyncio.TimerHandle | None = None
        self._awaits = ""
        """The part of a request that the timer runs for."""
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._stalled_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio's."""
        super().connection_made(transport)
        if (connection := transport.get_extra_info("socket")) is not None:
            # Otherwise the kernel's buffer grows to megabytes, which no limit counts.
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
        """See uvicorn's: called for new data, and for a request that was sent before the previous one was answered."""
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
        """Start the timer for the part of a request that is awaited now, unless it is running already."""
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
        """End the connection unless the client keeps reading its answer."""
        _cancel(self._stall_timer)
        self._stall_timer = self._later(self.limits.stall_seconds, self._check_reading)

    def _check_reading(self) -> None:
        unread = self.unread
        if unread >= self._unread:
            self._cut_off(f"the client read nothing of its answer for {self.limits.stall_seconds:g} s")
            return
        self._unread = unread
        self._watch_reading()

    def _make_room(self) -> None:
        """Cut off the connections that wait longest, but never this one, until the unread bytes are within bounds."""
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
        """Since when the connection has waited for its client to read; None if it does not wait."""
        return self._stalled_since

    @property
    def unread(self) -> int:
        """Bytes of the answer that the client has not received."""
        return self.transport.get_write_buffer_size() + self.unsent.get(self.client, 0)

    def _later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)

    def _cut_off(self, reason: str) -> None:
        log.info("connection cut off: %s", reason)
        self._stalled_since = None
        if (connection := self.transport.get_extra_info("socket")) is not None:
            # Otherwise the kernel would keep its part of the answer, for a client that does not read.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def bounded(app: ASGIApp, limits: HttpLimits) -> Bounded:
    """The arguments for uvicorn to serve *app* within *limits*."""
    unsent: dict[object, int] = {}
    shared = {"limits": limits, "unsent": unsent, "sweeper": Sweeper()}
    protocol = type("BoundedProtocol", (BoundedProtocol,), shared)
    return {"app": InPieces(app, unsent), "http": protocol, "limit_concurrency": limits.connections}


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
