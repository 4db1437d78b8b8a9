"""The fields of an agent file: their names, and the values that each may have.

Pure. Every function takes the file's value and returns the parsed one, or raises `FieldError`.
`registry/agents/format.py` maps fields to functions.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.model.agent import LABEL, MAX_LABELS, AgentKind
from engine.text.variables import malformed

if TYPE_CHECKING:
    from collections.abc import Collection

    from registry.files.frontmatter import Value

CLAUDE_CODE_FIELDS = frozenset({
    "name", "description", "tools", "disallowedTools", "model", "permissionMode", "maxTurns", "skills", "mcpServers",
    "effort", "isolation", "hooks", "memory", "background", "color", "initialPrompt", "omitClaudeMd",
    "autoCompactWindow", "observer", "observerMessage", "observeSubagents", "observeToolResults", "experimental",
})  # fmt: skip
"""All fields of Claude Code 2.1.330."""
TYPED = frozenset({"hooks", "mcpServers"})
"""Those that hold data for Claude Code, with numbers and truth values."""
NO_EFFECT = frozenset({"experimental"})
"""Those that Claude Code reads only from a file, not from a definition on its command line."""
OWN_FIELDS = frozenset({
    "executor", "command", "callable", "timeoutMs", "idleTimeoutMs", "keepProcesses", "env", "maxBudgetUsd",
    "ignoreProject", "labels",
})  # fmt: skip
"""Fields that we read in addition to Claude Code's; it ignores them."""
FIELDS = CLAUDE_CODE_FIELDS | OWN_FIELDS
GUARDS = frozenset({
    "tools", "disallowedTools", "permissionMode", "hooks", "isolation", "maxTurns", "maxBudgetUsd", "timeoutMs",
    "idleTimeoutMs", "mcpServers", "ignoreProject", "labels",
})  # fmt: skip
"""Fields that limit an agent: misspelled, they would limit nothing, so a misspelling is an error."""
MISNOMERS = {
    "allowed-tools": "tools",
    "allowedTools": "tools",
    "allowed_tools": "tools",
    "tool": "tools",
    "id": "name",
    "timeout": "timeoutMs",
}
"""Common wrong names of a field whose nearest field by spelling would be another one."""

