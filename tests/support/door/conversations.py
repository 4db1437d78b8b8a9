"""What clients say at first, in good and in odd forms, with how much of it the door may answer by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Message: TypeAlias = "dict[str, Any] | list[Any] | str"
"""JSON, or a line as it is."""

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LISTS = ("tools/list", "prompts/list", "resources/list")
_PREFIX = "io.modelcontextprotocol/"
CLIENT = {"name": "test", "version": "1"}
ALL_CHANGES = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One client's lines."""

    messages: Sequence[Message]
    alone: int = 0
    """Answers that come although the SDK is not there yet."""
    answers: int | None = None
    """Answers in all, before the client leaves; by default one for each request."""
    waits: bool = False
    """Whether the client waits for each answer before it goes on, since the order of the SDK's would be by chance."""

    @property
    def is_regular(self) -> bool:
        """Whether each request gets one answer."""
        return self.answers is None

    @property
    def lines(self) -> list[str]:
        """What is written, each with its end."""
        return [one if isinstance(one, str) else f"{json.dumps(one)}\n" for one in self.messages]

    @property
    def expected(self) -> int:
        """Answers in all."""
        if self.answers is not None:
            return self.answers
        return sum(isinstance(one, dict) and "id" in one for one in self.messages)


def ask(number: object, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A request without envelope."""
    return {"jsonrpc": "2.0", "id": number, "method": method, **({"params": params} if params else {})}


def envelope(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """The envelope of protocol 2026-07-28, with other values for some keys, and without those that are None."""
    meta = {"protocolVersion": "2026-07-28", "clientInfo": CLIENT, "clientCapabilities": {}, **changed}
    return {f"{_PREFIX}{key}": value for key, value in meta.items() if value is not None}


def modern(number: object, method: str, *, meta: Any = None, **params: Any) -> dict[str, Any]:  # noqa: ANN401
    """A request of protocol 2026-07-28."""
    return ask(number, method, _meta=meta or envelope(), **params)


def listen(number: object, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """A request for notifications."""
    return modern(number, "subscriptions/listen", notifications=changes)


def hello(version: str = "2025-11-25", number: object = 0, **changed: Any) -> dict[str, Any]:  # noqa: ANN401
    """The first request of the older protocols."""
    params = {"protocolVersion": version, "capabilities": {"roots": {}, "elicitation": {}}, "clientInfo": CLIENT}
    return ask(number, "initialize", **params | changed)


READY: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/initialized"}
SHAKEN = (hello(), READY)


def lists(first: int = 1) -> list[dict[str, Any]]:
    """A request for each list."""
    return [ask(first + place, method) for place, method in enumerate(LISTS)]


def modern_lists(first: int = 1) -> list[dict[str, Any]]:
    """The same in protocol 2026-07-28."""
    return [modern(first + place, method) for place, method in enumerate(LISTS)]


def validate(number: object, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A call of a tool."""
    return ask(number, "tools/call", name="validate", arguments={"source": "/hello"}, **more)


def cancelled(number: object) -> dict[str, Any]:
    """The notification that a request is not wanted any more."""
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}


LEARNED: dict[str, Talk] = {
    **{
        f"shakes hands in {version}": Talk(messages=[hello(version), READY, *lists(), ask(4, "ping")])
        for version in LEGACY
    },
    "discovers": Talk(messages=[modern(0, "server/discover"), *modern_lists(), listen(4, **ALL_CHANGES)]),
    "listens to prompts": Talk(messages=[modern(0, "server/discover"), listen(1, promptsListChanged=True)]),
    "listens to nothing": Talk(messages=[modern(0, "server/discover"), listen(1)]),
}
"""From these the door knows all that it can know."""


