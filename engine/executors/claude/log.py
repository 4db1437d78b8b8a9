"""The lines of an attempt's log for the messages of a headless Claude Code.

Pure. Measured with Claude Code 2.1.330: messages of a subagent name, as `parent_tool_use_id`, the call that started it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.executors.claude.result import doing
from engine.executors.claude.session import blocks
from engine.model.log import LogKind, LogLine
from engine.text.cut import cut

MAX_RESULT_LENGTH = 2000
"""Characters of a tool's result that are kept; Claude Code's own transcript has the whole."""
MAX_TEXT_LENGTH = 20_000
_DELEGATING = frozenset({"Agent", "Task"})


class LogLines:
    """Makes lines of messages, and knows which subagent a message comes from."""

    def __init__(self, project: str) -> None:
        """*project* is the working folder; paths below it are shown relative to it."""
        self._project = project
        self._names: dict[str, str] = {}
        """Subagents, by the call that started each."""

    def of(self, message: Mapping[str, Any]) -> list[LogLine]:
        """The lines for *message*."""
        kind = message.get("type")
        if kind == "system" and message.get("subtype") == "api_retry":
            text = f"Waiting for the API ({message.get('error', 'error')}), try {message.get('attempt', '')}"
            return [LogLine(LogKind.DID, cut(text, MAX_RESULT_LENGTH))]
        if kind not in {"assistant", "user"}:
            return []
        parent = message.get("parent_tool_use_id")
        by = "" if parent is None else self._names.get(str(parent), "subagent")
        lines = (self._line(block, by, is_own=kind == "assistant") for block in blocks(message))
        return [line for line in lines if line is not None and line.text.strip()]

    def _line(self, block: Mapping[str, Any], by: str, *, is_own: bool) -> LogLine | None:
        kind = block.get("type")
        if kind == "text":
            text = cut(str(block.get("text", "")), MAX_TEXT_LENGTH)
            return LogLine(LogKind.SAID if is_own else LogKind.RESULT, text, by)
        if kind == "tool_use":
            name, given = str(block.get("name", "")), block.get("input")
            if name in _DELEGATING and isinstance(given, Mapping):
                named = given.get("subagent_type") or given.get("description") or "subagent"
                self._names[str(block.get("id"))] = cut(str(named), 80)
            return LogLine(LogKind.DID, cut(doing(name, given, self._project), MAX_RESULT_LENGTH), by)
        if kind == "tool_result":
            text = cut(_text(block.get("content")), MAX_RESULT_LENGTH)
            return LogLine(LogKind.RESULT, f"error: {text}" if block.get("is_error") is True else text, by)
        return None


def _text(content: object) -> str:
    """The text of a tool's result, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, Mapping)]
    return "\n".join(str(part["text"]) if "text" in part else f"({part.get('type', 'part')})" for part in parts)
