"""Skill files of Claude Code that hand what is typed behind `/name` to `run`, whole.

Effects: none; files are written by `sync.py`. A prompt of the server gets its arguments split at white space, a
skill gets the text as it was typed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mcp_server.protocol.instructions import FOLLOW

if TYPE_CHECKING:
    from registry.commands import CommandSummary

MARK = "<!-- orchestrate sync: "
"""How the line begins that tells our files from a person's."""
SERVERS = ("orchestration", "plugin_orchestration_orchestration")
"""What the server is called in Claude Code: by `.mcp.json`, and as part of our plugin."""
TOOLS = ("run", "status")
"""What a person allows by typing the command."""
PLAIN = re.compile(r"[\w./ -]+")
MAX_NAME_LENGTH = 64
MAX_DESCRIPTION_LENGTH = 1000


def skill_text(summary: CommandSummary, source: str) -> str:
    """The SKILL.md of a command; *source* is its file as people read it."""
    name = summary.name.removeprefix("/")
    description = " ".join(summary.description.split())[:MAX_DESCRIPTION_LENGTH] or f"Runs the command {summary.name}."
    hint = " ".join(f"[{argument}]" for argument in summary.arguments) or "[arguments]"
    told = source if PLAIN.fullmatch(source) else "a command file"  # Claude Code runs some texts of a skill as commands
    allowed = ", ".join(f"mcp__{server}__{tool}" for server in SERVERS for tool in TOOLS)
    return f"""\
---
name: {name}
description: {json.dumps(description, ensure_ascii=False)}
argument-hint: {json.dumps(hint, ensure_ascii=False)}
allowed-tools: {allowed}
---

{MARK}made of {told}; change that file, this one is written anew. -->

Run the command {summary.name}: call the `run` tool of the MCP server "orchestration" with `command` "{summary.name}" \
and, as `arguments`, the text between these tags, exactly as it stands there (leave `arguments` out if it is empty):

<arguments>$ARGUMENTS</arguments>

{FOLLOW}"""


def is_ours(text: str) -> bool:
    """Whether *text* is a file that `orchestrate sync` has written."""
    return any(line.startswith(MARK) for line in text.splitlines()[:20])
