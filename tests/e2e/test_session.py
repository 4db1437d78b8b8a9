"""A person at Claude Code: types a command, watches the todos, presses Esc, loses the session, goes on in another."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.cli.sync import synchronise
from registry.catalog import Catalog
from tests.e2e.test_review_code import (
    AGENTS,
    MARK,
    PROGRAMS,
    ROOT,
    TASKS,
    answer,
    arguments,
    calling,
    newest_status,
    route,
)
from tests.support.claude_code import program, wait_until_gone
from tests.support.fake_messages_api import FakeMessagesApi, Route, came_too_early
from tests.support.terminal import accept_first_screens, terminal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.terminal import Terminal

TASK_TOOLS = {"CLAUDE_CODE_ENABLE_TODO_TOOLS": "1"}
TODO_WRITE = {"CLAUDE_CODE_ENABLE_TASKS": "0", **TASK_TOOLS}
RUN, STATUS = "mcp__orchestration__run", "mcp__orchestration__status"
DONE = "That was the review."
PROMPT = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT}"
"""Where Claude Code lets one type."""
TICK, WORKS = "\N{HEAVY CHECK MARK}", "\N{BLACK MEDIUM SQUARE}"
"""Stand before a task that is done, and before one that is worked on."""


@pytest.fixture
def review(project: Path, environ: dict[str, str]) -> Path:
    """A project with the guide's command, its agents, our server, and the skills that `orchestrate sync` writes."""
    command = project / ".claude" / "commands" / "v2" / "review-code.json"
    command.parent.mkdir(parents=True)
    shutil.copy(ROOT / ".claude" / "commands" / "v2" / "review-code.json", command)
    (project / ".claude" / "agents").mkdir()
    for name in AGENTS:
        shutil.copy(ROOT / ".claude" / "agents" / f"{name}.md", project / ".claude" / "agents")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    assert list(synchronise(project, Catalog(project)))
    accept_first_screens(Path(environ["HOME"]), project)
    return project


