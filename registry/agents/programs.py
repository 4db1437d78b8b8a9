"""Programs in an agent file that Claude Code itself starts: hooks and the agent's own MCP servers.

Pure. Both are passed on as Claude Code takes them; only their shape is checked here, so that a guard that could not be
loaded is an error of the file and not silently missing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registry.agents.fields import FieldError, text
from registry.naming import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.files.frontmatter import Value

EVENTS = frozenset({
    "PreToolUse", "PostToolUse", "PostToolUseFailure", "PostToolBatch", "Notification", "UserPromptSubmit",
    "UserPromptExpansion", "SessionStart", "SessionEnd", "Stop", "StopFailure", "SubagentStart", "SubagentStop",
    "PreCompact", "PostCompact", "PreModelSwitch", "PostModelSwitch", "PermissionRequest", "PermissionDenied", "Setup",
    "TeammateIdle", "TaskCreated", "TaskCompleted", "Elicitation", "ElicitationResult", "ConfigChange",
    "WorktreeCreate", "WorktreeRemove", "InstructionsLoaded", "CwdChanged", "FileChanged", "DirectoryAdded",
    "MessageDisplay",
})  # fmt: skip
"""The hook events of Claude Code 2.1.330; it refuses a definition with any other."""
_NEEDED = {
    "command": ("command",),
    "prompt": ("prompt",),
    "agent": ("prompt",),
    "http": ("url",),
    "mcp_tool": ("server", "tool"),
}
"""Each kind of hook, and its required texts."""
_HOOKS_HINT = "Write `hooks:` as in Claude Code's settings: an event, a list of matchers, and a list of hooks in each."
_SERVER_HINT = "Write the server's name, or below it its `command` and `args`, or its `type` and `url`."


def hooks(value: Value) -> dict[str, Any]:
    """Hooks by event, in the shape that `--agents` of Claude Code takes."""
    if not isinstance(value, dict):
        raise FieldError("takes hooks by event", hint=_HOOKS_HINT)
    for event, matchers in value.items():
        if event not in EVENTS:
            near = closest(event, EVENTS)
            hint = f"Did you mean {near}?" if near else f"Write one of {', '.join(sorted(EVENTS))}."
            raise FieldError(f"has the event {event[:60]!r}, which Claude Code does not know", hint=hint)
        for matcher in _list(matchers, event):
            if not isinstance(matcher, dict) or not isinstance(matcher.get("matcher", ""), str):
                raise FieldError(f"has below {event} an item that is not a matcher", hint=_HOOKS_HINT)
            for hook in _list(matcher.get("hooks"), event):
                _check_hook(hook, event)
    return {event: matchers for event, matchers in value.items() if matchers}


def _list(value: Value, event: str) -> list[Value]:
    if not isinstance(value, list):
        raise FieldError(f"has no list below {event}", hint=_HOOKS_HINT)
    return value


def _check_hook(hook: Value, event: str) -> None:
    kind = hook.get("type") if isinstance(hook, dict) else None
    if not isinstance(hook, dict) or not isinstance(kind, str) or kind not in _NEEDED:
        kinds = ", ".join(_NEEDED)
        raise FieldError(f"has below {event} a hook without a type of Claude Code", hint=f"Write `type: {kinds}`.")
    for key in _NEEDED[kind]:
        said = hook.get(key)
        if not isinstance(said, str) or not said.strip():
            raise FieldError(f"has below {event} a {kind} hook without `{key}`", hint=f"Add `{key}:` to the hook.")


def inline_servers(value: Value) -> dict[str, Any]:
    """The servers of `mcpServers` that the file itself defines, by name; a bare name refers to another one."""
    items = value if isinstance(value, list) else [value]
    found: dict[str, Any] = {}
    for item in items:
        for name, definition in item.items() if isinstance(item, dict) else ():
            named = text(name)
            if definition is not None:
                found[named] = _server(named, definition)
    return found


def _server(name: str, definition: Value) -> dict[str, Any]:
    given = definition if isinstance(definition, dict) else {}
    place = given.get("command") or given.get("url")
    if not isinstance(place, str) or not place.strip():
        raise FieldError(f"does not say how to reach {name[:60]!r}", hint=_SERVER_HINT)
    for key in ("env", "headers"):
        if isinstance(part := given.get(key), dict):
            given = given | {key: {name: _written(said) for name, said in part.items()}}
    return given


def _written(value: Value) -> Value:
    """The value of a variable or header as text: Claude Code needs text there, which `PORT: 80` is not."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


def commands_of(hooks: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The command lines of *hooks*, as words; one with invalid shell syntax is a single word."""
    for _, _, hook in _each(hooks):
        if hook["type"] == "command":
            yield (*words_of(hook["command"]), *(word for word in hook.get("args") or () if isinstance(word, str)))


def hook_lines(hooks: Mapping[str, Any]) -> list[str]:
    """A line for each hook, for a person to decide on: its event, and what it runs, asks or calls."""
    return [
        f"hook {event}{f' ({matcher})' if matcher else ''}: {json.dumps(hook, ensure_ascii=False)}"
        for event, matcher, hook in _each(hooks)
    ]


def _each(hooks: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for event, matchers in hooks.items():
        for matcher in matchers:
            for hook in matcher["hooks"]:
                yield event, matcher.get("matcher", ""), hook


def words_of(command: str) -> list[str]:
    """The words of a shell command line, started in the project; one with invalid syntax is a single word."""
    plain = command.replace("${CLAUDE_PROJECT_DIR}", ".").replace("$CLAUDE_PROJECT_DIR", ".")
    try:
        return shlex.split(plain)
    except ValueError:
        return [plain]
