"""The agent files that a converted command needs: models with their limits, and programs.

Pure. Nodes with the same settings share a file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from registry.wording import slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL_TOOLS = ("Read", "Grep", "Glob", "Edit", "Write", "Bash", "WebFetch", "WebSearch", "Skill", "Task")
"""Tools of an agent that may use all: what its file does not name would be refused, since no one can be asked."""
RUNNER = ("{python}", "-P", "-m", "registry.packaged.run_script")
"""Starts a program that is not an agent: it takes its values from variables, and its output is a text."""
_MAX_ID_LENGTH = 60
_LINE_BREAKS = re.compile("[\x85\u2028\u2029]")


class NewAgents:
    """The agents of one command, by name."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.texts: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def model(self, node: str, fields: Mapping[str, Any], prompt: str) -> str:
        """The name of a model agent with *fields*, such as tools and model; *prompt* is its own prompt."""
        wanted = {key: value for key, value in fields.items() if value is not None}
        text = prompt or "You do one step of a workflow: the task that you are given, and nothing beyond it."
        return self._add(node, {"description": f"Works for {self.command}", **wanted}, text)

    def program(self, node: str, command: Sequence[str]) -> str:
        """The name of an agent that is a program."""
        fields = {
            "description": f"Runs {node} of {self.command}",
            "executor": "process",
            "command": [*command],
            "keepProcesses": True,  # the other programs leave alone what a script has started in the background
        }
        return self._add(node, fields, f"Runs the script of the step {node}.")

    def _add(self, node: str, fields: Mapping[str, Any], prompt: str) -> str:
        content = "".join(f"{key}: {_yaml(value)}\n" for key, value in fields.items()) + f"---\n\n{prompt.strip()}\n"
        name = self._names.get(content)
        if name is None:
            base = slug(f"{self.command} {node}", words=20)[:_MAX_ID_LENGTH].strip("-")
            name, number = base, 2
            while name in self.texts:
                name, number = f"{base[: _MAX_ID_LENGTH - 4]}-{number}", number + 1
            self._names[content] = name
            self.texts[name] = f"---\nname: {name}\n{content}"
        return name


def _yaml(value: object) -> str:
    """*value* in JSON, which is YAML too once line breaks that only YAML knows are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return _LINE_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_VERSIONED = re.compile(r"claude-(?:opus|sonnet|haiku)-\d+(?:[.-]\d+)?(?:-\d{8})?")
_TIERS = {"small": "haiku", "medium": "sonnet", "large": "opus"}


def model_name(given: str) -> str | None:
    """The model that Claude Code knows as *given*; None if it is another maker's, or an alias of the other program."""
    name = given.strip()
    if name in {"haiku", "sonnet", "opus"}:
        return name
    return name.replace(".", "-") if _VERSIONED.fullmatch(name) else None


def tier(given: str) -> str | None:
    """The model of a size."""
    return _TIERS.get(given)
