"""A secret that agents are given, or come across, is in nothing that a run leaves behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from engine.statefolder.user_files import configuration_folder
from mcp_server.project.project import RunRequest, open_project
from mcp_server.project.user_settings import USER_FILE
from tests.support.definitions import command, node, phase
from tests.support.real_agents import ended, write_command
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

GIVEN, USERS = "the-value-of-the-file", "the-value-of-the-user"
FOUND = "ghp_" + "f0" * 18
PROGRAM = f"""
import json, os, sys
request = json.load(sys.stdin)
words = f"{{os.environ['GIVEN']}} {{os.environ['USERS']}} {FOUND[:20]}" + {FOUND[20:]!r}
print("to stderr", words, file=sys.stderr)
if request["node"] == "break-down":
    sys.exit(f"cannot use {{words}}")
print(json.dumps({{"outputs": {{"said": f"kept before {{words}} kept after"}}}}))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OF_FILE", GIVEN)
    monkeypatch.setenv("USERS", USERS)
    root = tmp_path / "project"
    folder = root / ".claude" / "agents"
    folder.mkdir(parents=True)
    (root / "program.py").write_text(PROGRAM, encoding="utf-8")
    head = 'name: worker\ndescription: Works\nexecutor: process\nenv: {GIVEN: "$OF_FILE"}'
    (folder / "worker.md").write_text(f'---\n{head}\ncommand: ["{sys.executable}", "program.py"]\n---\n')
    own = configuration_folder(root / "home")
    own.mkdir(parents=True)
    (own / USER_FILE).write_text('[agents]\nenv = ["USERS"]\n')
    trust_all(root, root / "home")
    write_command(root, command(phase("work", node("say-all", context={"outputs": [{"key": "said"}]})), name="/say"))
    write_command(root, command(phase("work", node("break-down")), name="/break"))
    return root


async def test_no_secret_is_in_the_journal_and_the_rest_of_what_was_said_is(root: Path) -> None:
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source="/say"))
        assert (await ended(engine, run)).message == ""
        said = await project.output(run, "said")
        assert said == "kept before [redacted] [redacted] ghp_[redacted] kept after"
        seen = await ended(engine, await project.start(RunRequest(source="/break")))
        failure = seen.nodes["break-down"].failure  # type: ignore[index]
        assert failure is not None
        assert failure.message.endswith("cannot use [redacted] [redacted] ghp_[redacted]")
    state = (root / ".claude" / "orchestration").rglob("*")
    left = b"".join(path.read_bytes() for path in state if path.is_file())
    assert b"kept before" in left
    assert b"cannot use" in left
    assert b"$OF_FILE" in left
    assert [secret for secret in (GIVEN, USERS, FOUND) if secret.encode() in left] == []
