"""Agent files are read as the real Claude Code reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.agents.load import load_agents
from tests.support.claude_code import run_claude
from tests.support.repositories import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_messages_api import FakeMessagesApi

NAMED_TWICE = (("a/x.md", "z.md"), ("z.md", "z/a.md"), ("a.md", "a/b.md"), ("a-b.md", "a/b.md"), ("10.md", "9.md"))


def test_of_several_files_with_one_name_the_same_one_counts(
    api: FakeMessagesApi, environ: dict[str, str], project: Path
) -> None:
    files = {
        f".claude/agents/{number}/{path}": f"---\nname: twin{number}\ndescription: the one in {path}\n---\nx\n"
        for number, paths in enumerate(NAMED_TWICE)
        for path in paths
    }
    write_files(project, files)
    run_claude("Hello.", project=project, environ=environ)
    theirs = dict(re.findall(r"- (twin[0-9]): (the one in [^ ]+)", str(api.turns[0].body["messages"])))
    agents = load_agents(project, packaged=None).agents
    assert theirs == {name: agent.description for name, agent in agents.items() if name.startswith("twin")}
    assert len(theirs) == len(NAMED_TWICE)
