"""The Claude executor with the real program against a scripted model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.port import Outcome, OutputSpec, WorkOrder
from engine.ids import session_id
from engine.model.agent import Agent, AgentSource
from engine.model.policy import FailureKind
from registry.agents.format import read_agent
from tests.support.claude_code import VERSIONS
from tests.support.fake_messages_api import FakeMessagesApi, Route, Step
from tests.support.orders import Beats, alive_with, order_for
from tests.support.repositories import git

TASK = "Count the beans"
ANSWER: Step = {"structured": {"outputs": {"n": 3}}}
COUNT = (OutputSpec(key="n", schema={"type": "integer", "format": "int32", "x-unit": "beans"}),)


@pytest.fixture
def executor(environ: dict[str, str]) -> ClaudeExecutor:
    return ClaudeExecutor(shutil.which("claude", path=environ["PATH"]), environment=environ)


def order(project: Path, agent: Agent, **options: object) -> WorkOrder:
    return order_for(agent, project=project, task=TASK, outputs=COUNT, **options)  # type: ignore[arg-type]


async def run(executor: ClaudeExecutor, given: WorkOrder, beats: Beats | None = None) -> Outcome:
    outcome = await asyncio.wait_for(executor.execute(given, beats or Beats()), 50)
    assert alive_with(given) == []
    return outcome


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_an_agent_of_ours_works_with_its_prompt_its_model_and_its_tools(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    (project / "beans.txt").write_text("three", encoding="utf-8")
    api.routes = [Route(match=TASK, steps=[{"tool": "Read", "input": {"file_path": f"{project}/beans.txt"}}, ANSWER])]
    agent = Agent(id="counter", prompt="You count beans.", tools=("Read",), model="haiku", max_turns=5, effort="low")
    beats = Beats()
    given = order(project, agent, inputs={"where": "beans.txt"})
    outcome = await run(executor, given, beats)
    assert outcome.failure is None
    assert outcome.outputs == {"n": 3}
    assert outcome.usage is not None
    assert outcome.usage.cost_usd
    turn = api.turns[0]
    assert turn.session == session_id(given.attempt)
    assert "You count beans." in turn.prompt
    assert '"beans.txt"' in turn.prompt
    assert "haiku" in turn.body["model"]
    assert {"Read", "StructuredOutput"} <= set(turn.tools)
    assert not {"Bash", "Write", "Edit"} & set(turn.tools)
    assert "Reading beans.txt" in beats.actions


def guarded(tmp_path: Path, fields: str) -> Agent:
    """The agent of a file with these *fields*."""
    text = f"---\nname: counter\ndescription: Counts.\n{fields}\n---\nYou count beans."
    agent, problems = read_agent(text, path=str(tmp_path / "counter.md"), stem="counter", source=AgentSource.PROJECT)
    assert problems == ()
    assert agent is not None
    return agent


SHELL: Step = {"tool": "Bash", "input": {"command": "touch made", "description": "x"}}
REFUSE = "type: command, command: 'touch hooked; echo not that >&2; exit 2', timeout: 20"


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_a_hook_of_an_agents_file_guards_it(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path, tmp_path: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[SHELL, ANSWER])]
    agent = guarded(tmp_path, f"tools: Bash\nhooks:\n  PreToolUse:\n    - matcher: Bash\n      hooks: [{{{REFUSE}}}]")
    outcome = await run(executor, order(project, agent))
    assert outcome.failure is not None
    assert outcome.failure.code == "PERMISSION_DENIED", "as any tool that is denied"
    assert (project / "hooked").exists()
    assert not (project / "made").exists()
    assert "not that" in json.dumps(api.turns[1].messages)


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
@pytest.mark.parametrize(
    ("fields", "tools", "said"),
    [
        ("tools:", {"StructuredOutput"}, ""),
        ("tools: []", {"StructuredOutput"}, ""),
        ("tools: Bash\npermissionMode: manual", {"StructuredOutput", "Bash"}, ""),
        ("tools: Bash\nmemory: project", {"StructuredOutput", "Bash", "Read", "Write", "Edit"}, "agent-memory/counter"),
        ("tools: Bash\ninitialPrompt: First look around.", {"StructuredOutput", "Bash"}, "First look around."),
        (
            (
                "tools: Bash\nbackground: true\nomitClaudeMd: true\nautoCompactWindow: 100000\ncolor: red\n"
                "observer: x\nobserverMessage: y\nobserveSubagents: false\nobserveToolResults: false\neffort: low"
            ),
            {"StructuredOutput", "Bash"},
            "",
        ),
    ],
)
async def test_fields_of_an_agents_file_have_the_effect_that_they_have_in_claude_code(
    fields: str,
    tools: set[str],
    said: str,
    *,
    api: FakeMessagesApi,
    executor: ClaudeExecutor,
    project: Path,
    tmp_path: Path,
) -> None:
    api.routes = [Route(match=TASK, steps=[ANSWER])]
    outcome = await run(executor, order(project, guarded(tmp_path, fields)))
    assert outcome.outputs == {"n": 3}
    assert set(api.turns[0].tools) - {"DeferredToolPlaceholder"} == tools
    assert said in json.dumps(api.turns[0].body)


async def test_a_pattern_that_a_file_disallows_takes_the_whole_tool_away(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path, tmp_path: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[ANSWER])]
    outcome = await run(executor, order(project, guarded(tmp_path, "disallowedTools: Bash(rm *, rmdir *), Write")))
    assert outcome.outputs == {"n": 3}
    assert not {"Bash", "Write"} & set(api.turns[0].tools)


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
@pytest.mark.parametrize(("fields", "leaves"), [("model: haiku", False), ("tools: EnterWorktree", True)])
async def test_an_agent_stays_in_the_folder_of_its_run_unless_its_file_names_the_tool_for_another(
    fields: str, *, leaves: bool, api: FakeMessagesApi, executor: ClaudeExecutor, project: Path, tmp_path: Path
) -> None:
    git(project, "init", "--quiet")
    git(project, "commit", "--quiet", "--allow-empty", "--message=Begin")
    api.routes = [Route(match=TASK, steps=[{"tool": "EnterWorktree", "input": {"name": "own"}}, ANSWER])]
    await run(executor, order(project, guarded(tmp_path, fields)))
    assert (project / ".claude/worktrees/own").exists() is leaves


async def test_a_server_that_an_agents_file_defines_is_started_for_it(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path, tmp_path: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[ANSWER])]
    server = "{command: sh, args: ['-c', 'echo $PORT > served'], env: {PORT: 80}}"
    outcome = await run(executor, order(project, guarded(tmp_path, f"tools: Bash\nmcpServers:\n  - own: {server}")))
    assert outcome.outputs == {"n": 3}
    assert (project / "served").read_text() == "80\n"


async def test_an_agent_that_claude_code_has_built_in_is_started_by_its_name(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[ANSWER])]
    outcome = await run(executor, order(project, Agent(id="Explore", source=AgentSource.BUILTIN)))
    assert outcome.outputs == {"n": 3}
    assert "Write" not in api.turns[0].tools


async def test_a_large_input_may_be_read_without_being_asked(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    def steps_of_prompt() -> list[Step]:
        prompt = api.turns[0].prompt
        path = prompt.partition("JSON file ")[2].split()[0]
        return [{"tool": "Read", "input": {"file_path": path}}, ANSWER]

    class Late(Route):
        def steps_of(self, attempt: int) -> list[Step]:  # noqa: ARG002 -- the path is known only when the prompt is
            return steps_of_prompt()

    api.routes = [Late(match=TASK)]
    outcome = await run(executor, order(project, Agent(id="counter", tools=("Read",)), inputs={"big": "bean " * 8000}))
    assert outcome.failure is None
    assert "bean bean" in json.dumps(api.turns[1].messages)


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ({"error": 429, "type": "rate_limit_error"}, FailureKind.ERROR, "RATE_LIMIT"),
        ({"error": 529, "type": "overloaded_error"}, FailureKind.ERROR, "OVERLOADED"),
        ({"error": 401, "type": "authentication_error"}, FailureKind.ERROR, "AUTHENTICATION"),
        (
            {"structured": {"failure": {"kind": "validation", "code": "NO_BEANS", "message": "none"}}},
            FailureKind.VALIDATION,
            "NO_BEANS",
        ),
        ({"text": "three, I think"}, FailureKind.VALIDATION, "NO_STRUCTURED_OUTPUT"),
    ],
)
async def test_a_failure_is_told_by_its_cause(
    step: Step, kind: FailureKind, code: str, *, api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[step])]
    failure = (await run(executor, order(project, Agent(id="counter", tools=("Read",))))).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, code)


async def test_a_tool_that_nobody_allowed_is_denied_and_fails_the_attempt(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    steps: list[Step] = [{"tool": "Bash", "input": {"command": "touch made", "description": "x"}}, ANSWER]
    api.routes = [Route(match=TASK, steps=steps)]
    agent = Agent(id="counter", permission_mode="bypassPermissions")
    failure = (await run(executor, order(project, agent))).failure
    assert failure is not None
    assert failure.code == "PERMISSION_DENIED"
    assert "Bash" in failure.message
    assert not (project / "made").exists()


async def test_a_tool_that_the_file_names_needs_no_question(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    steps: list[Step] = [{"tool": "Bash", "input": {"command": "touch made", "description": "x"}}, ANSWER]
    api.routes = [Route(match=TASK, steps=steps)]
    outcome = await run(executor, order(project, Agent(id="counter", tools=("Bash(touch *)",))))
    assert outcome.failure is None
    assert (project / "made").exists()


STAY = {"tool": "Bash", "input": {"command": "touch began; sleep 600", "description": "x", "run_in_background": True}}


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_an_answer_is_taken_though_a_shell_in_the_background_keeps_claude_code(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[STAY, ANSWER])]
    outcome = await run(executor, order(project, Agent(id="counter", tools=("Bash",))))
    assert outcome.outputs == {"n": 3}
    assert (project / "began").exists()


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_an_answer_is_not_lost_by_an_error_of_the_turn_after_it(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    brief = {"command": "until test -e on; do sleep 0.1; done", "description": "x", "run_in_background": True}
    failing: Step = {"error": 400, "type": "invalid_request_error"}

    class Telling(Route):
        """The shell in the background ends as soon as the answer was given."""

        def steps_of(self, attempt: int) -> list[Step]:  # noqa: ARG002 -- one session
            if len(api.turns) == 2:
                (project / "on").touch()
            return [{"tool": "Bash", "input": brief}, ANSWER, failing]

    api.routes = [Telling(match=TASK)]
    outcome = await run(executor, order(project, Agent(id="counter", tools=("Bash",))))
    assert len(api.turns) > 2
    assert outcome.outputs == {"n": 3}


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_an_answer_counts_in_the_turn_that_crosses_the_budget(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    dear = {"usage": {"input_tokens": 10_000_000, "output_tokens": 1000}}
    api.routes = [Route(match=TASK, steps=[{**ANSWER, **dear}])]
    outcome = await run(executor, order(project, Agent(id="counter", max_budget_usd=0.5)))
    assert outcome.outputs == {"n": 3}
    assert outcome.usage is not None
    assert (outcome.usage.cost_usd or 0) > 0.5
    api.routes = [Route(match=TASK, steps=[{**SHELL, **dear}, ANSWER])]
    failure = (
        await run(executor, order(project, Agent(id="counter", max_budget_usd=0.5, tools=("Bash",)), number=2))
    ).failure
    assert failure is not None
    assert failure.code == "BUDGET_EXCEEDED"


async def test_an_agent_that_does_not_come_to_an_end_is_stopped_by_its_turns(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    api.routes = [Route(match=TASK, steps=[{"tool": "Glob", "input": {"pattern": "*"}}])]
    failure = (await run(executor, order(project, Agent(id="counter", max_turns=2)))).failure
    assert failure is not None
    assert failure.code == "MAX_TURNS"


async def test_a_cancel_ends_the_program_and_what_its_tools_started(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    command = "(setsid sleep 600 &) ; touch started ; sleep 600"
    api.routes = [Route(match=TASK, steps=[{"tool": "Bash", "input": {"command": command, "description": "x"}}])]
    given = order(project, Agent(id="counter", tools=("Bash",)))
    running = asyncio.ensure_future(executor.execute(given, Beats()))
    names: set[str] = set()
    deadline = asyncio.get_running_loop().time() + 40
    while not ({"sleep"} <= names and (project / "started").exists()):
        assert asyncio.get_running_loop().time() < deadline, f"only {names} were started"
        await asyncio.wait([running], timeout=timedelta(milliseconds=100).total_seconds())
        assert not running.done()
        for process in alive_with(given):
            with contextlib.suppress(psutil.NoSuchProcess):  # Claude Code starts some for a moment
                names.add(process.name())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 20)
    assert alive_with(given) == []
    assert list((project / ".claude" / "orchestration" / "tmp").iterdir()) == []


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
async def test_the_log_shows_what_the_agent_and_its_subagent_said_and_did(
    api: FakeMessagesApi, executor: ClaudeExecutor, project: Path
) -> None:
    (project / "beans.txt").write_text("three beans", encoding="utf-8")
    delegate: Step = {
        "tool": "Agent",
        "input": {"description": "Look", "prompt": "Read the beans", "subagent_type": "Explore"},
    }
    read: Step = {"tool": "Read", "input": {"file_path": f"{project}/beans.txt"}}
    api.routes = [
        Route(match="Read the beans", steps=[read, {"text": "I saw three"}]),
        Route(match=TASK, steps=[delegate, ANSWER]),
    ]
    beats = Beats()
    outcome = await run(executor, order(project, Agent(id="counter", tools=("Agent", "Read"))), beats)
    assert outcome.failure is None
    lines = [(line.kind.value, line.text, line.by) for line in beats.log]
    assert ("did", "Delegating: Look", "") in lines
    assert ("did", "Reading beans.txt", "Explore") in lines
    assert any(kind == "result" and "three beans" in text and by == "Explore" for kind, text, by in lines)
    assert any("I saw three" in text for _, text, _ in lines), lines
