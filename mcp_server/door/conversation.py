"""Understands the first lines of a client, as far as the answer to each is certain to be the same for every client.

Pure. It knows the few requests that all clients begin with, in their plain form, and the era of the protocol that the
first of them opens. Anything else is a doubt, after which no line is understood: the SDK may refuse it, and
what follows may depend on it. So each rule here may be stricter than the SDK's, and none laxer.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODERN = "2026-07-28"
"""The version whose requests each carry an envelope."""
LEGACY = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
"""The versions with a handshake."""

INITIALIZE = "initialize"
LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
CHANGES = {
    "tools/list": "toolsListChanged",
    "prompts/list": "promptsListChanged",
    "resources/list": "resourcesListChanged",
}
"""The lists, and the name that a stream of notifications has for the changes of each."""
OF_THE_PROJECT = frozenset({"prompts/list", "resources/list"})
"""The lists whose content depends on files."""
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

_INITIALIZED = "notifications/initialized"
_VERSION = "io.modelcontextprotocol/protocolVersion"
_CLIENT = "io.modelcontextprotocol/clientInfo"
_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
_ENVELOPE = {_VERSION, _CLIENT, _CAPABILITIES}
_INFO = {"name", "version", "title", "description", "websiteUrl"}
_PARTS = {"roots": set(), "sampling": {"context", "tools"}, "elicitation": {"form", "url"}}
_OPEN = {"experimental", "extensions"}
"""Capabilities whose parts have any name."""
_MAX_ID_LENGTH = 200
_MAX_ID = 2**53
_MAX_DEPTH = 8


class Question:
    """A request whose answer does not depend on who asks it."""

    __slots__ = ("changes", "message", "method", "number", "version")

    def __init__(self, message: dict[str, Any], version: str) -> None:
        """*version* is the protocol version that it is asked in."""
        self.message = message
        self.method: str = message["method"]
        self.number: str | int = message["id"]
        self.version = version
        self.changes: frozenset[str] = frozenset()
        """The changes that a stream of notifications reports."""
        if self.method == LISTEN:
            self.changes = frozenset(message["params"]["notifications"])

    @property
    def name(self) -> str:
        """The same for all requests with the same answer, but for what depends on files."""
        return " ".join((self.version, self.method, *sorted(self.changes)))

    def renumbered(self, number: str) -> str:
        """The line of the same request with the id *number*."""
        return json.dumps({**self.message, "id": number}) + "\n"


class Conversation:
    """The lines of one client so far."""

    def __init__(self) -> None:
        """Nothing."""
        self.doubted = False
        """Something was said that is not understood here: so is nothing else from now on."""
        self._version: str | None = None

    def hear(self, line: bytes) -> Question | None:
        """The question in *line*; None for a doubt, and for the notification that ends the handshake."""
        message = None if self.doubted else _read(line)
        if message is not None:
            if message == {"jsonrpc": "2.0", "method": _INITIALIZED} and self._version in LEGACY:
                return None
            version = self._version_of(message)
            if version is not None:
                self._version = version
                return Question(message, version)
        self.doubted = True
        return None

    def _version_of(self, message: dict[str, Any]) -> str | None:
        """The version that the request *message* is asked in; None for a doubt."""
        if message.keys() - {"params"} != {"jsonrpc", "id", "method"} or message["jsonrpc"] != "2.0":
            return None
        params = message.get("params", {})
        if not _is_id(message["id"]) or not isinstance(params, dict) or not isinstance(message["method"], str):
            return None
        if self._version is None and message["method"] == INITIALIZE:
            return _handshake(params)
        if self._version in LEGACY:
            return self._version if message["method"] in {"ping", *CHANGES} and not params else None
        if self._version == MODERN and message["method"] == INITIALIZE:
            return MODERN  # by a client whose patience was too short: the SDK refuses it, and nothing comes of it
        return MODERN if _is_modern(message["method"], params) else None


def _handshake(params: dict[str, Any]) -> str | None:
    known = params.keys() == {"protocolVersion", "clientInfo", "capabilities"}
    if not known or not _is_client(params["clientInfo"], params["capabilities"]):
        return None
    version = params["protocolVersion"]
    return version if isinstance(version, str) and version in LEGACY else None


def _is_modern(method: str, params: dict[str, Any]) -> bool:
    meta = params.get("_meta")
    if method == LISTEN:
        known = params.keys() == {"_meta", "notifications"} and _is_filter(params["notifications"])
    else:
        known = params.keys() == {"_meta"} and method in {"server/discover", *CHANGES}
    if not known or not isinstance(meta, dict) or meta.keys() != _ENVELOPE:
        return False
    return bool(meta[_VERSION] == MODERN) and _is_client(meta[_CLIENT], meta[_CAPABILITIES])


def _is_filter(value: object) -> bool:
    return (
        isinstance(value, dict) and value.keys() <= {*CHANGES.values()} and all(one is True for one in value.values())
    )


def _is_client(info: object, capabilities: object) -> bool:
    """Whether a client introduces itself in a form that every version of the protocol accepts."""
    return (
        isinstance(info, dict)
        and {"name", "version"} <= info.keys() <= _INFO
        and all(isinstance(value, str) for value in info.values())
        and isinstance(capabilities, dict)
        and all(_is_capability(name, value) for name, value in capabilities.items())
    )


def _is_capability(name: str, value: object) -> bool:
    if not isinstance(value, dict) or not _is_shallow(value):
        return False
    if name in _OPEN:
        return all(isinstance(part, dict) for part in value.values())
    if name == "roots" and "listChanged" in value:
        return value.keys() == {"listChanged"} and isinstance(value["listChanged"], bool)
    return name in _PARTS and value.keys() <= _PARTS[name] and all(isinstance(part, dict) for part in value.values())


def _is_shallow(value: object, depth: int = _MAX_DEPTH) -> bool:
    """Whether *value* is not nested deeper than any reader of JSON can follow."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(part, depth - 1) for part in parts)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_ID_LENGTH
    return type(value) is int and -_MAX_ID < value < _MAX_ID


def _read(line: bytes) -> dict[str, Any] | None:
    """The object in *line*, if all readers of JSON read the same in it."""
    if b"\\ud" in line.lower():  # half a character, perhaps
        return None
    try:
        found = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse(text: str) -> None:
    raise ValueError(text)
