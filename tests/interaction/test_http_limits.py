"""What one client of the HTTP server may hold, with real connections and bounds that a test need not wait for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest
import uvicorn
from uvicorn.server import ServerState

from mcp_server.project.loopback import loopback
from mcp_server.protocol.app import OrchestrationServer
from mcp_server.protocol.http import HttpServer
from mcp_server.protocol.http_limits import HttpLimits, bounded
from tests.interaction.projects import environment
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase
from tests.support.real_agents import write_command
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

LONG = 3600.0
SECONDS = 30
MEGABYTE = 1024 * 1024
HEAD = b"Host: x\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body, and answers with as many megabytes as the path says."""
    if scope["type"] != "http":
        return
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.disconnect":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * (int(scope["path"][1:] or 0) * MEGABYTE)})


def limits(**given: float) -> HttpLimits:
    """*given*, and all other times too long for a test."""
    return HttpLimits(**{"header_seconds": LONG, "body_seconds": LONG, "stall_seconds": LONG, **given})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(server: uvicorn.Server, listening: socket.socket) -> AsyncIterator[None]:
    task = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, SECONDS)


@contextlib.asynccontextmanager
async def answering(given: HttpLimits) -> AsyncIterator[int]:
    """The port of a server of `app`."""
    with loopback() as (listening, port):
        config = uvicorn.Config(**bounded(app, given), log_level="critical", lifespan="off")
        async with serving(uvicorn.Server(config), listening):
            yield port


async def connect(port: int, sent: bytes) -> socket.socket:
    """A connection that has sent *sent* and takes little of what comes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)  # noqa: FBT003 - the signature is the library's
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(client, sent)
    return client


async def read(client: socket.socket) -> int:
    """Bytes that come until the connection ends, however it does."""
    size = 0
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(SECONDS):
            while data := await asyncio.get_running_loop().sock_recv(client, 65536):
                size += len(data)
    return size


@pytest.mark.parametrize(
    ("sent", "bound"),
    [
        (b"", {"header_seconds": 0.1}),
        (b"GET /0 HTTP/1.1\r\nHost:", {"header_seconds": 0.1}),
        (b"POST /0 HTTP/1.1\r\nContent-Length: 9\r\n" + HEAD + b"half", {"body_seconds": 0.1}),
        (b"POST /0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD, {"body_seconds": 0.1}),
    ],
    ids=["nothing", "half a header", "half a body", "no chunk of a body"],
)
@keeps("http")
async def test_a_request_that_does_not_come_whole_in_time_is_cut_off(sent: bytes, bound: dict[str, float]) -> None:
    async with answering(limits(**bound)) as port:
        with contextlib.closing(await connect(port, sent)) as client:
            assert await read(client) == 0


@keeps("http")
async def test_the_second_request_of_a_connection_has_its_own_time() -> None:
    async with answering(limits(header_seconds=0.5)) as port:
        with contextlib.closing(await connect(port, b"GET /0 HTTP/1.1\r\n" + HEAD)) as client:
            await answered(client)
            await asyncio.get_running_loop().sock_sendall(client, b"GET /0")
            assert await read(client) > 0


@keeps("http")
async def test_a_client_that_reads_nothing_is_cut_off_in_time() -> None:
    async with answering(limits(stall_seconds=0.2)) as port:
        with contextlib.closing(await connect(port, b"GET /64 HTTP/1.1\r\n" + HEAD)) as client:
            await gone(client)


class Unread(asyncio.Transport):
    """A connection of whose answer so many bytes are unread, look by look."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.sizes.pop(0)

    def is_closing(self) -> bool:
        return self.aborted

    def close(self) -> None:
        self.aborted = True

    def abort(self) -> None:
        self.aborted = True


@keeps("http")
async def test_a_slow_client_is_cut_off_only_when_it_reads_no_more() -> None:
    connection = bounded(app, limits())["http"](uvicorn.Config(app, log_level="critical"), ServerState(), {})
    transport = Unread(900, 500, 400, 400)
    connection.connection_made(transport)
    connection.pause_writing()
    cut_off = []
    for _ in range(3):
        connection._check_reading()
        cut_off.append(transport.aborted)
    assert cut_off == [False, False, True]
    connection.connection_lost(None)


@keeps("http")
async def test_a_client_that_reads_late_gets_all() -> None:
    async with answering(limits(stall_seconds=SECONDS)) as port:
        with contextlib.closing(await connect(port, b"GET /24 HTTP/1.1\r\nConnection: close\r\n" + HEAD)) as client:
            assert await read(client) > 24 * MEGABYTE


@keeps("http")
async def test_of_clients_that_read_nothing_those_that_wait_longest_are_cut_off_at_a_bound() -> None:
    async with answering(limits(unread_bytes=40 * MEGABYTE)) as port, contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(4):
            clients.append(stack.enter_context(contextlib.closing(await connect(port, b"GET /24 HTTP/1.1\r\n" + HEAD))))
            await answered(clients[-1])
        await asyncio.gather(*(gone(client) for client in clients[:2]))
        last = b"GET /0 HTTP/1.1\r\nConnection: close\r\n" + HEAD
        with contextlib.closing(await connect(port, last)) as another:
            assert await read(another) > 0
        assert [is_open(client) for client in clients[2:]] == [True, True]


