"""The real Claude Code as an isolated agent on a worker: what it edits there is merged here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.fleet import Server, command
from tests.support.fleet_files import LINES, FilesYard, node
from tests.support.real_agents import ended

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.fake_messages_api import Step

pytestmark = pytest.mark.nightly
THINKER = """\
---
name: thinker
description: Thinks
tools: Read, Edit, Write
permissionMode: acceptEdits
isolation: worktree
---
You edit.
"""


@dataclass(frozen=True, kw_only=True)
class Edits(Route):
    """Edits a file and makes one, in the folder that the prompt names."""

    api: FakeMessagesApi

    def steps_of(self, attempt: int) -> Sequence[Step]:  # noqa: ARG002 - it works once
        folder = self.api.turns_with(self.match)[0].prompt.partition("You work in ")[2].partition(",")[0]
        lines = {"file_path": f"{folder}/lines.txt"}
        return [
            {"tool": "Read", "input": lines},
            {"tool": "Edit", "input": {**lines, "old_string": "line 2\n", "new_string": "2\n"}},
            {"tool": "Write", "input": {"file_path": f"{folder}/src/new.txt", "content": "by Claude"}},
            {"structured": {"outputs": {"made": "Edited."}}},
        ]


async def test_an_isolated_claude_code_edits_files_on_a_worker_without_a_question(
    api: FakeMessagesApi, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # there is no Claude Code here
    api.routes = [Edits(match="Edit the lines", api=api)]
    with closing(Server()) as server, closing(FilesYard(tmp_path / "yard", server.address, agents=["claude"])) as yard:
        (yard.project / ".claude" / "agents" / "thinker.md").write_text(THINKER)
        yard.commit()
        yard.trust()
        del environ["HOME"], environ["CLAUDE_CONFIG_DIR"]  # those of the yard
        yard.environment |= environ
        yard.start_worker("w1", "--kind", "claude")
        async with open_project(yard.project, home=yard.home) as project:
            engine = await project.engine()
            nodes = [{**node("a", "Edit the lines"), "agentId": "thinker"}]
            seen = await ended(engine, await project.start(RunRequest(source=command(*nodes))))
        assert seen.status is RunStatus.COMPLETED, seen.message
        assert yard.read("lines.txt") == LINES.replace("line 2\n", "2\n")
        assert yard.read("src/new.txt") == "by Claude"
