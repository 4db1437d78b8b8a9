"""The real Claude Code as an agent on a worker: its key is there only."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.ids import NodeId
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.fleet import Server, Yard, command, node
from tests.support.real_agents import ended

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-ant-of-the-worker-0123456789"
THINKER = "---\nname: thinker\ndescription: Thinks\ntools: Read\n---\nYou count beans."


async def test_claude_code_works_on_a_worker_whose_key_is_known_there_only(
    api: FakeMessagesApi, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    state = tmp_path / "fleet.sqlite3"
    with closing(Server(state)) as server, closing(Yard(tmp_path / "yard", server.address)) as yard:
        (yard.project / ".claude" / "agents" / "thinker.md").write_text(THINKER)
        settings = yard.project / ".claude" / "orchestration.toml"
        settings.write_text(settings.read_text().replace('["process"]', '["claude"]'))
        yard.trust()
        del environ["HOME"], environ["CLAUDE_CONFIG_DIR"]  # those of the yard
        yard.environment |= environ | {"ANTHROPIC_API_KEY": KEY}
        worker = yard.start_worker("w1", "--kind", "claude")
        beans = worker.folder / "beans.txt"
        beans.write_text("three, on the worker")
        reads = {"tool": "Read", "input": {"file_path": str(beans)}}
        api.routes = [Route(match="Count the beans", steps=[reads, {"structured": {"outputs": {"made": 3}}}])]
        async with open_project(yard.project, home=yard.home) as project:
            engine = await project.engine()
            nodes = [{**node("a", "Count the beans"), "agentId": "thinker"}]
            seen = await ended(engine, await project.start(RunRequest(source=command(*nodes))))
            journal = engine.location.state.journal
        log = worker.log.read_bytes()
    assert seen.status is RunStatus.COMPLETED, seen.message
    attempt = seen.nodes[NodeId("a")].attempts[0]
    assert (attempt.worker, attempt.usage is not None) == ("w1", True)
    assert "three, on the worker" in str(api.turns[-1].body)
    assert {turn.headers["x-api-key"] for turn in api.turns} == {KEY}
    assert holders(KEY, journal.parent, "journal*") == holders(KEY, tmp_path, "fleet.sqlite3*") == []
    assert holders("Count the beans", journal.parent, "journal*") != []
    assert (KEY in str(os.environ), KEY.encode() in log) == (False, False)


def holders(text: str, folder: Path, pattern: str) -> list[Path]:
    """The files that hold *text*."""
    places = list(folder.glob(pattern))
    assert places
    return [place for place in places if text.encode() in place.read_bytes()]
