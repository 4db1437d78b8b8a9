"""Laws of the door: what it takes for certain, the SDK accepts; equal keys mean equal lists."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types.methods import validate_client_request

from mcp_server.door.conversation import LEGACY, LISTEN, MODERN, Conversation
from mcp_server.door.keys import project_key
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.protocol.contents import runnable
from tests.support.door.conversations import ALL_CHANGES, CLIENT, envelope, hello, modern
from tests.support.door.installation import small_project, write_command

SCALARS = st.sampled_from([None, True, False, 0, 1, -1, 1.5, "", "x", "2025-11-25", "2026-07-28", "1"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "tools", "form"]), inner, max_size=2)
    ),
)
CAPABILITIES = st.dictionaries(
    st.sampled_from(["roots", "sampling", "elicitation", "experimental", "extensions", "tasks", "other"]),
    st.dictionaries(
        st.sampled_from(["listChanged", "context", "tools", "form", "url", "x"]), st.just({}) | VALUES, max_size=2
    )
    | VALUES,
    max_size=3,
)
INFO = st.fixed_dictionaries(
    {"name": st.just("x") | VALUES, "version": st.just("1") | VALUES},
    optional={key: st.just("x") | VALUES for key in ("title", "description", "websiteUrl", "icons", "x")},
)
NUMBERS = st.integers() | st.text(max_size=3) | VALUES
VERSIONS = st.sampled_from([*sorted(LEGACY), MODERN, "2027-01-01"])
HANDSHAKES = st.builds(
    lambda number, version, info, capabilities: hello(version, number, clientInfo=info, capabilities=capabilities),
    NUMBERS,
    VERSIONS,
    INFO | st.just(CLIENT),
    CAPABILITIES,
)
ENVELOPES = st.builds(
    lambda version, info, capabilities: envelope(
        protocolVersion=version, clientInfo=info, clientCapabilities=capabilities
    ),
    st.just(MODERN) | VERSIONS,
    st.just(CLIENT) | INFO,
    st.just({}) | CAPABILITIES,
)
METHODS = st.sampled_from(
    ["server/discover", "tools/list", "prompts/list", "resources/list", "ping", "tools/call", LISTEN]
)
FILTERS = st.dictionaries(
    st.sampled_from([*ALL_CHANGES, "resourceSubscriptions", "x"]), st.sampled_from([True]) | VALUES, max_size=3
)
REQUESTS = st.builds(
    lambda number, method, meta, extra: modern(number, method, meta=meta, **extra),
    NUMBERS,
    METHODS,
    ENVELOPES,
    st.just({}) | st.fixed_dictionaries({"notifications": FILTERS}) | st.fixed_dictionaries({"cursor": VALUES}),
)


@given(HANDSHAKES)
@example(hello(capabilities={"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}))
def test_a_handshake_that_the_door_understands_is_accepted_by_the_sdk(message: dict[str, Any]) -> None:
    question = Conversation().hear(json.dumps(message).encode())
    if question is not None:
        assert question.version == message["params"]["protocolVersion"]
        validate_client_request("initialize", question.version, message["params"])


@given(REQUESTS)
@example(modern(1, "tools/list", meta=envelope(clientCapabilities={"extensions": {"x": {"y": [1]}}})))
@example(modern(1, LISTEN, notifications=ALL_CHANGES))
def test_a_question_that_the_door_understands_is_accepted_by_the_sdk(message: dict[str, Any]) -> None:
    question = Conversation().hear(json.dumps(message).encode())
    if question is not None:
        assert isinstance(classify_inbound_request(message), InboundModernRoute)
        validate_client_request(question.method, MODERN, message["params"])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_other_line_is_understood(line: bytes) -> None:
    assert Conversation().hear(line) is None


FOLDERS = st.sampled_from([".", "above", "home", "library"])
NAMES = st.sampled_from(["one", "two"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["write", "describe", "remove", "break", "hide", "link", "settle"]), FOLDERS, NAMES),
    max_size=6,
)


@given(OPERATIONS)
@settings(max_examples=60, deadline=None)
def test_lists_differ_only_where_keys_do(operations: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        places = {
            ".": base / "above" / "project",
            "above": base / "above",
            "home": base / "home",
            "library": base / "library",
        }
        for place in places.values():
            small_project(place, "one")
        environ = {"HOME": str(places["home"]), "ORCHESTRATION_LIBRARY": str(places["library"])}
        kept = dict(os.environ)
        os.environ.update(environ)
        try:
            seen: dict[str | None, list[tuple[str, str]]] = {}
            for operation, where, name in [("settle", ".", "one"), *operations]:
                apply(operation, places[where], name)
                key, found = project_key(str(places["."])), lists_of(places["."])
                assert key is not None
                assert seen.setdefault(key, found) == found
        finally:
            os.environ.clear()
            os.environ.update(kept)


def apply(operation: str, root: Path, name: str) -> None:
    commands = root / ".claude" / "commands" / "v2"
    commands.mkdir(parents=True, exist_ok=True)
    file = commands / f"{name}.json"
    if operation == "write":
        file.unlink(missing_ok=True)
        write_command(root, name)
    elif operation == "describe":
        file.unlink(missing_ok=True)
        write_command(root, name, "Says hallo")
    elif operation == "remove":
        file.unlink(missing_ok=True)
    elif operation == "break":
        file.unlink(missing_ok=True)
        file.write_text("{", encoding="utf-8")
    elif operation == "hide" and file.exists():
        file.rename(commands / f".{name}")
    elif operation == "link":
        file.unlink(missing_ok=True)
        file.symlink_to("one.json" if name == "two" else "two.json")


def lists_of(root: Path) -> list[tuple[str, str]]:
    """What the lists say of each command."""
    project = SimpleNamespace(catalog=open_catalog(root, load_settings(root)))
    return [(one.name, one.description) for one in runnable(project)]  # type: ignore[arg-type] # it has a catalog