PERMISSION_MODES = ("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "manual", "plan")
ISOLATIONS = ("worktree",)
MEMORIES = ("user", "project", "local")
SMALLEST_WINDOW = 100_000
EXECUTORS = tuple(kind.value for kind in AgentKind if kind.traits.in_files)
MAX_TIMEOUT = timedelta(days=7)

_TOOL = re.compile(r"[A-Za-z_][\w-]*\*?(\([^()]*\))?", re.ASCII)
_TOOL_GAP = re.compile(r"[,\s]+(?![^()]*\))")
"""Commas and spaces outside brackets: `Bash(git diff:*, git log), Read` are two tools."""
_ARGUMENT = re.compile(r"\w[\w.:/@\[\]-]*", re.ASCII)
_CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[0-9]{1,12}")
_MONEY = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class FieldError(InputError):
    """A field has an invalid value; the message continues after the field's name."""

    code = "AGENT_FIELD_INVALID"


def text(value: Value) -> str:
    """Text without control characters: it is shown in terminals and passed to programs."""
    if not isinstance(value, str):
        raise FieldError("takes text", hint="Write it on one line, in double quotes if it has a colon.")
    if found := _CONTROL.search(value):
        message = f"has the control character U+{ord(found[0]):04X}"
        raise FieldError(message, hint="Remove the character.")
    return value.strip()


def argument(value: Value) -> str:
    """A word that is safe on a command line: it cannot be mistaken for an option."""
    word = text(value)
    if not _ARGUMENT.fullmatch(word):
        raise FieldError(f"cannot be {word[:60]!r}", hint="Write one word of letters, digits and . : / @ [ ] _ -.")
    return word


def choice(value: Value, allowed: Collection[str]) -> str:
    word = text(value)
    if word not in allowed:
        raise FieldError(f"cannot be {word[:60]!r}", hint=f"Write one of {', '.join(allowed)}.")
    return word


def integer(value: Value) -> int:
    """A whole number of at least 1."""
    digits = text(value)
    if not _INTEGER.fullmatch(digits) or int(digits) == 0:
        raise FieldError(f"cannot be {digits[:60]!r}", hint="Write a whole number of at least 1.")
    return int(digits)


def window(value: Value) -> int:
    """Number of tokens from which Claude Code summarizes a conversation."""
    tokens = integer(value)
    if tokens < SMALLEST_WINDOW:
        raise FieldError(f"cannot be {tokens}", hint=f"Write at least {SMALLEST_WINDOW}.")
    return tokens


def duration(value: Value) -> timedelta:
    """A duration, in milliseconds in the file; at most `MAX_TIMEOUT`."""
    number = integer(value)
    if number > MAX_TIMEOUT / timedelta(milliseconds=1):
        raise FieldError(f"is over {MAX_TIMEOUT.days} days", hint="Write milliseconds: 600000 is ten minutes.")
    return timedelta(milliseconds=number)


def dollars(value: Value) -> float:
    """An amount above 0."""
    amount = text(value)
    if not _MONEY.fullmatch(amount) or Decimal(amount) == 0:
        raise FieldError(f"cannot be {amount[:60]!r}", hint="Write an amount in dollars such as 0.50.")
    return float(amount)


def boolean(value: Value) -> bool:
    word = text(value).lower()
    if word in {"true", "yes", "on"}:
        return True
    if word in {"false", "no", "off"}:
        return False
    raise FieldError(f"cannot be {word[:60]!r}", hint="Write true or false.")


def names(value: Value) -> tuple[str, ...]:
    """A list, or text with commas; an item `name: {…}` counts as its name, as in Claude Code's `mcpServers`."""
    if isinstance(value, str):
        return tuple(word for part in text(value).split(",") if (word := part.strip()))
    if isinstance(value, dict):
        return tuple(text(name) for name in value)
    if not isinstance(value, list):
        raise FieldError("takes names", hint="Write a list, or text with commas.")
    return tuple(text(name) for item in value for name in (item if isinstance(item, dict) else [item]))


def labels(value: Value) -> tuple[str, ...]:
    """Words that workers of a fleet say of themselves, sorted, each once."""
    found = tuple(sorted(set(names(value))))
    if odd := [word for word in found if not LABEL.fullmatch(word)]:
        hint = "Write words of small letters, digits and . _ -, such as gpu."
        raise FieldError(f"cannot have {odd[0][:60]!r}", hint=hint)
    if len(found) > MAX_LABELS:
        raise FieldError(f"has {len(found)} labels", hint=f"Write at most {MAX_LABELS}.")
    return found


def tools(value: Value) -> tuple[str, ...] | None:
    """The listed tools, with or without a pattern in brackets; None for `*`, all of them.

    An empty list means no tools. `may_be_tool` checks whether a word can be a tool's name.
    """
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise FieldError("takes a list of tools", hint="Write `tools: Read, Grep, Glob`.")
    found = tuple(tool for item in items for tool in _TOOL_GAP.split(text(item)) if tool)
    return None if "*" in found else found


def may_be_tool(word: str) -> bool:
    """Whether *word* has the form of a tool's name."""
    return _TOOL.fullmatch(word) is not None


def disallowed_tools(value: Value) -> tuple[str, ...]:
    """Tools that the agent may not use; a pattern in brackets removes the whole tool, as in Claude Code."""
    found = tools(value)
    if found is None:
        raise FieldError("cannot be `*`, which removes no tool in Claude Code", hint="Write `tools: []` for no tools.")
    if wrong := next((tool for tool in found if not may_be_tool(tool)), None):
        raise FieldError(f"has {wrong[:60]!r}, which cannot be a tool", hint="Write `disallowedTools: Write, Edit`.")
    return found


def command(value: Value) -> tuple[str, ...]:
    """argv, one item per argument: there is no shell, so nothing is split here."""
    hint = 'Write a list: `command: ["python3", "tools/check.py"]`.'
    if not isinstance(value, list):
        raise FieldError("takes a list of arguments", hint=hint)
    argv = tuple(item if isinstance(item, str) and not item.strip() else text(item) for item in value)
    if not argv or not argv[0].strip():
        raise FieldError("does not name a program", hint=hint)
    return argv


def python_callable(value: Value) -> str:
    """`module:function`, dots allowed in both."""
    name = text(value)
    if not _CALLABLE.fullmatch(name):
        raise FieldError(f"cannot be {name[:60]!r}", hint="Write `module:function`, such as tools.agents:review.")
    return name


def environment(value: Value) -> dict[str, str]:
    """Variables for the agent's process; `$NAME` in a value stands for a variable of the environment where it runs."""
    if not isinstance(value, dict):
        raise FieldError("takes variables", hint="Write one indented `NAME: value` per line below `env:`.")
    for name in value:
        if not _VARIABLE.fullmatch(name):
            raise FieldError(f"has the variable {name[:60]!r}", hint="Use letters, digits and _ in its name.")
    found = {name: "" if content is None else text(content) for name, content in value.items()}
    for name, content in found.items():
        if wrong := malformed(content):
            raise FieldError(f"sets {name} with {wrong!r}", hint="Write $NAME, ${NAME} or ${NAME:-default}; $$ is a $.")
    return found