def _good() -> Iterator[tuple[str, Talk]]:
    for version in LEGACY:
        yield f"shakes hands in {version}", Talk(messages=[hello(version), READY, *lists(), validate(4)], alone=4)
    yield (
        "introduces itself at length",
        Talk(
            messages=[
                hello(
                    clientInfo={**CLIENT, "title": "T", "description": "D", "websiteUrl": "https://example.com"},
                    capabilities={
                        "roots": {"listChanged": True},
                        "elicitation": {"form": {}, "url": {}},
                        "sampling": {"context": {}, "tools": {}},
                        "experimental": {"x": {"y": [1, {"z": None}]}},
                    },
                ),
                READY,
                *lists(),
            ],
            alone=4,
        ),
    )
    yield (
        "numbers with texts",
        Talk(
            messages=[hello(number="a"), READY, ask("2", "tools/list"), ask("", "ping"), ask("\u00e4\u2028", "ping")],
            alone=4,
        ),
    )
    yield (
        "uses a number twice",
        Talk(messages=[*SHAKEN, ask(2, "tools/list"), ask(2, "ping"), ask(2, "prompts/list")], alone=4),
    )
    yield "does not say that it is ready", Talk(messages=[hello(), *lists(), validate(4)], alone=4)
    yield "gives empty parameters", Talk(messages=[*SHAKEN, {**ask(1, "tools/list"), "params": {}}], alone=2)
    yield "pings", Talk(messages=[*SHAKEN, ask(1, "ping"), ask(2, "ping"), *lists(3)], alone=6)
    yield (
        "asks for pages",
        Talk(
            messages=[*SHAKEN, ask(1, "tools/list", cursor="x"), ask(2, "prompts/list", cursor="y"), *lists(3)], alone=1
        ),
    )
    yield "discovers", Talk(messages=[modern(0, "server/discover"), *modern_lists()], alone=4)
    yield (
        "discovers, then works",
        Talk(messages=[modern(0, "server/discover"), *modern_lists(), validate(4, _meta=envelope())], alone=4),
    )
    yield "does not discover", Talk(messages=modern_lists(), alone=3)
    yield (
        "tries an extension",
        Talk(
            messages=[
                modern(
                    0, "server/discover", meta=envelope(clientCapabilities={"extensions": {"io.example/x": {"y": 1}}})
                ),
                *modern_lists(),
            ],
            alone=4,
        ),
    )
    yield "listens", Talk(messages=[modern(0, "server/discover"), listen("s", **ALL_CHANGES), *modern_lists()], alone=5)
    yield "listens first", Talk(messages=[listen(9), modern(0, "server/discover"), *modern_lists()], alone=5)
    yield "listens twice", Talk(messages=[listen(8, promptsListChanged=True), listen(9), *modern_lists()], alone=5)
    yield (
        "ends its lines like a DOS program",
        Talk(
            messages=[
                json.dumps(hello()) + "\r\n",
                json.dumps(READY) + " \r\n",
                json.dumps(ask(1, "tools/list")) + "\r\n",
            ],
            alone=2,
            answers=2,
        ),
    )


