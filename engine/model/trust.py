"""The scope of a user's trust: one item for each thing of a project that would run, reach out or loosen a guard.

Pure. The rooms that read them find the items; the server stores the answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec


class ItemKind(StrEnum):
    """The part of a project that an item covers; the value begins its id."""

    AGENT = "agent"
    """A program or function that an agent file names, or programs that a model agent's file permits."""
    SETTING = "setting"
    """A setting of the project's own file that names a program, host or URL."""
    CLAUDE = "claude-settings"
    """The project's settings of Claude Code."""
    LINK = "link"
    """A link of the project that leads to its commands and agents."""
    GIT = "git"
    """Filters and merge drivers in the repository's own configuration."""


class TrustItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that needs the user's trust, as it is now."""

    id: str
    """Its stable name in the project: `agent:linter`, `setting:notify`."""
    kind: ItemKind
    summary: str
    """The program or target, in one line, for errors and lists."""
    lines: tuple[str, ...]
    """All facts that a person decides on, a line each. The project wrote them: sanitise them where they are shown."""
    content: str
    """SHA-256, hex, over everything covered except files; equal in a copy of the project at another path."""
    place: str
    """SHA-256, hex, of its place: trust given elsewhere applies only under a stricter rule."""
    files: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Digest of each existing covered file and module folder, by its path below the project.

    Which of them count may depend on the search path of the current process, so trust applies if it covered each one.
    """


def trust_item(
    kind: ItemKind,
    name: str = "",
    *,
    summary: str,
    lines: tuple[str, ...],
    content: Mapping[str, Any],
    place: Mapping[str, str],
    files: Mapping[str, str] | None = None,
) -> TrustItem:
    """The item *name* of *kind*; *content* is JSON data without paths of this machine, *place* holds these."""
    return TrustItem(
        id=f"{kind}:{name}" if name else str(kind),
        kind=kind,
        summary=summary,
        lines=lines,
        content=digest_of({"kind": kind, "name": name, "content": content}),
        place=digest_of(place),
        files=dict(files or {}),
    )


def digest_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """SHA-256, hex, of JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