async def answered(client: socket.socket) -> None:
    """Wait for the first bytes of an answer; they stay where they are."""
    reader = asyncio.get_running_loop()
    ready = asyncio.Event()
    reader.add_reader(client, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), SECONDS)
    finally:
        reader.remove_reader(client)


def is_open(client: socket.socket, *, seconds: float = 0) -> bool:
    """Whether the server has not cut *client* off, after at most *seconds*; what has come stays where it is."""
    poll = select.poll()
    poll.register(client, 0)  # errors and the end are told all the same
    return not poll.poll(seconds * 1000)


async def gone(client: socket.socket) -> None:
    """Wait until the server has cut *client* off."""
    assert not await asyncio.to_thread(is_open, client, seconds=SECONDS)


@keeps("http")
async def test_the_server_has_these_bounds(project: Path) -> None:
    with loopback() as (listening, port):
        ours = OrchestrationServer(root=project)
        server = HttpServer(ours, port=port, token="right", limits=limits(header_seconds=0.1, connections=3))  # noqa: S106
        assert server.config.limit_concurrency == 3
        async with serving(server, listening):
            with contextlib.closing(await connect(port, b"POST /mcp HTTP/1.1\r\n")) as client:
                assert await read(client) == 0


REAL = """
import asyncio
from mcp_server.protocol.app import OrchestrationServer
from mcp_server.project.loopback import loopback
from mcp_server.protocol.http import HttpServer
from mcp_server.protocol.http_limits import HttpLimits

async def main():
    with loopback() as (listening, port):
        limits = HttpLimits(unread_bytes=4 * 1024 * 1024)
        server = HttpServer(OrchestrationServer(), port=port, token=None, limits=limits)
        print(port, flush=True)
        await server.serve(sockets=[listening])

asyncio.run(main())
"""
MANY = 120_000
"""Numbers of a value, which are 1.5 MB of JSON."""
CLIENTS = 24


@pytest.fixture
def large(project: Path) -> Path:
    """A project with a command whose output is a large value."""
    value = f"json.dumps({{'outputs': {{'numbers': list(range(1000000, {1_000_000 + MANY}))}}}})"
    (project / "counter.py").write_text(f"import json\nprint({value})\n")
    argv = json.dumps([sys.executable, "counter.py"])
    head = f"---\nname: counter\ndescription: Counts\nexecutor: process\ncommand: {argv}\n---\n"
    (project / ".claude" / "agents" / "counter.md").write_text(head)
    counted = node("counting", agent="counter", context={"outputs": [{"key": "numbers"}]})
    write_command(project, command(phase("work", counted), name="/count"))
    trust_all(project, project / "home")
    return project


@contextlib.contextmanager
def real_server(project: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Port and process of a server as it is started for users, with a small bound."""
    with subprocess.Popen(
        [sys.executable, "-c", REAL], cwd=project, env=environment(project), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), psutil.Process(process.pid)
        finally:
            process.kill()


class Legacy:
    """A client that shook hands, to whom each answer is a stream of events."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/mcp"
        self.headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        answer = self.post("initialize", hello)
        self.headers |= {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-06-18"}

    def post(self, method: str, params: object) -> httpx2.Response:
        return httpx2.post(self.url, content=self.body(method, params, 1), headers=self.headers, timeout=SECONDS)

    @staticmethod
    def body(method: str, params: object, number: int) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()

    def request(self, method: str, params: object, number: int) -> bytes:
        """The whole request, to be sent by hand."""
        body = self.body(method, params, number)
        fields = {**self.headers, "Host": httpx2.URL(self.url).netloc.decode(), "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body


@pytest.mark.processes
@keeps("http")
async def test_the_real_server_holds_no_more_than_the_bound_for_clients_that_read_nothing(large: Path) -> None:
    with real_server(large) as (port, process), contextlib.ExitStack() as stack:
        legacy = await asyncio.to_thread(Legacy, port)
        call = {"name": "run", "arguments": {"command": "/count", "wait_seconds": SECONDS}}
        answer = (await asyncio.to_thread(legacy.post, "tools/call", call)).text
        run_id = json.loads(answer.partition("data: ")[2])["result"]["structuredContent"]["runId"]
        uri = f"orchestration://runs/{run_id}/outputs/numbers"
        whole = await asyncio.to_thread(legacy.post, "resources/read", {"uri": uri})
        size = len(whole.content)
        assert size > MANY * 8
        before = process.memory_info().rss
        clients = []
        for number in range(2, 2 + CLIENTS):
            sent = legacy.request("resources/read", {"uri": uri}, number)
            clients.append(stack.enter_context(contextlib.closing(await connect(port, sent))))
        async with asyncio.timeout(SECONDS):
            while sum(map(is_open, clients)) > 2:  # the newest, and what is within the bound
                await asyncio.to_thread(is_open, next(filter(is_open, clients)), seconds=0.2)
        grown = process.memory_info().rss - before
        assert grown < 1.5 * CLIENTS * size, "each answer takes three times its size while it waits"
