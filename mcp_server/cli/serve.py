"""The command serve.

Effects: serves MCP on the standard streams, or HTTP on a loopback port.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from mcp_server import collector
from mcp_server.cli.invocation import named_project
from mcp_server.cli.shared import errors


def serve(
    http: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help="Serve HTTP on this loopback port instead, with a token."),
    ] = None,
) -> None:
    """Serve MCP over stdio; Claude Code starts this."""
    collector.go_on()
    if http is not None:
        from mcp_server.protocol.http import serve_http  # noqa: PLC0415 - the web server

        with errors():
            asyncio.run(serve_http(port=http, root=named_project()))
        return
    from mcp_server.__main__ import main as serve_stdio  # noqa: PLC0415 - the MCP SDK is the larger half of the start-up

    with errors():
        named = named_project()
        serve_stdio([] if named is None else ["--project", str(named)])  # its own options: ours are parsed already
