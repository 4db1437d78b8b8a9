"""What a yes of the user covers: one item for each thing of a project that would run, reach out or loosen a guard.

Pure. Finding the items is the work of the rooms that read them, remembering the answers is the server's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ItemKind(StrEnum):
    """Which part of a project an item covers; the value begins its id."""

    AGENT = "agent"
    """A program or function that an agent's file names, or what a model agent's file lets run."""
    SETTING = "setting"
    """A setting of the project's own file that names a program, host or address."""
    CLAUDE = "claude-settings"
    """The project's settings of Claude Code."""
    LINK = "link"
    """A link of the project's, behind which its commands and agents lie."""
    GIT = "git"
    """Filters and merge drivers in the repository's own configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustItem:
    """One thing that waits for the user's yes, as it is now."""

    id: str
    """Its name in the project, the same as long as it is the same thing: `agent:linter`, `setting:notify`."""
    kind: ItemKind
    summary: str
    """What is run or reached, in one line, for refusals and lists."""
    lines: tuple[str, ...]
    """All that a person decides on, a fact each. The project wrote it: make it showable where it is shown."""
    content: str
    """SHA-256, hex, over all that is covered but files; equal in a copy of the project at another path."""
    place: str
    """SHA-256, hex, of where it is: a yes that was given elsewhere holds only under a stricter rule."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Digest of each covered file and folder of modules that is there, by its path below the project.

    Which of them count may depend on the search path of the process that asks; so a yes holds where it covered each.
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
    """The item *name* of *kind*; *content* is JSON data without a path of this machine, *place* holds the paths."""
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