def _odd() -> Iterator[tuple[str, Talk]]:
    yield "says nothing", Talk(messages=[])
    yield "is only ready", Talk(messages=[READY])
    yield "asks in a version of the past", Talk(messages=[hello("1999-01-01"), READY, *lists()])
    yield "shakes hands in the newest version", Talk(messages=[hello("2026-07-28"), READY, *lists()])
    yield (
        "asks before the handshake",
        Talk(messages=[ask(1, "tools/list"), ask(2, "ping"), hello(number=3), READY, *lists(4)]),
    )
    yield "pings first", Talk(messages=[ask(7, "ping"), hello(), READY, *lists()])
    yield "is ready first", Talk(messages=[READY, ask(1, "tools/list"), hello(number=2)])
    yield "shakes hands twice", Talk(messages=[*SHAKEN, hello("2025-06-18", number=9), *lists()], alone=1)
    yield (
        "gives no version of its own",
        Talk(messages=[ask(9, "initialize", protocolVersion="2025-11-25"), *lists(), hello()]),
    )
    yield "has half a name", Talk(messages=[hello(clientInfo={"name": "x"}), *lists()])
    yield "has an icon", Talk(messages=[hello(clientInfo={**CLIENT, "icons": [{"src": "x"}]}), READY, *lists()])
    for place, wrong in enumerate(
        (
            {"roots": {"listChanged": "maybe"}},
            {"sampling": {"tools": 5}},
            {"roots": {"listChanged": {}}},
            {"experimental": []},
            {"elicitation": None},
            {"x": {"y": True}},
            [],
        )
    ):
        yield f"has odd capabilities ({place})", Talk(messages=[hello(capabilities=wrong), READY, *lists()])
    yield "shakes hands with an envelope", Talk(messages=[hello(_meta=envelope()), READY, *lists()])
    yield (
        "gives null as parameters",
        Talk(messages=[*SHAKEN, {**ask(1, "tools/list"), "params": None}, *lists(2)], alone=1),
    )
    yield (
        "gives a list as parameters",
        Talk(messages=[*SHAKEN, {**ask(1, "tools/list"), "params": []}, ask(2, "ping")], alone=1, answers=2),
    )
    yield (
        "numbers oddly",
        Talk(
            messages=[
                *SHAKEN,
                ask(2.5, "ping"),
                ask(None, "ping"),
                ask(number=True, method="ping"),
                ask(7, "ping"),
            ],
            alone=1,
            answers=2,
        ),
    )
    yield "numbers very high", Talk(messages=[*SHAKEN, ask(2**70, "ping"), ask(7, "ping")], alone=1)
    yield (
        "speaks another JSON-RPC",
        Talk(
            messages=[
                *SHAKEN,
                {"jsonrpc": "1.0", "id": 2, "method": "tools/list"},
                {"id": 3, "method": "tools/list"},
                ask(4, "ping"),
            ],
            alone=1,
            answers=2,
        ),
    )
    yield "adds a key", Talk(messages=[*SHAKEN, {**ask(2, "tools/list"), "x": 1}, ask(4, "ping")], alone=1)
    yield (
        "repeats a key",
        Talk(
            messages=[*SHAKEN, '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}\n', ask(4, "ping")], alone=1, answers=3
        ),
    )
    yield (
        "writes no JSON",
        Talk(
            messages=[
                "nonsense\n",
                "\n",
                "[]\n",
                hello(),
                "{\n",
                READY,
                ask(2, "tools/list"),
                [ask(3, "tools/list")],
                ask(4, "ping"),
            ],
            answers=3,
        ),
    )
    yield (
        "writes half characters",
        Talk(
            messages=[*SHAKEN, '{"jsonrpc":"2.0","id":"\\ud83d","method":"ping"}\n', ask(4, "ping")], alone=1, answers=3
        ),
    )
    yield (
        "writes bytes of no text",
        Talk(
            messages=[*SHAKEN, '{"jsonrpc":"2.0","id":"\udcff","method":"ping"}\n', ask(4, "ping")], alone=1, answers=3
        ),
    )
    yield (
        "asks for what there is not",
        Talk(
            messages=[
                *SHAKEN,
                ask(2, "nope"),
                ask(4, "logging/setLevel", level="debug"),
                ask(5, "server/discover"),
                *lists(6),
            ],
            alone=1,
        ),
    )
    yield (
        "asks for progress",
        Talk(
            messages=[
                *SHAKEN,
                ask(2, "tools/list", _meta={"progressToken": 1}),
                validate(3, _meta={"progressToken": 2}),
            ],
            alone=1,
        ),
    )
    yield (
        "gives up a request",
        Talk(messages=[*SHAKEN, ask(1, "tools/list"), cancelled(1), validate(2), ask(4, "ping")], alone=2),
    )
    yield (
        "subscribes",
        Talk(
            messages=[*SHAKEN, ask(2, "resources/subscribe", uri="orchestration://commands"), ask(3, "resources/list")],
            alone=1,
        ),
    )
    yield (
        "asks for templates",
        Talk(messages=[*SHAKEN, *lists(), ask(7, "resources/templates/list"), ask(8, "ping")], alone=4),
    )
    yield (
        "pings in the newest version",
        Talk(messages=[modern(1, "server/discover"), modern(2, "ping"), ask(3, "ping"), *modern_lists(4)], alone=1),
    )
    yield (
        "shakes hands after discovering",
        Talk(messages=[modern(1, "server/discover"), hello(number=2), *modern_lists(3)], alone=1),
    )
    yield "forgets the envelope", Talk(messages=[modern(1, "server/discover"), *lists(2), *modern_lists(5)], alone=1)
    yield "adds an envelope later", Talk(messages=[*SHAKEN, *modern_lists(2), *lists(5)], alone=1)
    for name, meta in {
        "asks in a version of the future": envelope(protocolVersion="2027-01-01"),
        "says no version": envelope(protocolVersion=None),
        "has no capabilities": envelope(clientCapabilities=None),
        "has no name": envelope(clientInfo=None),
        "wants a log": {**envelope(), f"{_PREFIX}logLevel": "debug"},
        "wants progress": {**envelope(), "progressToken": "p"},
    }.items():
        yield name, Talk(messages=[modern(1, "server/discover", meta=meta), *modern_lists(2)])
    yield (
        "listens to resources",
        Talk(
            messages=[
                modern(1, "server/discover"),
                listen(7, promptsListChanged=False),
                listen(8, resourceSubscriptions=["orchestration://commands"]),
                listen(9, promptsListChanged="yes"),
                *modern_lists(2),
            ],
            alone=1,
        ),
    )
    yield (
        "listens with an unknown word",
        Talk(messages=[modern(1, "server/discover"), listen(7, x=True), *modern_lists(2)], alone=1),
    )
    yield (
        "listens and leaves",
        Talk(
            messages=[modern(1, "server/discover"), listen(7, promptsListChanged=True), cancelled(7), *modern_lists(2)],
            alone=2,
            waits=True,
        ),
    )
    yield (
        "writes a very long line",
        Talk(messages=[*SHAKEN, ask(1, "tools/list", _meta={"x": "y" * 100_000}), ask(2, "ping")], alone=1),
    )


TALKS: dict[str, Talk] = {**dict(_good()), **dict(_odd())}
