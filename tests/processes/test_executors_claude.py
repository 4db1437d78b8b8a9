"""The handling of the Claude Code process, with a stand-in for the program that behaves as oddly as a test wants."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.claude.prompt import LARGE_INPUT, MAX_ARGUMENT_LENGTH
from engine.executors.port import TIME_IS_UP, Outcome
from engine.model.agent import Agent, AgentSource
from tests.support.agents import write_program
from tests.support.orders import Beats, alive_with, order_for

pytestmark = pytest.mark.processes

PRELUDE = """
import json, os, sys
prompt = sys.stdin.read()
def say(message): print(json.dumps(message), flush=True)
def result(**fields): say({"type": "result", "is_error": False, "session_id": "s", **fields})
def options(): return dict(word.partition("=")[::2] for word in sys.argv[1:])
"""


async def run(
    code: str,
    folder: Path,
    *,
    agent: Agent | None = None,
    beats: Beats | None = None,
    **options: Any,  # noqa: ANN401
) -> Outcome:
    program = write_program(folder / "fake-claude", f"#!{sys.executable}\n{PRELUDE}{textwrap.dedent(code)}")
    order = order_for(agent or Agent(id="rev"), project=folder, **options)
    executor = ClaudeExecutor(str(program), environment={"ADDED": "1"})
    outcome = await asyncio.wait_for(executor.execute(order, beats or Beats()), 30)
    assert alive_with(order) == []
    assert list((folder / ".claude" / "orchestration" / "tmp").iterdir()) == []
    return outcome


async def test_what_the_agent_does_is_told_while_it_does_it(tmp_path: Path) -> None:
    beats = Beats()
    code = """
        for name, given in (("Read", {"file_path": os.getcwd() + "/a.py"}), ("Bash", {"command": "make"})):
            say({"type": "assistant", "message": {"content": [{"type": "tool_use", "name": name, "input": given}]}})
        result(structured_output={"outputs": {}})
        """
    assert (await run(code, tmp_path, beats=beats)).failure is None
    assert beats.actions == ["Starting rev", "Reading a.py", "Running make"]
    assert beats.count == 4


ANSWER_AND_STAY = """
import signal, subprocess, time
subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
say({"type": "system", "subtype": "init"})
result(structured_output={"outputs": {"n": 1}})
"""


async def test_an_answer_is_taken_and_what_claude_code_stays_for_is_ended(tmp_path: Path) -> None:
    outcome = await run(f"{ANSWER_AND_STAY}signal.pause()", tmp_path)
    assert outcome.outputs == {"n": 1}
    assert not outcome.in_time


async def test_a_turn_that_begins_after_the_answer_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.executors.claude.executor.PATIENCE", timedelta(milliseconds=300))
    outcome = await run(
        f"""{ANSWER_AND_STAY}
