"""Lets a client that speaks HTTP talk to a server over stdio: each session has a server of its own.

Effects: starts servers, and listens on a port of this machine. It passes messages on as they are, except for their ids:
several clients of protocol 2026-07-28, which has no sessions, may have the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import uuid
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

SESSION = "mcp-session-id"
LIMIT = 1024 * 1024
"""Bytes of the longest line."""


class Speaker:
    """One server and its streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.news: asyncio.Queue[str] = asyncio.Queue()
        """What the server says unasked."""
        self._listening = asyncio.ensure_future(self._listen())

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to *request*."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.tell({**request, "id": number})
        return {**await answer, "id": request["id"]}

    def tell(self, message: dict[str, Any]) -> None:
        """Pass on *message*."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if "method" in message:
                self.news.put_nowait(line.decode())
            else:
                self._waiting.pop(message["id"]).set_result(message)

    async def leave(self) -> int:
        """Close the server's stdin; returns its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._listening, 20)
            return await asyncio.wait_for(self._process.wait(), 20)
        finally:
            if self._process.returncode is None:
                self._process.kill()


class Bridge:
    """The servers behind one address."""

    def __init__(self, start: Callable[[], Awaitable[asyncio.subprocess.Process]]) -> None:
        """*start* starts a server with pipes whose limit is `LIMIT`."""
        self._start = start
        self._speakers: dict[str, Speaker] = {}
        self._modern = asyncio.Lock()
        self.app = Starlette(
            routes=[
                Route("/mcp", self._post, methods=["POST"]),
                Route("/mcp", self._get, methods=["GET"]),
            ]
        )

    async def leave(self) -> list[int]:
        """End all servers; returns their exit codes."""
        return [await speaker.leave() for speaker in self._speakers.values()]

    async def _post(self, request: Request) -> Response:
        message = await request.json()
        session = request.headers.get(SESSION)
        if message.get("method") == "initialize":
            session = uuid.uuid4().hex
            self._speakers[session] = Speaker(await self._start())
        speaker = await self._speaker(session)
        if speaker is None:
            return Response(status_code=404)
        headers = {} if session is None else {SESSION: session}
        if "id" not in message or "method" not in message:
            speaker.tell(message)
            return Response(status_code=202, headers=headers)
        return JSONResponse(await speaker.ask(message), headers=headers)

    async def _speaker(self, session: str | None) -> Speaker | None:
        if session is not None:
            return self._speakers.get(session)
        async with self._modern:
            if "" not in self._speakers:
                self._speakers[""] = Speaker(await self._start())
        return self._speakers[""]

    async def _get(self, request: Request) -> Response:
        speaker = self._speakers.get(request.headers.get(SESSION, ""))
        if speaker is None:
            return Response(status_code=405)

        async def news() -> AsyncIterator[str]:
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    yield f"event: message\ndata: {await speaker.news.get()}\n\n"

        return StreamingResponse(news(), media_type="text/event-stream")
