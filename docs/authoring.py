"""The reference files of the skill that writes commands: sections of the pages, and the patterns, each file small.

Pure, but for the pages and templates that it reads.
"""
# ruff: noqa: INP001 - a folder of pages, not a package of the product

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from registry.templates import GALLERY, PATTERNS, templates

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCS = Path(__file__).parent
REFERENCES = DOCS.parent / "registry" / "packaged" / "skills" / "new-command" / "references"
MAX_BYTES = 8_000
"""A model reads these files, and pays for each byte."""
SPEC = "command-spec-v2.md"
AGENTS = "reference/agent-files.md"
FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "format": (SPEC, ("## Fields", "### Command", "### Phase", "### Node", "### ForEach", "### Repeat")),
    "parts": (
        SPEC,
        (
            "### Input",
            "### Output",
            "### NodeContext",
            "### RetryPolicy",
            "### SkipCondition",
            "### Compensation",
            "### Resources",
            "### Lock",
            "### Approval",
            "### Argument",
            "### GlobalContext",
        ),
    ),
    "metadata": (SPEC, ("### Metadata", "### Example", "### Requirements")),
    "shapes": (
        SPEC,
        ("## Phases in place", "## One agent for each item", "## Again until a condition holds", "### Names in texts"),
    ),
    "values": (SPEC, ("## Context", "### Merging", "### Transforms", "### Output schemas", "## Arguments")),
    "conditions": (
        SPEC,
        ("## Skip conditions", "### The expression language", "## Compensation", "## Sub-commands", "## Limits"),
    ),
    "flow": (
        SPEC,
        (
            "## Order and concurrency",
            "## What a failure does",
            "## Retries and timeouts",
            "## Approval and idempotence",
            "## Locks",
        ),
    ),
    "agents": (AGENTS, ("# Agent files", "## Our fields", "## Claude Code's fields", "## Permissions")),
}
"""Each file with its page and sections."""
LEFT_OUT = {
    SPEC: {"# Command format 2.0.0", "## Circuit breakers", "## v1 markdown", "## Decisions"},
    AGENTS: {"## When a model agent has answered", "## Variables and secrets", "### What is redacted"},
}
"""Sections that are of no use for writing a command."""
_HEADING = re.compile(r"^(?=#{1,3} )", re.MULTILINE)
_LINK = re.compile(r"\[((?:`[^`]*`|[^]`])+)\]\([^)\s]+\)")
_MARKER = re.compile(r"<!-- .*? -->\n\n?")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r' (title="[^"]*"|part=\w+)$', re.MULTILINE)


def sections(page: str) -> dict[str, str]:
    """The sections of a page by heading, without the sections below them; comments in code are no headings."""
    text = (DOCS / page).read_text(encoding="utf-8")
    hidden = _FENCE.sub(lambda found: found[0].replace("\n#", "\n\0"), text)
    parts = [part.replace("\n\0", "\n#") for part in _HEADING.split(hidden) if part.strip()]
    return {part.partition("\n")[0]: part for part in parts}


def reference_files() -> dict[Path, str]:
    """The reference files with their texts."""
    found = {name: _of_page(page, names) for name, (page, names) in FILES.items()}
    for one in templates():
        if one.name.startswith(f"{PATTERNS}/"):
            found[f"pattern-{one.folder.name}"] = _of_pattern(one.folder.name, one.description, one.command)
    gallery = [f"- `{one.name}`: {one.description}" for one in templates() if one.name.startswith(f"{GALLERY}/")]
    how = "`orchestrate new NAME --from gallery/…` writes one of these, with its agents and programs, to change it."
    found["gallery"] = "\n".join(["# Gallery", "", how, "", *gallery, ""])
    return {REFERENCES / f"{name}.md": text for name, text in found.items()}


def _of_page(page: str, names: tuple[str, ...]) -> str:
    """Some sections of a page, without what only readers of the whole page need."""
    known = sections(page)
    text = "\n".join(known[name].strip() + "\n" for name in names)
    return _MARKER.sub("", _TITLE.sub("", _LINK.sub(r"\1", text)))


def _of_pattern(name: str, description: str, command: Path) -> str:
    text = command.read_text(encoding="utf-8").strip()
    return f"# {name}\n\n{description}.\n\n```yaml\n{text}\n```\n"
