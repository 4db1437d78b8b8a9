"""Additions to a settings file of Claude Code, merged key by key: present ones stay.

Pure. `channels.py` asks the person, reads and writes.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from mcp_server.cli.skills import SERVERS

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_ONLY = ("load_command", "validate", "status")
"""Tools that change nothing. `report` is never allowed in advance: it can submit decisions that are the user's."""
ALLOWED = tuple(f"mcp__{server}__{tool}" for server in SERVERS for tool in READ_ONLY)
"""The names of these tools in rules of Claude Code."""
REFRESH_SECONDS = 5
HAS_STATUS_LINE = "it has a status line, which is never replaced"
_INDENT = re.compile(r"\n([ \t]+)\S")
_DEFAULT_INDENT = "  "


class Unusable(ValueError):
    """The settings cannot be merged; its text says why."""


class Change(NamedTuple):
    """One addition to the settings."""

    question: str
    """The question to the person."""
    settings: dict[str, Any]
    """The settings with it."""
    addition: dict[str, Any]
    """The added keys, as one would paste them."""


def parsed(text: str) -> dict[str, Any]:
    """The settings in *text*. Raises `Unusable` for anything that would not come back whole when written again."""
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # 1e999 and half a surrogate pair are read only
    except (ValueError, RecursionError) as error:
        raise Unusable(f"it is not plain JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unusable("it is not a JSON object")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def rendered(settings: Mapping[str, Any], before: str = "") -> str:
    """*settings* as text, indented like *before*."""
    indent = _INDENT.search(before)
    return json.dumps(settings, indent=indent[1] if indent else _DEFAULT_INDENT, ensure_ascii=False) + "\n"


def status_line(program: str, project: str) -> dict[str, Any]:
    """The setting for a status line that shows the runs of *project*."""
    words = [program, "--project", project, "status", "--line"]
    return {"statusLine": {"type": "command", "command": shlex.join(words), "refreshInterval": REFRESH_SECONDS}}


def with_status_line(settings: Mapping[str, Any], addition: dict[str, Any]) -> Change | None:
    """The change that adds a status line; None if these settings have it. Raises `Unusable` if they have another."""
    if settings.get("statusLine") == addition["statusLine"]:
        return None
    if "statusLine" in settings:
        raise Unusable(HAS_STATUS_LINE)
    question = f"a status line that shows the runs of this project: {addition['statusLine']['command']}"
    return Change(question, {**settings, **addition}, addition)


def with_permissions(settings: Mapping[str, Any]) -> Change | None:
    """The change that allows the read-only tools; None if they are allowed. Raises `Unusable` for an odd form."""
    permissions = settings.get("permissions", {})
    allowed = permissions.get("allow", []) if isinstance(permissions, dict) else None
    if not isinstance(allowed, list):
        raise Unusable("it has `permissions` in a form that is not known")
    missing = [name for name in ALLOWED if name not in allowed]
    if not missing:
        return None
    question = f"permission for the tools that change nothing: {', '.join(READ_ONLY)}"
    merged = {**settings, "permissions": {**permissions, "allow": [*allowed, *missing]}}
    return Change(question, merged, {"permissions": {"allow": missing}})
