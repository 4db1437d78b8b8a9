"""Judges the output of a headless Claude Code, and describes its actions in short lines.

Pure. Measured with Claude Code 2.1.330: `is_error` says whether a run failed, `subtype` does not (an API error is a
"success"); costs and `modelUsage` are totals of the session, `usage` is not. If there are several turns, `session.py`
chooses the answer that counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.executors.answer import failed, parse_answer, signal_name
from engine.executors.claude.session import ANSWER_TOOL, Session, blocks
from engine.executors.port import Outcome
from engine.model.policy import FailureKind, Usage
from engine.text.redaction import one_line

_FROM_SERVER = 500
_OVERLOADED = 529
_QUOTA = re.compile(
    r"\b(usage|session|weekly|daily|monthly|opus|sonnet|haiku|hour|spending|spend) limit\b|hit your [\w -]{0,40}limit"
    r"|credit balance|\bquota\b|out of (extra )?(usage|credits)",
    re.IGNORECASE,
)
_SIGNED_OUT = re.compile(
    r"not logged in|please run /login|invalid api key|failed to authenticate|oauth token", re.IGNORECASE
)
_CONNECTION = re.compile(
    r"\bE(CONN\w+|TIMEDOUT|NOTFOUND|AI_AGAIN|PIPE|HOSTUNREACH|NETUNREACH)\b|connection (refused|error|reset|closed)"
    r"|socket hang up|fetch failed|network error|request timed out|unable to connect",
    re.IGNORECASE,
)
_NO_OPTION = re.compile(r"unknown option '?--")
_NO_AGENT = re.compile(r"--agent .{1,200}? not found", re.DOTALL)
_ENDINGS = {
    "error_max_turns": ("MAX_TURNS", "Give the agent a higher `maxTurns`, or a smaller task."),
    "error_max_budget_usd": ("BUDGET_EXCEEDED", "Raise the budget, or give the agent a smaller task."),
}
_VERBS = {
    "Read": ("Reading", "file_path"),
    "Write": ("Writing", "file_path"),
    "Edit": ("Editing", "file_path"),
    "MultiEdit": ("Editing", "file_path"),
    "NotebookEdit": ("Editing", "notebook_path"),
    "Bash": ("Running", "command"),
    "PowerShell": ("Running", "command"),
    "Grep": ("Searching for", "pattern"),
    "Glob": ("Looking for", "pattern"),
    "WebFetch": ("Fetching", "url"),
    "WebSearch": ("Searching the web for", "query"),
    "Agent": ("Delegating:", "description"),
    "Task": ("Delegating:", "description"),
    "Skill": ("Using the skill", "skill"),
}


def judge(session: Session, *, exit_code: int, stderr: str) -> Outcome:
    """The outcome of *session*, by its answer, not by its exit code.

    *exit_code* counts only without a result.
    """
    said = session.said
    if not session.results:
        return _crashed(exit_code, stderr, said)
    last = session.results[-1]
    usage = _usage(last)
    text = _text(last)
    answer, results = session.answer()
    if answer is None and last.get("is_error") is not False:
        return _error(last, text, partial=said, usage=usage)
    denied = _denied_tools(results)
    if denied:
        return failed(
            FailureKind.ERROR,
            "PERMISSION_DENIED",
            f"the agent was not allowed to use {', '.join(denied)}",
            hint="Name the tool in `tools` of the agent's file, or allow it in .claude/settings.json.",
            partial=text or said,
            usage=usage,
        )
    if answer is None:
        return failed(
            FailureKind.VALIDATION,
            "NO_STRUCTURED_OUTPUT",
            "the agent ended without an answer in the requested form",
            hint="Describe each output in the task; the agent's own words are kept as partial output.",
            partial=text or said,
            usage=usage,
        )
    return parse_answer(answer, usage=usage)


def parse_line(line: bytes) -> dict[str, Any] | None:
    """One line of stream-json as a message; None for anything else."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def action_of(message: Mapping[str, Any], *, project: str) -> str | None:
    """The agent's current action, in at most 80 characters; None if *message* does not show one."""
    if message.get("type") == "system" and message.get("subtype") == "api_retry":
        return one_line(f"Waiting for the API ({message.get('error', 'error')}), try {message.get('attempt', '')}")
    if message.get("type") != "assistant":
        return None
    for block in reversed(blocks(message)):
        if block.get("type") == "tool_use":
            return one_line(doing(str(block.get("name", "")), block.get("input"), project))
    return None


