"""Takes the recorded answers of Claude Code anew, one for each way in which a run of it can end.

Effects: runs the pinned program against the scripted API and overwrites tests/support/claude_results. Not a test.

    uv run python -m tests.support.record_claude_results
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.claude_code import ClaudeRun, Version, environment, run_claude
from tests.support.fake_messages_api import FakeMessagesApi, Route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULTS = Path(__file__).parent / "claude_results"
TASK = "Answer the question of all questions."
JUDGED = ("type", "subtype", "is_error", "result", "structured_output", "errors", "api_error_status", "terminal_reason")
"""The fields of a result message which tell how it ended and which stay the same from recording to recording."""

_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
_WITH_SCHEMA = ("--json-schema", json.dumps(_SCHEMA))
_RIGHT, _WRONG = {"structured": {"answer": 42}}, {"structured": {"answer": "many"}}
_BASH = {"tool": "Bash", "input": {"command": "echo hi", "description": "Greets"}}
_FORBIDDEN = {"tool": "Bash", "input": {"command": "touch /etc/forbidden", "description": "Writes where it must not"}}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What the model does, and the flags of the program."""

    steps: Sequence[Mapping[str, Any]]
    arguments: Sequence[str] = ()
    exit_code: int = 0


SCENARIOS = {
    "text": Scenario(steps=[{"text": "hello"}]),
    "tool_used": Scenario(steps=[_BASH, {"text": "ran it"}], arguments=("--allowedTools", "Bash")),
    "structured": Scenario(steps=[_RIGHT], arguments=_WITH_SCHEMA),
    "structured_second_try": Scenario(steps=[_WRONG, _RIGHT], arguments=_WITH_SCHEMA),
    "structured_missing": Scenario(steps=[{"text": "no schema today"}], arguments=_WITH_SCHEMA),
    "structured_invalid": Scenario(steps=[_WRONG], arguments=_WITH_SCHEMA, exit_code=1),
    "denied_tool": Scenario(steps=[_FORBIDDEN, {"text": "I was not allowed"}]),
    "max_turns": Scenario(steps=[_BASH], arguments=("--allowedTools", "Bash", "--max-turns", "1"), exit_code=1),
    "budget": Scenario(steps=[_BASH], arguments=("--allowedTools", "Bash", "--max-budget-usd", "0.0001"), exit_code=1),
    "rate_limited": Scenario(steps=[{"error": 429, "type": "rate_limit_error"}], exit_code=1),
    "overloaded": Scenario(steps=[{"error": 529, "type": "overloaded_error"}], exit_code=1),
    "unauthorized": Scenario(steps=[{"error": 401, "type": "authentication_error"}], exit_code=1),
    "garbage": Scenario(steps=[{"garbage": "<html>a proxy's login page</html>"}], exit_code=1),
}


def play(scenario: Scenario, *, folder: Path, version: Version = "current") -> ClaudeRun:
    """One run of the real program in two new folders below this one."""
    home, project = folder / "home", folder / "project"
    home.mkdir()
    project.mkdir()
    with FakeMessagesApi(routes=[Route(match=TASK, steps=scenario.steps)]) as api:
        environ = environment(home=home, api_url=api.url, version=version)
        return run_claude(TASK, project=project, environ=environ, arguments=scenario.arguments)


def scrub(text: str, *, folder: Path) -> str:
    """The same text without what differs from run to run or names this machine."""
    seen: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return seen.setdefault(match.group(), f"00000000-0000-4000-8000-{len(seen) + 1:012d}")

    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", number, text)
    text = text.replace(str(folder), "").replace(re.sub(r"[^A-Za-z0-9]", "-", str(folder)), "")
    text = re.sub(r"/tmp/cc-socks/\d+", "/tmp/cc-socks/1", text)  # noqa: S108 -- the program's own choice, not ours
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "2026-01-01T00:00:00.000Z", text)


def main() -> int:
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary).resolve()
            run = play(scenario, folder=folder)
            lines = "".join(json.dumps(message, separators=(",", ":")) + "\n" for message in run.messages)
            (RESULTS / f"{name}.jsonl").write_text(scrub(lines, folder=folder), encoding="utf-8")
        sys.stdout.write(f"{name}: exit code {run.exit_code}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
