"""How a model writes a command: our skill as a prompt for clients without plugins, and its reference files.

Effects: reads the skill, which is a part of this package. In Claude Code the plugin has the same file as a skill.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import registry
from engine.errors import NotFound
from engine.text.cut import cut
from engine.text.shown import clean
from mcp_server.protocol.uris import AGENTS, COMMANDS, REFERENCES
from registry.naming import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.agent import Agent
    from registry.commands import CommandSummary

SKILL = Path(registry.__file__).parent / "packaged" / "skills" / "new-command"
MAX_NAMED = 60
"""Agents, and commands, that the prompt names; the resource has all."""
MAX_DESCRIPTION = 120
_HEAD = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_REFERENCE = re.compile(r"\(references/([a-z0-9-]+)\.md\)")


def prompt(sentence: str, agents: Iterable[Agent], commands: Iterable[CommandSummary]) -> str:
    """The skill's text for *sentence*, with the *agents* and *commands* of the project."""
    text = _HEAD.sub("", (SKILL / "SKILL.md").read_text(encoding="utf-8"))
    text = _REFERENCE.sub(rf"({REFERENCES}/\1)", text)
    found = [(agent.id, agent.description) for agent in agents]
    known = [(command.name, command.description) for command in commands]
    lists = [*_named("Agents", found, AGENTS), "", *_named("Commands", known, COMMANDS)]
    return text.replace("$ARGUMENTS", sentence) + "\n## What this project has\n\n" + "\n".join(lists) + "\n"


def topics() -> list[str]:
    """The topics of the reference files."""
    return sorted(path.stem for path in (SKILL / "references").glob("*.md"))


def reference(topic: str) -> str:
    """The reference file about *topic*. Raises `NotFound` (RESOURCE_NOT_FOUND)."""
    known = topics()
    if topic not in known:
        near = closest(topic, known)
        hint = f'Did you mean "{near}"?' if near else f"The topics are {', '.join(known)}."
        raise NotFound(f'there is no reference about "{topic[:100]}"', code="RESOURCE_NOT_FOUND", hint=hint)
    return (SKILL / "references" / f"{topic}.md").read_text(encoding="utf-8")


def _named(title: str, found: list[tuple[str, str]], uri: str) -> list[str]:
    """A list of names and descriptions, which are text of files: one line each."""
    lines = [f"- {clean(name)}: {json.dumps(cut(clean(about), MAX_DESCRIPTION))}" for name, about in found[:MAX_NAMED]]
    rest = len(found) - MAX_NAMED
    more = [f"- and {rest} more: {uri}"] if rest > 0 else []
    return [f"{title}:", "", *lines, *more]
