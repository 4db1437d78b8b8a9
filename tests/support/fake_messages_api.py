"""A scripted Messages API on loopback, so that the real Claude Code runs without an account.

Effects: listens on a free loopback port with threads of its own until closed. It judges nothing: tests read what was
asked.

A conversation carries its script in the user's text, so that sessions side by side need no shared state:

    <<fake [STEP, STEP, …]>>

Step i answers the i-th assistant turn after the newest text with a directive. A conversation without one, as the
engine's own prompts for agents are, is answered by the first route whose `match` occurs in its system prompt or user
text; step i answers the i-th assistant turn of the conversation. What no route matches gets the default step.

    {"text": "…"}                         the turn ends with this text
    {"tool": "Name", "input": {…}}        the turn asks for a tool; with "text", says that first
    {"tools": [{"tool": …, "input": …}]}  several tools in one turn
    {"structured": {…}}                   the value asked for by --json-schema (as text, where no schema was asked for)
    {"echo_last": true}                   the newest tool results as JSON text
    {"error": 429, "type": "…"}           an HTTP error; "message" is what it says, "headers" adds to its headers
    {"garbage": "…"}                      HTTP 200 with this body, which is no answer of any protocol
    {"hang": true}                        no answer until the server closes
    {"delay": 1.5, …}                     that many seconds before any of the above
    {"usage": {"input_tokens": n}, …}     tokens to be charged for the turn

A call of our server's tools that came before Claude Code had connected to the server is made again, as a real model
does: whoever scripts a session waits for the server itself and for no time to pass.

The last step answers all later turns too. A route may have `attempts`, a list of such lists: the n-th session that
matches plays the n-th list, and later ones the last.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

Step: TypeAlias = "Mapping[str, Any]"

ASK_AGAIN_SECONDS = 0.2
NO_SERVER_YET = "No such tool available: mcp__orchestration__"
_DIRECTIVE = re.compile(r"<<fake\s+(.*?)>>", re.DOTALL)
_USAGE = {"input_tokens": 100, "output_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


@dataclass(frozen=True, kw_only=True)
class Route:
    """How conversations without a directive of their own are answered."""

    match: str
    """A substring of the system prompt or of a text of the user."""
    steps: Sequence[Step] = ()
    attempts: Sequence[Sequence[Step]] = ()
    """One list of steps for each session that matches, in the order in which they first ask."""

    def steps_of(self, attempt: int) -> Sequence[Step]:
        """The script of the n-th matching session, counted from 0."""
        return self.attempts[min(attempt, len(self.attempts) - 1)] if self.attempts else self.steps


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any

    @property
    def session(self) -> str:
        return self.headers.get("x-claude-code-session-id", "")

    @property
    def is_turn(self) -> bool:
        """Whether it asks the model for a turn."""
        return self.method == "POST" and self.path.split("?")[0] == "/v1/messages" and isinstance(self.body, dict)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", []))

    @property
    def tools(self) -> list[str]:
        """Names of the tools which the model may use."""
        return [tool["name"] for tool in self.body.get("tools", [])]

    @property
    def prompt(self) -> str:
        """System prompt and all text of the user, without tool results and what Claude Code adds on its own."""
        system = self.body.get("system", "")
        parts = [system] if isinstance(system, str) else [block.get("text", "") for block in system]
        for message in self.messages:
            if message["role"] == "user":
                parts += [text for text in _texts(message) if not text.lstrip().startswith("<system-reminder>")]
        return "\n".join(parts)


@dataclass
class FakeMessagesApi:
    """The server as a context manager: `with FakeMessagesApi(routes=[…]) as api: … api.url … api.turns`."""

    routes: Sequence[Route] = ()
    default: Step = field(default_factory=lambda: {"text": "ok"})
    requests: list[Request] = field(default_factory=list)
    """All requests so far, oldest first."""

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._ids = itertools.count(1)
        self._sessions: dict[str, list[str]] = {}
        self._connections: set[socket.socket] = set()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-api"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        with self._news:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def turns(self) -> list[Request]:
        """The requests which asked the model for a turn."""
        with self._news:
            return [request for request in self.requests if request.is_turn]

    def turns_with(self, text: str) -> list[Request]:
        """The turns whose prompt contains this text."""
        return [turn for turn in self.turns if text in turn.prompt]

    def wait_until(self, condition: Callable[[], bool], *, timeout: float = 20.0) -> None:
        """Until the condition holds, looked at after every request; TimeoutError after `timeout` seconds."""
        with self._news:
            if not self._news.wait_for(condition, timeout):
                asked = [turn.prompt[-200:] for turn in self.requests if turn.is_turn]
                msg = f"condition did not come true within {timeout} s; turns so far: {asked}"
                raise TimeoutError(msg)

    def record(self, request: Request) -> None:
        with self._news:
            self.requests.append(request)
            self._news.notify_all()

    def step_for(self, request: Request) -> Step:
        """What the script says for this turn."""
        if any(map(came_too_early, _last_tool_results(request.messages))):
            self.pause(ASK_AGAIN_SECONDS)
        directive = _directive(request)
        if directive is not None:
            return directive
        prompt = request.prompt
        for route in self.routes:
            if route.match in prompt:
                with self._news:
                    seen = self._sessions.setdefault(route.match, [])
                    if request.session not in seen:
                        seen.append(request.session)
                    attempt = seen.index(request.session)
                return _at(route.steps_of(attempt), _assistant_turns(request.messages), default=self.default)
        return self.default

    def pause(self, seconds: float | None) -> bool:
        """That long, or until the server closes; True when it does."""
        return self._closing.wait(seconds)

    def next_id(self, prefix: str) -> str:
        return f"{prefix}_fake{next(self._ids):06d}"

    @contextlib.contextmanager
    def connection(self, connection: socket.socket) -> Iterator[None]:
        """Know an open connection, so that closing the server ends it."""
        with self._news:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._news:
                self._connections.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, api: FakeMessagesApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- as typeshed has it
        with self.api.connection(request), contextlib.suppress(ConnectionError):
            super().finish_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        """Say nothing: requests are recorded."""

    def do_HEAD(self) -> None:
        self._receive()
        self._json(200, {})

    def do_GET(self) -> None:
        self._receive()
        self._json(404, _error("not_found_error", self.path))

    def do_POST(self) -> None:
        request = self._receive()
        if request.path.split("?")[0] == "/v1/messages/count_tokens":
            self._json(200, {"input_tokens": 100})
        elif not request.is_turn:
            self._json(404, _error("not_found_error", self.path))
        else:
            self._play(request, self.server.api.step_for(request))

    def _receive(self) -> Request:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=self.path, headers=headers, body=body)
        self.server.api.record(request)
        return request

    def _play(self, request: Request, step: Step) -> None:
        api = self.server.api
        if step.get("hang") or ("delay" in step and api.pause(step["delay"])):
            api.pause(None)
            self.close_connection = True
        elif "error" in step:
            told = _error(step.get("type", "api_error"), step.get("message", "scripted"))
            self._json(step["error"], told, headers=step.get("headers", {}))
        elif "garbage" in step:
            self._send(200, str(step["garbage"]).encode(), content_type="text/html", headers={})
        else:
            message = _message(request, step, next_id=api.next_id)
            if request.body.get("stream"):
                self._stream(message)
            else:
                self._json(200, message)

    def _json(self, status: int, body: object, *, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), content_type="application/json", headers=headers or {})

    def _send(self, status: int, data: bytes, *, content_type: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        own = {"content-type": content_type, "content-length": str(len(data)), "request-id": "req_fake"}
        for name, value in {**own, **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _stream(self, message: Mapping[str, Any]) -> None:
        data = b"".join(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _stream_events(message)
        )
        self._send(200, data, content_type="text/event-stream", headers={"cache-control": "no-cache"})


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [block.get("text", "") for block in content or [] if block.get("type") == "text"]


def came_too_early(result: Mapping[str, Any]) -> bool:
    """Whether a tool's result says that our server was not connected yet."""
    return result.get("type") == "tool_result" and NO_SERVER_YET in json.dumps(result.get("content"))


