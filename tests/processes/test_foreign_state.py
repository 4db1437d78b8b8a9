"""A clone that brings a state folder: whoever only asks something of it starts, deletes and opens nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from engine.executors.worktrees.branches import folder_of
from engine.ids import NodeId, RunId
from engine.statefolder.links import STATE
from tests.interaction.projects import environment, text_of
from tests.support.installed import ORCHESTRATE
from tests.support.repositories import make_repository
from tests.support.state import contents, plant

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

SECONDS = 40
RUN = "r-9acoolc7i9ah"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository whose files say that work was cut off: an open run, a worktree, old scratch folders."""
    root = make_repository(tmp_path, {"a.txt": "a\n"})
    folder = plant(root)
    with closing(sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)) as db:
        db.execute("UPDATE runs SET status='running', owner='o-1-000000000000'")
        message = json.dumps({"reason": "as the clone says", "compensate": True})
        db.execute("INSERT INTO inbox(run, kind, payload) VALUES(?, 'cancel', ?)", (RUN, message.encode()))
    name = folder_of(RunId(RUN), NodeId("second-node"), 1)
    record = {"attempt": f"{RUN}:second-node#1", "mark": "", "base": "HEAD", "base_tree": "HEAD"}
    (folder / "worktrees" / name).mkdir(parents=True)
    (folder / "worktrees" / name / "worktree.json").write_text(json.dumps(record), encoding="utf-8")
    (root / ".claude" / "worktrees" / name).mkdir(parents=True)
    (root / ".claude" / "worktrees" / name / "kept.txt").write_text("kept", encoding="utf-8")
    (folder / "tmp" / f"{2**22 + 1}-old").mkdir(parents=True)
    return root


def orchestrate(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ORCHESTRATE, *words],
        cwd=root, env=environment(root), capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words", [("status",), ("runs",), ("report",), ("run", "/review-repo", "--detach")], ids=" ".join
)
def test_a_command_in_a_clone_changes_nothing_of_what_it_brought(clone: Path, words: tuple[str, ...]) -> None:
    before = contents(clone / ".claude")
    done = orchestrate(clone, *words)
    assert done.returncode == 2
    assert "STATE_NOT_OURS" in done.stderr
    assert contents(clone / ".claude") == before


def test_a_linked_state_folder_leads_nowhere(clone: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(clone / STATE, outside)
    (clone / STATE).symlink_to(outside)
    before = contents(outside)
    done = orchestrate(clone, "status")
    assert "is a symbolic link" in done.stderr
    assert contents(outside) == before


async def test_a_server_looks_after_nothing_in_a_clone_and_still_serves(clone: Path) -> None:
    before = contents(clone / ".claude")
    given: dict[str, Any] = {"command": sys.executable, "args": ["-m", "mcp_server"], "cwd": clone}
    parameters = StdioServerParameters(**given, env=environment(clone))
    async with Client(stdio_client(parameters), read_timeout_seconds=SECONDS) as client:
        assert len((await client.list_tools()).tools) > 5
        refused = await client.call_tool("status", {})
        assert refused.is_error
        assert text_of(refused).startswith("STATE_NOT_OURS")
    assert contents(clone / ".claude") == before
