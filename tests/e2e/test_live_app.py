"""The live view inside hosts of MCP Apps: one built on the official library, and the Inspector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_inspector_page import inspector
from tests.e2e.test_live_page_browser import SHOTS
from tests.interaction.projects import environment, make_project
from tests.support.browser import chromium
from tests.support.inspector import inspect
from tests.support.node_tools import TOOLS
from tests.support.node_tools import node as node_program

FOLDER = Path(__file__).parent
OURS = [sys.executable, "-m", "mcp_server"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that a person has seen in the host."""
    if chromium() is None:
        pytest.skip("there is no Chromium on this machine")
    project = make_project(tmp_path_factory.mktemp("apps") / "project")
    given = {
        "host": str(FOLDER / "app_host.ts"),
        "server": OURS,
        "environment": environment(project),
        "shots": os.environ.get(SHOTS, ""),
    }
    done = subprocess.run(
        [node_program(), str(FOLDER / "app_host.mjs"), str(TOOLS), chromium() or "", json.dumps(given)],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_tools_that_show_a_run_name_their_view_and_its_own_tool_is_not_for_models(shown: dict[str, Any]) -> None:
    view = "ui://orchestration/run"
    for name in ("run", "status"):
        assert (shown["meta"][name]["ui"]["resourceUri"], shown["meta"][name]["ui/resourceUri"]) == (view, view)
    assert shown["meta"]["live"] == {"ui": {"visibility": ["app"]}}
    assert shown["mime"] == "text/html;profile=mcp-app"


def test_the_view_follows_a_run_answers_it_and_shows_its_nodes_through_calls_of_the_host_alone(
    shown: dict[str, Any],
) -> None:
    assert shown["empty"] == "Loading…"
    assert set(shown["said"]) - {"height false"} == {"call live", "call report", "read", "height true"}
    assert shown["errors"] == [], "the policy of the host blocks nothing of it"


def test_the_view_takes_over_the_colours_of_the_host(shown: dict[str, Any]) -> None:
    assert shown["background"] == "rgb(16, 32, 48)"


def test_a_run_is_cancelled_in_the_view_which_goes_when_the_host_says_so(shown: dict[str, Any]) -> None:
    assert shown["state"] == "cancelled"
    assert shown["left"] == {}


def test_the_inspector_finds_the_view(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    environ = {**environment(project), "PATH": os.environ["PATH"]}
    options = ["--tool-name", "run", "--tool-arg", "command=/hello", "--app-info"]
    found = inspect(OURS, method="tools/call", project=project, environ=environ, options=options)
    assert (found["hasApp"], found["resourceUri"]) == (True, "ui://orchestration/run")
    assert found["resourceMimeType"] == "text/html;profile=mcp-app"


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine")
def test_the_inspectors_page_shows_the_view_and_a_run_is_cancelled_in_it(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    library = TOOLS / "playwright-core" / "index.mjs"
    with inspector(project) as address:
        words = [node_program(), FOLDER / "inspector_app.mjs", library, chromium() or "", address]
        done = subprocess.run(
            [*map(str, words), os.environ.get(SHOTS, "")],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"command": "/wait", "state": "cancelled"}
