"""Finds apparent secrets in an agent file, whose content is kept in journals.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.text.redaction import names_a_secret, redact, redact_data
from engine.text.variables import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.agent import Agent

_SHORTEST_SECRET = 8
_SECRET = "what looks like a secret"  # noqa: S105 - words of a message


class Spelled(msgspec.Struct, frozen=True):
    """An apparent secret in a file."""

    said: str
    """Its place: "`env` sets TOKEN to what looks like a secret"."""
    instead: str
    """The replacement to write in the file."""


def spelled_secrets(agent: Agent) -> Iterator[Spelled]:
    """Apparent secrets in `env`, the MCP servers, hooks and command line of *agent*'s file."""
    for name, value in agent.env.items():
        if _is_secret(name, value):
            yield Spelled(f"`env` sets {name} to {_SECRET}", f'{name}: "${name}"')
    for server, definition in agent.inline_servers.items():
        yield from _of_server(f"of the server {server} in `mcpServers`", definition)
    if _has_secret(agent.hooks):
        yield Spelled(f"`hooks` has {_SECRET}", "$NAME in its place")
    if _has_secret(agent.command):
        yield Spelled(f"`command` has {_SECRET}", 'NAME: "$NAME" below env:, for the program to read')


def _of_server(where: str, definition: Mapping[str, Any]) -> Iterator[Spelled]:
    for key in ("env", "headers"):
        part = definition.get(key)
        for name, value in part.items() if isinstance(part, Mapping) else ():
            if isinstance(value, str) and _is_secret(name, value):
                variable = name.upper().replace("-", "_")
                yield Spelled(f"`{key}` {where} sets {name} to {_SECRET}", f'{name}: "${{{variable}}}"')
    if _has_secret({key: value for key, value in definition.items() if key not in {"env", "headers"}}):
        yield Spelled(f"the definition {where} has {_SECRET}", "${NAME} in its place")


def _is_secret(name: str, value: str) -> bool:
    """Whether *value* looks like a secret, by its form or by the *name* of its variable; references do not."""
    literal = resolve(value, {})
    named = names_a_secret(name) and len(literal) >= _SHORTEST_SECRET and not literal.startswith("/")
    return named or redact(literal) != literal


def _has_secret(value: object) -> bool:
    """Whether a text in *value*, JSON, has the form of a secret."""
    return redact_data(value) is not value
