from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from engine.executors.claude.result import judge
from engine.executors.claude.session import Session
from tests.support.claude_code import (
    VERSIONS,
    Version,
    claude,
    environment,
    processes_marked,
    run_claude,
    wait_until_gone,
)
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.node_tools import ROOT
from tests.support.record_claude_results import JUDGED, RESULTS, SCENARIOS, play

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_program_still_ends_as_recorded(name: str, tmp_path: Path) -> None:
    run = play(SCENARIOS[name], folder=tmp_path)
    recorded = [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [message["type"] for message in run.messages] == [message["type"] for message in recorded]
    assert run.exit_code == SCENARIOS[name].exit_code
    fresh, old = run.result, recorded[-1]
    assert {key: fresh.get(key) for key in JUDGED if key != "result"} == {
        key: old.get(key) for key in JUDGED if key != "result"
    }
    assert [denial["tool_name"] for denial in fresh["permission_denials"]] == [
        denial["tool_name"] for denial in old["permission_denials"]
    ]


def pinned(version: Version) -> str:
    """The version of Claude Code that package.json asks for, where the Agent SDK's third number is that of its own."""
    asked = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    if version == "legacy":
        return str(asked["claude-code-legacy"].rpartition("@")[2])
    return f"2.1.{asked['@anthropic-ai/claude-agent-sdk'].rpartition('.')[2]}"


@pytest.mark.parametrize("version", VERSIONS)
def test_each_program_is_the_one_that_is_pinned_and_first_on_the_path(version: Version, tmp_path: Path) -> None:
    environ = environment(home=tmp_path, api_url="http://127.0.0.1:9", version=version)
    command = [shutil.which("claude", path=environ["PATH"]) or "", "--version"]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=50, check=True).stdout
    assert told.split()[0] == pinned(version)


@pytest.mark.parametrize("name", ["structured_invalid", "denied_tool", "overloaded"])
def test_the_older_program_words_its_end_otherwise_and_it_is_judged_the_same(name: str, tmp_path: Path) -> None:
    run = play(SCENARIOS[name], folder=tmp_path, version="legacy")
    recorded = [json.loads(line) for line in (RESULTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    sessions = (Session(messages=run.messages), Session(messages=recorded))
    outcomes = [judge(session, exit_code=run.exit_code, stderr="") for session in sessions]
    fresh, old = (outcome.failure for outcome in outcomes)
    assert fresh is not None
    assert old is not None
    assert (fresh.kind, fresh.code, fresh.hint) == (old.kind, old.code, old.hint)


def test_every_scenario_is_recorded() -> None:
    assert {path.stem for path in RESULTS.glob("*.jsonl")} == set(SCENARIOS)


def test_a_prompt_carries_its_own_script(api: FakeMessagesApi, project: Path, environ: dict[str, str]) -> None:
    (project / "note.txt").write_text("the cat is out", encoding="utf-8")
    steps = [{"tool": "Read", "input": {"file_path": str(project / "note.txt")}}, {"echo_last": True}]
    run = run_claude(f"read it <<fake {json.dumps(steps)}>>", project=project, environ=environ)
    assert "the cat is out" in run.result["result"]
    assert len(run.tool_results) == 1
    assert len(api.turns) == 2


def test_each_session_of_a_route_plays_its_own_attempt(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    api.routes = [Route(match="paint the fence", attempts=[[{"error": 529}], [{"text": "painted"}]])]
    outcomes = [run_claude("paint the fence", project=project, environ=environ).result for _ in range(3)]
    assert [outcome["is_error"] for outcome in outcomes] == [True, False, False]
    assert len(api.turns_with("paint the fence")) == 3


def test_nothing_is_left_of_a_program_that_was_killed_in_a_hanging_turn(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    api.routes = [Route(match="wait for me", steps=[{"hang": True}])]
    marked = {**environ, "HARNESS_TEST_MARK": project.as_posix()}
    with claude("wait for me", project=project, environ=marked) as process:
        api.wait_until(lambda: len(api.turns_with("wait for me")) == 1)
        assert process.pid in [found.pid for found in processes_marked("HARNESS_TEST_MARK", project.as_posix())]
    assert wait_until_gone("HARNESS_TEST_MARK", project.as_posix()) == []


def test_a_living_process_is_found_by_its_mark(tmp_path: Path) -> None:
    command = ["python3", "-c", "print(flush=True); input()"]
    marked = {"HARNESS_TEST_MARK": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=marked, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs now: before, its environment may not be readable yet
        assert [found.pid for found in processes_marked("HARNESS_TEST_MARK", str(tmp_path))] == [process.pid]
        assert processes_marked("HARNESS_TEST_MARK", "another value") == []
        process.communicate(b"\n", timeout=10)
    assert processes_marked("HARNESS_TEST_MARK", str(tmp_path)) == []


def test_a_scripted_call_that_comes_before_the_server_is_made_again(api: FakeMessagesApi) -> None:
    steps = [{"tool": "mcp__orchestration__run", "input": {}}, {"text": "done"}]
    conversation: list[dict[str, Any]] = [{"role": "user", "content": f"<<fake {json.dumps(steps)}>>"}]
    refused = "<tool_use_error>Error: No such tool available: mcp__orchestration__run</tool_use_error>"
    for answer in (refused, refused, "{}"):
        turn = httpx2.post(f"{api.url}/v1/messages", json={"messages": conversation}, timeout=30).json()
        [call] = turn["content"]
        assert call["name"] == "mcp__orchestration__run"
        told = {"type": "tool_result", "tool_use_id": call["id"], "content": answer}
        conversation += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [told]}]
    last = httpx2.post(f"{api.url}/v1/messages", json={"messages": conversation}, timeout=30).json()
    assert last["content"] == [{"type": "text", "text": "done"}]
