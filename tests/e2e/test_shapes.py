"""Lists and loops whose agents are the real Claude Code, in a session that is killed and gone on with in another."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_server.cli.sync import synchronise
from registry.catalog import Catalog
from tests.e2e.test_review_code import MARK, PROGRAMS, calling, newest_status
from tests.e2e.test_session import STATUS, TODO_WRITE, Model, conversation, enter, session, state
from tests.support.claude_code import wait_until_gone
from tests.support.definitions import command, node, phase
from tests.support.fake_messages_api import FakeMessagesApi, Route, Step
from tests.support.terminal import accept_first_screens, wait_until

if TYPE_CHECKING:
    from tests.support.definitions import Raw


FILES = ("alpha.py", "beta.py", "gamma.py", "delta.py")
STRINGS = {"type": "array", "items": {"type": "string"}}
PASSED = {"type": "object", "required": ["passed"], "properties": {"passed": {"type": "boolean"}}}


def write_project(project: Path, environ: dict[str, str], *nodes: Raw) -> None:
    """A project with one agent, a command of *nodes* for it, our server, and the skill of the command."""
    raw = command(phase("work", *nodes), name="/work")
    file = project / ".claude" / "commands" / "v2" / "work.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(raw), encoding="utf-8")
    (project / ".claude" / "agents").mkdir()
    agent = "---\nname: worker\ndescription: Works.\ntools: Read\n---\nYou work."
    (project / ".claude" / "agents" / "worker.md").write_text(agent, encoding="utf-8")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    assert list(synchronise(project, Catalog(project)))
    accept_first_screens(Path(environ["HOME"]), project)


def gives(**outputs: object) -> Step:
    return {"structured": {"outputs": outputs}}


def asked(api: FakeMessagesApi, task: str) -> int:
    """The agents that were started for *task*."""
    return len({turn.session for turn in api.turns_with(task) if "StructuredOutput" in turn.tools})


def todo_lists(api: FakeMessagesApi) -> list[list[str]]:
    """The texts of each list that Claude Code has shown, as they are while somebody works on them."""
    turns = [turn for turn in api.turns if "<arguments>" in turn.prompt]
    calls = conversation(turns[-1].messages)[0] if turns else []
    return [[todo["activeForm"] for todo in given["todos"]] for name, given in calls if name == "TodoWrite"]


def killed_and_resumed(
    api: FakeMessagesApi, project: Path, environ: dict[str, str], *, task: str, until: str
) -> dict[str, Any]:
    """What is told of the run in the end: its session is killed once an agent has *task* and the list says *until*."""
    marked = {**environ, **TODO_WRITE, MARK: project.as_posix()}
    with session(project, marked) as found:
        enter(found, "/work")
        api.wait_until(lambda: bool(api.turns_with(task)), timeout=60)
        api.wait_until(lambda: any(until in todo for todos in todo_lists(api) for todo in todos), timeout=60)
        os.kill(found.process(), signal.SIGKILL)
        assert wait_until_gone(MARK, marked[MARK], timeout=30) == []
    assert state(project, environ) == "interrupted"
    run_id = newest_status(project, environ)["runId"]
    steps: list[dict[str, Any]] = [
        {"tool": "mcp__orchestration__resume", "input": {"run_id": run_id}},
        *({"tool": STATUS, "input": {"run_id": run_id, "wait_seconds": 30}} for _ in range(3)),
    ]
    with session(project, marked) as found:
        enter(found, calling(*steps))
        wait_until(lambda: state(project, environ), lambda seen: seen == "completed", timeout=60)
    return newest_status(project, environ)


def test_a_list_whose_session_was_killed_does_each_item_once(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    find = node("find", task="List the files", context={"outputs": [{"key": "files", "schema": STRINGS}]})
    cover = node("cover", "find", task="Write the tests of ${file}")
    cover["forEach"] = {"items": "files", "as": "file", "key": "$", "maxItems": 9, "maxParallelism": 2}
    cover["context"] = {"inputs": [{"key": "files"}], "outputs": [{"key": "covered", "persist": True}]}
    write_project(project, environ, find, cover)
    answers = {name: [gives(covered=f"{name} is covered")] for name in FILES}
    hangs: list[list[Step]] = [[{"hang": True}], answers["beta.py"]]
    api.routes = [
        Route(match="List the files", steps=[gives(files=list(FILES))]),
        *(
            Route(match=f"Write the tests of {name}", attempts=hangs if name == "beta.py" else [answers[name]])
            for name in FILES
        ),
        Model(api, command="/work"),
    ]
    told = killed_and_resumed(api, project, environ, task="tests of beta.py", until="(3/4)")
    assert {name: asked(api, f"Write the tests of {name}") for name in FILES} == {
        name: 2 if name == "beta.py" else 1 for name in FILES
    }, "only the item that was under way is worked on again"
    assert told["outputs"]["covered"] == {name: f"{name} is covered" for name in FILES}


def test_a_loop_whose_session_was_killed_goes_on_in_its_iteration(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    fix = node("fix", task="Make the tests pass, try ${iteration}")
    fix["repeat"] = {"until": "result.passed == true", "maxIterations": 5}
    fix["context"] = {"outputs": [{"key": "result", "schema": PASSED, "persist": True}]}
    write_project(project, environ, fix)
    no, yes = gives(result={"passed": False}), gives(result={"passed": True})
    tries: list[list[list[Step]]] = [[[no]], [[{"hang": True}], [no]], [[yes]]]
    api.routes = [
        *(Route(match=f"tests pass, try {number}", attempts=told) for number, told in enumerate(tries, start=1)),
        Model(api, command="/work"),
    ]
    told = killed_and_resumed(api, project, environ, task="tests pass, try 2", until="(iteration 2)")
    assert [asked(api, f"tests pass, try {number}") for number in (1, 2, 3, 4)] == [1, 2, 1, 0]
    assert told["outputs"]["result"] == {"passed": True}
