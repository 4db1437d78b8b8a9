"""The Inspector's page, in a real browser: its forms offer a text field for what is a text or a JSON object."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interaction.projects import environment, make_project
from tests.support.browser import chromium
from tests.support.node_tools import TOOLS, node, node_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCRIPT = Path(__file__).parent / "inspector_page.mjs"
DEFINITION = {
    "name": "/written-here",
    "version": "2.0.0",
    "phases": [{"id": "only", "name": "Only", "agents": [{"id": "one", "agentId": "nobody", "task": "Do it"}]}],
}

pytestmark = [
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]


def free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in sockets]


@contextlib.contextmanager
def inspector(project: Path) -> Iterator[str]:
    """The address of an Inspector's page for a server of *project*."""
    with tempfile.TemporaryDirectory(prefix="inspector-") as home:
        page, sandbox, apps = free_ports(3)
        environ = {
            **environment(project),
            "PATH": os.environ["PATH"],
            "CLIENT_PORT": page,
            "MCP_SANDBOX_PORT": sandbox,
            "MCP_APP_ORIGIN_PORT": apps,
            "MCP_AUTO_OPEN_ENABLED": "false",
            "MCP_STORAGE_DIR": home,
            "MCP_INSPECTOR_SECRET_STORE": "memory",
        }
        command = [*node_tool("mcp-inspector"), "--web", sys.executable, "-m", "mcp_server"]
        with subprocess.Popen(command, cwd=project, env=environ, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                lines = (re.search(r"http://\S+TOKEN=\w+", line) for line in process.stdout)
                found = next(line for line in lines if line)
                yield found[0]
            finally:
                process.terminate()


def answers(address: str, *calls: Mapping[str, object]) -> Sequence[str]:
    """What the page shows after each of *calls*."""
    given = [{"fields": {}, "ticked": [], **call} for call in calls]
    done = subprocess.run(
        [node(), SCRIPT, TOOLS / "playwright-core" / "index.mjs", chromium() or "", address, json.dumps(given)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Sequence[str] = json.loads(done.stdout)
    return found


def test_every_field_of_validate_and_run_can_be_filled_in_as_text(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with inspector(project) as address:
        named, written, predicted = answers(
            address,
            {"tool": "validate", "fields": {"source": "/hello"}},
            {"tool": "validate", "fields": {"source": json.dumps(DEFINITION)}},
            {"tool": "run", "fields": {"command": "/hello", "arguments": "all of it"}, "ticked": ["dry_run"]},
        )
    assert '"valid": true' in named
    assert '"name": "/written-here"' in written, "a JSON object in a text is a definition"
    assert '"command": "/hello"' in predicted
