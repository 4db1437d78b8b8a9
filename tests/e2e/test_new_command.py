"""`/orchestration:new-command` in the real Claude Code: from a sentence to a command that was checked and simulated."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_session import conversation
from tests.support.claude_code import VERSIONS, ClaudeRun, run_claude
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.uv import uv_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[2]
SKILL = ROOT / "registry" / "packaged" / "skills" / "new-command"
OURS = "mcp__plugin_orchestration_orchestration__"
ANY_USER = {"IS_SANDBOX": "1"}
"""Lets Claude Code skip its questions for root as well, as the tests may be run by."""
SENTENCE = 'Cover each "uncovered" file with tests'
COMMAND = """\
version: 2.0.0
name: /cover
description: Cover each uncovered file with tests
metadata: {requirements: {minVersion: 2.1.0}}
phases:
  - id: look
    name: Look
    agents:
      - id: find-files
        agentId: senior-reviewer
        task: List the files without tests
        context:
          outputs: [{key: files, ttl: 3600, schema: {type: array, items: {type: object, required: [path]}}}]
  - id: act
    name: Act
    agents:
      - id: cover-file
        agentId: test-engineer
        task: Cover ${flie.path} with tests
        dependencies: [find-file]
        forEach: {items: files, as: file, key: $.path, maxItems: 20}
        context:
          inputs: [{key: files}]
          outputs: [{key: covered, ttl: 3600, persist: true, schema: {type: object}}]
"""


def mend(path: str, problem: Mapping[str, str]) -> dict[str, Any]:
    """The edit that *problem* suggests, in the line that it names."""
    line = COMMAND.splitlines()[int(problem["place"].split(":")[-2]) - 1]
    [right] = re.findall(r'Did you mean "\W*([\w-]+)\W*"\?', problem["suggestion"])
    [wrong] = difflib.get_close_matches(right, set(re.findall(r"[\w-]+", line)), n=1)
    new = line.replace(wrong, right)
    return {"tool": "Edit", "input": {"file_path": path, "old_string": line, "new_string": new}}


class Author(Route):
    """A model that does as the skill says, and mends what `validate` names with what it suggests."""

    def __init__(self, api: FakeMessagesApi, path: Path) -> None:
        super().__init__(match="<arguments>")
        self.__dict__.update(api=api, path=path)

    def steps_of(self, attempt: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - it reads the conversation itself
        turn = [turn for turn in self.__dict__["api"].turns if self.match in turn.prompt][-1]
        results = conversation(turn.messages)[1]
        path = str(self.__dict__["path"])
        checked = [json.loads(result) for result in results if result.lstrip().startswith('{"valid"')]
        mends = [mend(path, problem) for problem in (checked[0]["errors"] if checked else ())]
        return [
            {"tool": "Read", "input": {"file_path": f"{SKILL}/references/pattern-for-each.md"}},
            {"tool": "Write", "input": {"file_path": path, "content": COMMAND}},
            {"tool": f"{OURS}validate", "input": {"source": "/cover"}},
            *mends,
            {"tool": f"{OURS}validate", "input": {"source": "/cover"}},
            {"tool": f"{OURS}load_command", "input": {"source": "/cover"}},
            {"tool": f"{OURS}run", "input": {"command": "/cover", "executor": "simulate", "wait_seconds": 30}},
            {"text": "The command is there."},
        ]


def typed(project: Path, environ: Mapping[str, str], *options: str) -> ClaudeRun:
    """The command, typed in Claude Code with our plugin."""
    return run_claude(
        f"/orchestration:new-command {SENTENCE}",
        project=project,
        environ={**environ, **uv_environment()},
        arguments=["--plugin-dir", str(ROOT), *options],
        timeout=120,
    )


def test_it_reads_and_checks_without_a_question_and_asks_before_it_writes_or_runs(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    """Claude Code itself asks before it writes in `.claude`."""
    path = str(project / ".claude" / "commands" / "v2" / "cover.yaml")
    steps: list[dict[str, Any]] = [
        {"tool": "Read", "input": {"file_path": f"{SKILL}/references/format.md"}},
        {"tool": f"{OURS}validate", "input": {"source": "/review-code"}},
        {"tool": f"{OURS}load_command", "input": {"source": "/review-code"}},
        {"tool": "Write", "input": {"file_path": path, "content": COMMAND}},
        {"tool": f"{OURS}run", "input": {"command": "/review-code", "executor": "simulate"}},
        {"text": "Done."},
    ]
    api.routes = [Route(match="<arguments>", steps=steps)]
    done = typed(project, environ)
    assert [denial["tool_name"] for denial in done.result["permission_denials"]] == ["Write", f"{OURS}run"]
    assert not Path(path).exists()


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_a_command_is_written_mended_planned_and_simulated(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    path = project / ".claude" / "commands" / "v2" / "cover.yaml"
    path.parent.mkdir(parents=True)
    api.routes = [Author(api, path)]
    done = typed(project, environ | ANY_USER, "--permission-mode", "bypassPermissions")  # a person who says yes to all
    assert done.exit_code == 0, done.stderr
    assert done.result["permission_denials"] == []
    last = [turn for turn in api.turns if "<arguments>" in turn.prompt][-1]
    assert f"<arguments>{SENTENCE}</arguments>" in last.prompt
    calls, results = conversation(last.messages)
    named = [name.removeprefix(OURS) for name, _ in calls]
    assert named == ["Read", "Write", "validate", "Edit", "Edit", "validate", "load_command", "run"]
    answers = dict(zip((f"{number} {name}" for number, name in enumerate(named)), results, strict=True))
    assert "# for-each" in answers["0 Read"]
    first, second, plan, run = (
        json.loads(answers[key]) for key in ("2 validate", "5 validate", "6 load_command", "7 run")
    )
    assert {problem["code"] for problem in first["errors"]} == {"UNKNOWN_DEPENDENCY", "UNKNOWN_PLACEHOLDER"}
    assert (second["valid"], second["errors"]) == (True, [])
    assert (plan["mostAttempts"], plan["phases"][1]["nodes"]) == (21, ["cover-file"])
    assert (run["state"], run["executor"]) == ("completed", "simulate")
    assert not api.turns_with("List the files without tests\n"), "no agent has worked"
