"""`orchestration-mcp`: the server over stdio.

Effects: runs until the client leaves. Everything but the protocol is written to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from typing import TYPE_CHECKING

from mcp_server.project.logs import log_to_stderr
from mcp_server.protocol.app import serve
from mcp_server.version import version

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the project given by `--project`, CLAUDE_PROJECT_DIR or the working directory."""
    parser = argparse.ArgumentParser(prog="orchestration-mcp", description="Serve a project's commands over MCP stdio.")
    parser.add_argument("--project", metavar="DIR", help="the project root")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    options = parser.parse_args(argv)
    if options.version:
        sys.stdout.write(f"{parser.prog} {version()}\n")
        return
    log_to_stderr(logging.WARNING)
    sys.exit(asyncio.run(serve(root=options.project)))


if __name__ == "__main__":
    main()
