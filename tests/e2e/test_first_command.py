"""The first command of the guide, to the letter: one file, a skill of it, and `/hello-world` typed in Claude Code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from registry.agents.load import load_agents
from tests.e2e.test_review_code import PROGRAMS
from tests.e2e.test_session import DONE, RUN, TODO_WRITE, Model, conversation, enter, session, state
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.terminal import accept_first_screens, wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "first-command.md").read_text(encoding="utf-8")
HELLO = "Hello, dear world!"
TASK = "Generate a friendly hello world message"


def test_hello_world_is_written_typed_and_run(api: FakeMessagesApi, project: Path, environ: dict[str, str]) -> None:
    [(place, text)] = re.findall(r'```json title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL)
    path = project / place
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    server = {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")
    sync = [str(PROGRAMS / "orchestrate"), "--project", str(project), "sync"]
    subprocess.run(sync, env=environ, check=True, timeout=40, capture_output=True)
    accept_first_screens(Path(environ["HOME"]), project)
    model = Model(api, command="/hello-world", wait_seconds=30)
    api.routes = [Route(match=TASK, steps=[{"delay": 1, "structured": {"outputs": {"greet": HELLO}}}]), model]
    with session(project, {**environ, **TODO_WRITE}) as found:
        enter(found, "/hello-world")
        found.wait_for("Phase 1/1 Execute Greeting")
        found.wait_for(DONE, timeout=90)
    wait_until(lambda: state(project, environ), lambda seen: seen == "completed")
    last = [turn for turn in api.turns if model.match in turn.prompt][-1]
    calls, results = conversation(last.messages)
    name, given = calls[0]
    told = json.loads(results[-2] if calls[-1][0] == "TodoWrite" else results[-1])
    assert told["outputs"] == {"greet": HELLO}
    assert told["next"].startswith("Present the outputs to the user")
    assert (name, given["command"], given["arguments"]) == (RUN, "/hello-world", "")
    agent = load_agents(project).get("documentation-expert")
    assert agent is not None
    assert any(agent.prompt.splitlines()[0] in turn.prompt for turn in api.turns_with(TASK))
