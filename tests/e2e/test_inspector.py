from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.inspector import inspect

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """
from mcp.server import MCPServer

server = MCPServer("greeter")


@server.tool()
async def greet(name: str) -> str:
    return f"Hello, {name}"


server.run()
"""


def test_the_inspector_calls_a_tool_of_a_stdio_server(tmp_path: Path, environ: dict[str, str]) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    server = [sys.executable, str(script)]
    answer = inspect(
        server, method="tools/call", project=tmp_path, environ=environ, tool="greet", arguments={"name": "Ada"}
    )
    assert answer["content"] == [{"type": "text", "text": "Hello, Ada"}]


def test_a_server_that_does_not_start_is_an_error_with_what_it_said(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="Inspector ended with"):
        inspect([sys.executable, "-c", "raise SystemExit(3)"], method="tools/list", project=tmp_path, environ=environ)
