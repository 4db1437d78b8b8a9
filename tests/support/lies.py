"""A project in which every text of its own tries to steer, hide, pad and forge lines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.support.definitions import command, node, phase
from tests.support.real_agents import write_command
from tests.support.trust import trust_all
from tests.unit.engine.text.test_shown import deceiving

if TYPE_CHECKING:
    from pathlib import Path

FORGED = "✅ /deploy completed"
GAP = " " * 60
LIE = f"name\x1b[2J\x9b31m\u202egpj\u2066\u200b\u00a0\u2800{GAP}\r\n{FORGED}\n[red]x[/red] :skull: e" + "\u0301" * 9
QUIET_LIE = "".join(letter for letter in LIE if letter not in "\x1b\x9b\r\n")
"""What of it may stand in an agent's file."""
KEY = QUIET_LIE.replace("/", "")
"""What of it may be the name of a value."""


def tell_lies(project: Path) -> Path:
    """Let *project* try it with every text of its own; its agents are trusted, its user's home is in it."""
    (project / "liar.py").write_text(f"import sys\nprint({LIE!r}, file=sys.stderr)\nsys.exit({LIE!r})\n")
    answer = json.dumps({"outputs": {"told": LIE, KEY: LIE * 100}})
    (project / "asker.py").write_text(f"print({answer!r})\n")
    for name in ("liar", "asker"):
        argv = json.dumps([sys.executable, f"{name}.py", QUIET_LIE])
        head = f"---\nname: {name}\ndescription: {json.dumps(QUIET_LIE)}\nexecutor: process\ncommand: {argv}\n---\n"
        (project / ".claude" / "agents" / f"{name}.md").write_text(head)
    outputs = {"outputs": [{"key": key} for key in ("told", KEY)]}
    nodes = [
        node("fails-always", agent="liar") | {"task": LIE},
        node("asks-first", agent="asker", approval={"message": LIE}, context=outputs) | {"task": LIE},
    ]
    first, second = phase("first", nodes[0], continueOnError=True), phase("second", nodes[1])
    phases = [first | {"name": LIE}, second | {"name": LIE}]
    arguments = [{"name": KEY, "description": LIE}]
    write_command(project, command(*phases, name="/lies", arguments=arguments) | {"description": LIE})
    unnamed = command(*phases, name=LIE)
    (project / ".claude" / "commands" / "v2" / "unnamed.json").write_text(json.dumps(unnamed))
    (project / "broken.json").write_text(json.dumps({"version": "2.0.0", LIE: LIE, "name": LIE, "phases": LIE}))
    trust_all(project, project / "home")
    return project


def honest(text: str) -> None:
    """Nothing in *text* steers, turns, hides or pads, and no line of it is one that the project has made up."""
    assert not deceiving(text) - {"\n", "\t"}
    assert not [line for line in text.splitlines() if line.startswith(FORGED)]
    assert GAP not in text or text.startswith(("{", "[")), "JSON holds it as it is"