def doing(tool: str, given: object, project: str) -> str:
    """The use of *tool* in words, as in `Reading src/app.py`."""
    details = given if isinstance(given, Mapping) else {}
    if tool in _VERBS:
        verb, key = _VERBS[tool]
        detail = str(details.get(key, ""))
        return f"{verb} {detail.removeprefix(project.rstrip('/') + '/') if key.endswith('_path') else detail}"
    if tool.startswith("mcp__"):
        return f"Calling {' '.join(tool.split('__')[1:])}"
    return "Answering" if tool == ANSWER_TOOL else f"Using {tool}"


def _error(last: Mapping[str, Any], text: str, *, partial: str | None, usage: Usage) -> Outcome:
    status = last.get("api_error_status")
    subtype = str(last.get("subtype"))
    kind, hint = FailureKind.ERROR, None
    if _QUOTA.search(text):
        code, hint = "QUOTA_EXHAUSTED", "Wait until the limit is reset, or use another account or model."
    elif subtype in _ENDINGS:
        code, hint = _ENDINGS[subtype]
    elif subtype == "error_max_structured_output_retries":
        kind, code = FailureKind.VALIDATION, "NO_STRUCTURED_OUTPUT"
    elif isinstance(status, int):
        code, hint = _of_status(status)
    elif _SIGNED_OUT.search(text):
        code, hint = _of_status(401)
    elif _CONNECTION.search(text):
        code, hint = "CONNECTION_RESET", "Check the network and ANTHROPIC_BASE_URL."
    else:
        code = "AGENT_ERROR"
    return failed(
        kind,
        code,
        text or "Claude Code reported an error without a message",
        hint=hint,
        partial=partial,
        usage=usage,
    )


def _of_status(status: int) -> tuple[str, str | None]:
    """Code and hint for the HTTP status of the Messages API."""
    if status == _OVERLOADED:
        return "OVERLOADED", None
    if status >= _FROM_SERVER:
        return "API_ERROR", None
    return {
        401: ("AUTHENTICATION", "Run `claude` once and sign in, or set ANTHROPIC_API_KEY."),
        403: ("AUTHENTICATION", "The account may not do this: check its plan and the model's name."),
        408: ("CONNECTION_RESET", None),
        429: ("RATE_LIMIT", "Lower maxParallelism, or retry later."),
    }.get(
        status, ("API_REJECTED", "The request itself was refused: check the model's name and the size of the inputs.")
    )


def _crashed(exit_code: int, stderr: str, said: str | None) -> Outcome:
    if _NO_AGENT.search(stderr):
        return failed(
            FailureKind.ERROR, "AGENT_NOT_FOUND", stderr, hint="Claude Code does not know an agent of this name."
        )
    ending = f"was killed by {signal_name(-exit_code)}" if exit_code < 0 else f"exited with code {exit_code}"
    reason = f": {stderr.strip()[-1500:]}" if stderr.strip() else " (nothing on stderr)"
    return failed(
        FailureKind.ERROR,
        "AGENT_CRASHED",
        f"Claude Code {ending} before it returned a result{reason}",
        hint="Update Claude Code: version 2.1.197 or newer is needed." if _NO_OPTION.search(stderr) else None,
        partial=said,
    )


def _text(result: Mapping[str, Any]) -> str:
    errors = result.get("errors")
    if isinstance(errors, list) and errors:
        return "; ".join(map(str, errors))
    text = result.get("result")
    return text if isinstance(text, str) else ""


def _denied_tools(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The denied tools, each once, in the order of the denials."""
    names: list[str] = []
    for result in results:
        denials = result.get("permission_denials")
        names += [
            str(denial.get("tool_name", "a tool")) if isinstance(denial, Mapping) else "a tool"
            for denial in (denials if isinstance(denials, list) else [])
        ]
    return list(dict.fromkeys(names))


def _usage(result: Mapping[str, Any]) -> Usage:
    models = result.get("modelUsage")
    entries = [entry for entry in models.values() if isinstance(entry, Mapping)] if isinstance(models, Mapping) else []
    cost = result.get("total_cost_usd")
    read = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    return Usage(
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
        input_tokens=sum(_count(entry, key) for entry in entries for key in read) if entries else None,
        output_tokens=sum(_count(entry, "outputTokens") for entry in entries) if entries else None,
    )


def _count(entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    return value if isinstance(value, int) else 0
