"""Skill files of Claude Code that pass the text after `/name` to `run`, unchanged.

Pure; `sync.py` writes the files. Claude Code splits the arguments of a server's prompt at white space, but passes those
of a skill as they were typed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from mcp_server.protocol.instructions import FOLLOW, LONG_WAIT

if TYPE_CHECKING:
    from registry.commands import CommandSummary

MARK = "<!-- orchestrate sync: "
"""Start of the line that marks a file as ours."""
SERVERS = ("orchestration", "plugin_orchestration_orchestration")
"""The server's names in Claude Code: by `.mcp.json`, and as part of our plugin."""
TOOLS = ("run", "status", "resume", "cancel")
"""Tools that a person allows by typing the command. Not `report`: it can submit decisions that are the user's."""
PLAIN = re.compile(r"[\w./ -]+")
MAX_NAME_LENGTH = 64
MAX_DESCRIPTION_LENGTH = 1000


def skill_text(summary: CommandSummary, source: str) -> str:
    """The SKILL.md of a command; *source* is its file, as shown to people."""
    name = summary.name.removeprefix("/")
    description = " ".join(summary.description.split())[:MAX_DESCRIPTION_LENGTH] or f"Runs the command {summary.name}."
    usage = " ".join(f"[{argument}]" for argument in summary.arguments) or "[arguments]"
    origin = (
        source if PLAIN.fullmatch(source) else "a command file"
    )  # Claude Code runs some text of a skill as commands
    allowed = ", ".join(f"mcp__{server}__{tool}" for server in SERVERS for tool in TOOLS)
    return f"""\
---
name: {name}
description: {json.dumps(description, ensure_ascii=False)}
argument-hint: {json.dumps(usage, ensure_ascii=False)}
allowed-tools: {allowed}
---

{MARK}made from {origin}; change that file, this one is overwritten. -->

Run the command {summary.name}: call the `run` tool of the MCP server "orchestration" with `command` "{summary.name}" \
and, as `arguments`, the text between these tags, exactly as it is (leave `arguments` out if it is empty):

<arguments>$ARGUMENTS</arguments>

{FOLLOW.format(wait=LONG_WAIT)}"""


def is_ours(text: str) -> bool:
    """Whether *text* is a file that `orchestrate sync` has written."""
    return any(line.startswith(MARK) for line in text.splitlines()[:20])