class Model(Route):
    """A model that runs what was typed, passes each todo list to TodoWrite as it is, and waits with `status`."""

    def __init__(self, api: FakeMessagesApi, **options: object) -> None:
        super().__init__(match="<arguments>")
        self.__dict__.update(api=api, options=options)

    def steps_of(self, attempt: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - it reads the conversation itself
        turn = [turn for turn in self.__dict__["api"].turns if self.match in turn.prompt][-1]
        calls, results = conversation(turn.messages)
        if not calls:
            typed = turn.prompt.split("<arguments>")[1].split("</arguments>")[0]
            given = {"command": "/review-code", "arguments": typed, **self.__dict__["options"]}
            return [{"tool": RUN, "input": given}]
        told = [json.loads(result) for (name, _), result in zip(calls, results, strict=False) if name in {RUN, STATUS}]
        if calls[-1][0] != "TodoWrite":
            return [{"tool": "TodoWrite", "input": told[-1]["todos"]}]
        if told[-1]["state"] == "running":
            return [{"tool": STATUS, "input": {"run_id": told[-1]["runId"], "wait_seconds": 30}}]
        return [{"text": DONE}]


class TaskModel(Model):
    """A model that keeps the session's tasks by the calls that `status` gives it."""

    def steps_of(self, attempt: int) -> Sequence[Mapping[str, Any]]:
        turn = [turn for turn in self.__dict__["api"].turns if self.match in turn.prompt][-1]
        calls, results = conversation(turn.messages)
        if not calls:
            return super().steps_of(attempt)
        newest = max(place for place, (name, _) in enumerate(calls) if name in {RUN, STATUS})
        told = json.loads(results[newest])
        made = {name for name, _ in calls[newest + 1 :]}
        creates = [line["create"] for line in told.get("tasks", []) if "create" in line]
        if creates and "TaskCreate" not in made:
            return [{"tools": [{"tool": "TaskCreate", "input": create} for create in creates]}]
        ids = ids_of(calls, results)
        updates = [
            {"taskId": ids[line["task"]], **line["update"]} for line in told.get("tasks", []) if "update" in line
        ]
        if updates and "TaskUpdate" not in made:
            return [{"tools": [{"tool": "TaskUpdate", "input": update} for update in updates]}]
        if calls[newest][0] == STATUS and told["state"] != "running":
            return [{"text": DONE}]
        waiting = {} if calls[newest][0] == RUN else {"wait_seconds": 30}
        return [{"tool": STATUS, "input": {"run_id": told["runId"], "view": "todos", **waiting}}]


def ids_of(calls: Sequence[tuple[str, Mapping[str, Any]]], results: Sequence[str]) -> dict[str, str]:
    """The ids that TaskCreate gave, by subject."""
    created = ((given, result) for (name, given), result in zip(calls, results, strict=True) if name == "TaskCreate")
    return {given["subject"]: re.findall(r"#(\d+)", result)[0] for given, result in created}


WAIT = {"tool": RUN, "input": {"command": "/review-code", "wait_seconds": 1}}


def conversation(messages: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """The tool calls of a conversation, and the texts that answered them; those apart that came before the server."""
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    early = {block["tool_use_id"] for block in blocks if came_too_early(block)}
    used = [block for block in blocks if block.get("type") == "tool_use" and block["id"] not in early]
    answers = [block for block in blocks if block.get("type") == "tool_result" and block["tool_use_id"] not in early]
    results = [text_of(block["content"]) for block in answers]
    assert not [block for block in answers if block.get("is_error")], results
    calls = [(block["name"], block["input"]) for block in used]
    return calls, results


def text_of(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@contextlib.contextmanager
def session(project: Path, environ: Mapping[str, str]) -> Iterator[Terminal]:
    """Claude Code as a person starts it."""
    tools = ["TodoWrite", "TaskCreate", "TaskUpdate", "mcp__orchestration__resume"]
    command = [str(program()), *arguments(project), *tools]
    with terminal(command, folder=project, environ=environ) as found:
        found.wait_for(PROMPT)
        yield found


def enter(found: Terminal, text: str) -> None:
    found.type(text)
    found.wait_for(text[:40])
    found.press("Enter")


def state(project: Path, environ: Mapping[str, str]) -> str:
    with contextlib.suppress(subprocess.CalledProcessError):
        return str(newest_status(project, environ)["state"])
    return "none"


def test_a_typed_command_runs_and_the_todo_list_moves(
    api: FakeMessagesApi, review: Path, environ: dict[str, str]
) -> None:
    model = Model(api)
    api.routes = [*(route(node, answer(node, delay=1)) for node in TASKS), model]
    with session(review, {**environ, **TODO_WRITE}) as found:
        enter(found, "/review-code focus on auth")
        found.wait_for("Phase 1/3 Code Analysis")
        found.wait_for(DONE, timeout=90)
    last = [turn for turn in api.turns if model.match in turn.prompt][-1]
    calls, results = conversation(last.messages)
    assert next(given for name, given in calls if name == RUN)["arguments"] == "focus on auth"
    lists = [[todo["status"] for todo in given["todos"]] for name, given in calls if name == "TodoWrite"]
    accepted = [result for (name, _), result in zip(calls, results, strict=True) if name == "TodoWrite"]
    assert all("modified successfully" in result for result in accepted)
    done = [statuses.count("completed") for statuses in lists]
    assert done == sorted(done)
    assert done[0] == 0
    assert lists[-1] == ["completed"] * 4
    assert any("in_progress" in statuses for statuses in lists)


def test_the_list_of_tasks_on_the_screen_moves(api: FakeMessagesApi, review: Path, environ: dict[str, str]) -> None:
    model = TaskModel(api)
    api.routes = [*(route(node, answer(node, delay=2)) for node in TASKS), model]
    with session(review, {**environ, **TASK_TOOLS}) as found:
        enter(found, "/review-code focus on auth")
        found.wait_for(f"{WORKS} Analyze code structure")
        screen = found.wait_for(f"{WORKS} Review security")
        assert f"{TICK} Analyze code structure" in screen
        assert f"{WORKS} Review code quality" in screen
        assert "ctrl+t to hide tasks" in screen
        found.wait_for("4/4 tasks done", timeout=90)
    last = [turn for turn in api.turns if model.match in turn.prompt][-1]
    made = [(name, json.dumps(given)) for name, given in conversation(last.messages)[0] if name.startswith("Task")]
    assert [name for name, _ in made].count("TaskCreate") == 4
    assert len(set(made)) == len(made)


def test_escape_cancels_the_run(api: FakeMessagesApi, review: Path, environ: dict[str, str]) -> None:
    api.routes = [route("analyzer", {"hang": True}), Model(api, wait_seconds=600)]
    with session(review, {**environ, **TODO_WRITE}) as found:
        enter(found, "/review-code")
        api.wait_until(lambda: bool(api.turns_with(TASKS["analyzer"][0])), timeout=40)
        found.press("Escape")
        wait_until(lambda: state(review, environ), lambda seen: seen == "cancelled")


def test_a_run_that_is_waited_for_goes_on_in_the_background_and_claude_is_told_its_end(
    api: FakeMessagesApi, review: Path, environ: dict[str, str]
) -> None:
    model = Route(match="<arguments>", steps=[WAIT, {"text": "It runs."}, {"text": DONE}])
    api.routes = [*(route(node, answer(node, delay=1)) for node in TASKS), model]
    with session(review, environ) as found:
        enter(found, "/review-code focus on auth")
        found.wait_for("1 MCP task")
        found.wait_for(DONE, timeout=90)
    last = [turn for turn in api.turns if model.match in turn.prompt][-1]
    assert "moved to the background" in conversation(last.messages)[1][0]
    told = json.dumps(last.messages).partition("<task-notification>")[2]
    assert "report-generator says so" in told
    assert "Present the outputs to the user." in told


def test_stopping_the_background_task_cancels_the_run(
    api: FakeMessagesApi, review: Path, environ: dict[str, str]
) -> None:
    api.routes = [route("analyzer", {"hang": True}), Route(match="<arguments>", steps=[WAIT, {"text": "It runs."}])]
    with session(review, environ) as found:
        enter(found, "/review-code")
        api.wait_until(lambda: bool(api.turns_with(TASKS["analyzer"][0])), timeout=40)
        found.wait_for("1 MCP task")
        found.press("Down")
        found.wait_for("to view tasks")
        found.press("Enter")
        found.wait_for("Phase 1/3 Code Analysis")
        found.press("x")
        wait_until(lambda: state(review, environ), lambda seen: seen == "cancelled")


def test_another_session_goes_on_with_a_run_whose_session_was_killed(
    api: FakeMessagesApi, review: Path, environ: dict[str, str]
) -> None:
    marked = {**environ, **TODO_WRITE, MARK: review.as_posix()}
    api.routes = [
        route("analyzer", answer("analyzer")),
        Route(match=TASKS["quality-review"][0], attempts=[[{"hang": True}], [answer("quality-review")]]),
        route("security-review", answer("security-review")),
        route("report-generator", answer("report-generator")),
        Model(api),
    ]
    with session(review, marked) as found:
        enter(found, "/review-code")
        api.wait_until(lambda: bool(api.turns_with(TASKS["quality-review"][0])), timeout=60)
        os.kill(found.process(), signal.SIGKILL)
        assert wait_until_gone(MARK, marked[MARK], timeout=30) == []
    assert state(review, environ) == "interrupted"
    run_id = newest_status(review, environ)["runId"]
    steps: list[dict[str, Any]] = [
        {"tool": "mcp__orchestration__resume", "input": {"run_id": run_id}},
        *({"tool": STATUS, "input": {"run_id": run_id, "wait_seconds": 30}} for _ in range(3)),
    ]
    with session(review, marked) as found:
        enter(found, calling(*steps))
        wait_until(lambda: state(review, environ), lambda seen: seen == "completed", timeout=60)
    analyzers = {turn.session for turn in api.turns_with(TASKS["analyzer"][0]) if "StructuredOutput" in turn.tools}
    assert len(analyzers) == 1