def _assistant_turns(messages: Sequence[Mapping[str, Any]]) -> int:
    """The turns of the script that have been taken."""
    early = [
        message
        for message in messages
        if isinstance(message["content"], list) and any(map(came_too_early, message["content"]))
    ]
    return sum(1 for message in messages if message["role"] == "assistant") - len(early)


def _at(steps: Sequence[Step], turn: int, *, default: Step) -> Step:
    return steps[min(turn, len(steps) - 1)] if steps else default


def _directive(request: Request) -> Step | None:
    """The step of the newest user text that carries a directive; what cannot be read is told as the model's answer."""
    messages = request.messages
    for index in reversed(range(len(messages))):
        if messages[index]["role"] != "user":
            continue
        found = [hit for text in _texts(messages[index]) for hit in _DIRECTIVE.findall(text)]
        if found:
            steps = _parse(found[-1])
            return _at(steps, _assistant_turns(messages[index + 1 :]), default={"text": "ok"})
    return None


def _parse(raw: str) -> list[Step]:
    for candidate in (raw, raw.replace('\\"', '"')):  # a directive inside a JSON string has its quotes escaped
        with contextlib.suppress(ValueError):
            steps = json.loads(candidate)
            return steps if isinstance(steps, list) else [steps]
    return [{"text": f"unreadable directive: {raw!r}"}]


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _last_tool_results(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    for message in reversed(messages):
        if message["role"] == "user" and isinstance(message["content"], list):
            results = [block for block in message["content"] if block.get("type") == "tool_result"]
            if results:
                return results
    return []


def _message(request: Request, step: Step, *, next_id: Callable[[str], str]) -> dict[str, Any]:
    """The assistant's message as the API answers it without streaming."""
    content: list[dict[str, Any]] = []
    calls = [dict(call) for call in step.get("tools", [step] if "tool" in step else [])]
    if "structured" in step and "StructuredOutput" in request.tools:
        calls.append({"tool": "StructuredOutput", "input": step["structured"]})
    elif "structured" in step:
        content.append({"type": "text", "text": json.dumps(step["structured"])})
    if step.get("echo_last"):
        content.append({"type": "text", "text": json.dumps(_last_tool_results(request.messages))})
    if "text" in step:
        content.append({"type": "text", "text": step["text"]})
    content += [
        {"type": "tool_use", "id": next_id("toolu"), "name": call["tool"], "input": call.get("input", {})}
        for call in calls
    ]
    return {
        "id": next_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": request.body.get("model", "unknown"),
        "content": content,
        "stop_reason": "tool_use" if calls else "end_turn",
        "stop_sequence": None,
        "usage": {**_USAGE, **step.get("usage", {})},
    }


def _stream_events(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same message as server-sent events."""
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        empty: dict[str, Any]
        if block["type"] == "text":
            empty = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": usage}
    yield {"type": "message_stop"}