say({{"type": "system", "subtype": "init"}})
time.sleep(1)
result(structured_output={{"outputs": {{"n": 2}}}})
signal.pause()
""",
        tmp_path,
    )
    assert outcome.outputs == {"n": 2}


async def test_what_an_agent_may_keep_is_spared_when_its_answer_is_taken(tmp_path: Path) -> None:
    program = write_program(tmp_path / "fake-claude", f"#!{sys.executable}\n{PRELUDE}{ANSWER_AND_STAY}signal.pause()")
    order = order_for(Agent(id="rev", keep_processes=True), project=tmp_path)
    outcome = await asyncio.wait_for(ClaudeExecutor(str(program)).execute(order, Beats()), 30)
    left = alive_with(order)
    for process in left:
        process.kill()
    assert outcome.outputs == {"n": 1}
    assert [process.name() for process in left] == ["sleep"]


async def stopped(code: str, folder: Path, why: str | None) -> Outcome:
    """The outcome of an attempt that is cancelled in the turn after its first."""
    program = write_program(folder / "fake-claude", f"#!{sys.executable}\n{PRELUDE}{textwrap.dedent(code)}")
    order = order_for(Agent(id="rev"), project=folder)
    later = asyncio.Event()

    beats = Beats(lambda action, _said: later.set() if action == "Reading x" else None)
    running = asyncio.ensure_future(ClaudeExecutor(str(program)).execute(order, beats))
    await asyncio.wait_for(later.wait(), 20)
    running.cancel(why)
    try:
        return await asyncio.wait_for(running, 30)
    finally:
        assert alive_with(order) == []


WORK_ON = """
say({"type": "system", "subtype": "init"})
use = {"type": "tool_use", "id": "x", "name": "Read", "input": {"file_path": "x"}}
say({"type": "assistant", "message": {"content": [use]}})
signal.pause()
"""


async def test_an_answer_that_was_given_is_taken_when_the_time_is_up(tmp_path: Path) -> None:
    outcome = await stopped(ANSWER_AND_STAY + WORK_ON, tmp_path, TIME_IS_UP)
    assert outcome.outputs == {"n": 1}
    assert outcome.in_time


async def test_an_answer_is_dropped_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    with pytest.raises(asyncio.CancelledError):
        await stopped(ANSWER_AND_STAY + WORK_ON, tmp_path, None)


async def test_without_an_answer_the_time_is_just_up(tmp_path: Path) -> None:
    with pytest.raises(asyncio.CancelledError):
        await stopped("import signal" + WORK_ON, tmp_path, TIME_IS_UP)


async def test_the_prompt_is_not_in_the_arguments(tmp_path: Path) -> None:
    code = """
        assert "the secret task" in prompt and "SECRET-VALUE" in prompt
        assert not any("secret task" in word or "SECRET-VALUE" in word for word in sys.argv)
        result(structured_output={"outputs": {}})
        """
    outcome = await run(code, tmp_path, task="the secret task", inputs={"key": "SECRET-VALUE"})
    assert outcome.failure is None


async def test_a_large_input_is_a_private_file_for_the_time_of_the_attempt(tmp_path: Path) -> None:
    code = """
        import re
        path = re.search(r"JSON file (\\S+)", prompt)[1]
        mode = oct(os.stat(path).st_mode & 0o777)
        result(structured_output={"outputs": {"n": len(json.load(open(path))), "mode": mode}})
        """
    outcome = await run(code, tmp_path, inputs={"big": "x" * LARGE_INPUT})
    assert outcome.outputs == {"n": LARGE_INPUT, "mode": "0o600"}


async def test_an_agent_too_long_for_an_argument_is_given_in_a_file(tmp_path: Path) -> None:
    code = """
        agents = json.load(open(options()["--agents"]))
        result(structured_output={"outputs": {"n": len(agents["rev"]["prompt"])}})
        """
    outcome = await run(code, tmp_path, agent=Agent(id="rev", prompt="p" * MAX_ARGUMENT_LENGTH))
    assert outcome.outputs == {"n": MAX_ARGUMENT_LENGTH}


async def test_a_built_in_agent_is_only_named(tmp_path: Path) -> None:
    code = 'result(structured_output={"outputs": {"agent": options()["--agent"], "inline": "--agents" in options()}})'
    outcome = await run(code, tmp_path, agent=Agent(id="Explore", source=AgentSource.BUILTIN))
    assert outcome.outputs == {"agent": "Explore", "inline": False}


async def test_named_servers_are_given_in_a_private_file(tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text(
        json.dumps({"mcpServers": {"db": {"command": "db"}, "other": {"command": "o"}}})
    )
    code = """
        path = options()["--mcp-config"]
        result(structured_output={"outputs": {"n": json.load(open(path)), "mode": oct(os.stat(path).st_mode & 0o777)}})
        """
    outcome = await run(code, tmp_path, agent=Agent(id="rev", mcp_servers=("db",)))
    assert outcome.outputs == {"n": {"mcpServers": {"db": {"command": "db"}}}, "mode": "0o600"}


async def test_an_agent_has_our_environment_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    code = """
        names = ("CLAUDECODE", "ADDED", "MINE", "ORCHESTRATION_ATTEMPT")
        result(structured_output={"outputs": {name: os.environ[name] for name in names}})
        """
    outcome = await run(code, tmp_path, agent=Agent(id="rev", env={"MINE": "2"}))
    assert outcome.outputs == {"CLAUDECODE": "1", "ADDED": "1", "MINE": "2", "ORCHESTRATION_ATTEMPT": "r-1:check#1"}


async def test_an_agent_has_what_claude_in_a_terminal_has_but_no_token_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN", "seen")
    monkeypatch.setenv("ORCHESTRATION_HTTP_TOKEN", "ours")
    code = """
        names = ("MY_OWN", "ORCHESTRATION_HTTP_TOKEN")
        result(structured_output={"outputs": {name: os.environ.get(name) for name in names}})
        """
    outcome = await run(code, tmp_path)
    assert outcome.outputs == {"MY_OWN": "seen", "ORCHESTRATION_HTTP_TOKEN": None}


async def test_what_an_agent_says_of_a_secret_of_its_environment_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "not-of-any-form")
    code = """
        token = os.environ["DEPLOY_TOKEN"]
        say({"type": "assistant", "message": {"content": [{"type": "text", "text": "it is " + token}]}})
        result(structured_output={"outputs": {"n": "I used " + token}})
        """
    beats = Beats()
    outcome = await run(code, tmp_path, beats=beats)
    assert outcome.outputs == {"n": "I used [redacted]"}
    assert "it is [redacted]" in beats.said


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("print('<html>busy</html>')", "not stream-json: <html>busy</html>"),
        ("sys.exit('error: unknown option')", "unknown option"),
        ("os.write(1, b'\\xff\\x00\\n{broken')", "before it returned a result"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("", "nothing on stderr"),
    ],
)
async def test_a_program_that_ends_without_a_result_has_crashed(code: str, part: str, tmp_path: Path) -> None:
    failure = (await run(code, tmp_path)).failure
    assert failure is not None
    assert failure.code == "AGENT_CRASHED"
    assert part in failure.message


async def test_lines_that_are_no_messages_do_not_hide_the_result(tmp_path: Path) -> None:
    code = """
        print("warning: something"); say([1]); say({"type": None})
        result(structured_output={"outputs": {"n": 1}})
        print("trailing", end="")
        """
    assert (await run(code, tmp_path)).outputs == {"n": 1}


async def test_secrets_do_not_reach_the_failure(tmp_path: Path) -> None:
    code = """
        secret = "sk-ant-" + "a" * 30
        say({"type": "assistant", "message": {"content": [{"type": "text", "text": "the key is " + secret}]}})
        sys.exit("refused " + secret)
        """
    failure = (await run(code, tmp_path)).failure
    assert failure is not None
    assert "aaaa" not in f"{failure.message}{failure.partial}"
    assert "[redacted]" in failure.message


async def test_a_child_of_a_tool_does_not_outlive_the_answer(tmp_path: Path) -> None:
    code = """
        import subprocess
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        result(structured_output={"outputs": {"n": 1}})
        """
    assert (await run(code, tmp_path)).outputs == {"n": 1}


async def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    program = write_program(tmp_path / "claude", "\0")
    outcome = await ClaudeExecutor(str(program)).execute(order_for(Agent(id="a"), project=tmp_path), Beats())
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.begun) == ("PROGRAM_NOT_STARTED", False)


async def test_a_project_in_which_no_file_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".claude").write_text("")
    order = order_for(Agent(id="a"), project=tmp_path)
    outcome = await ClaudeExecutor(sys.executable).execute(order, Beats())
    assert outcome.failure is not None
    assert outcome.failure.code == "ENVIRONMENT"
