"""`orchestration-mcp`: the server over stdio.

Effects: runs until the client leaves. Everything but the protocol is written to stderr. Nothing is imported here before
the door has opened.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_server.door.handover import HandOver


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the project given by `--project`, CLAUDE_PROJECT_DIR or the working directory.

    With *argv* another program serves: this process is not the server's alone, so its streams are left to the SDK.
    """
    if argv is not None:
        _serve(argv, None)
        return
    try:
        _attend(sys.argv[1:])
    except KeyboardInterrupt:  # of a person who started it by hand; the signal ends it as ever, without a traceback
        import signal  # noqa: PLC0415 - hardly ever needed

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def _attend(arguments: Sequence[str]) -> None:
    """Open the door, import what is behind it, and serve."""
    from mcp_server import collector  # noqa: PLC0415 - see the module
    from mcp_server.door.opening import open_door  # noqa: PLC0415

    collector.pause()
    door = open_door(arguments)
    if door is None:
        _load()
    handed = None if door is None else door.attend(_load)
    collector.go_on()
    _serve(arguments, handed)


def _load() -> None:
    """Import what `_serve` needs."""
    import argparse  # noqa: F401, PLC0415
    import asyncio  # noqa: F401, PLC0415

    from mcp_server.deferral import deferred  # noqa: PLC0415 - with pydantic

    with deferred():
        import mcp_server.protocol.app  # noqa: F401, PLC0415


def _serve(arguments: Sequence[str], door: HandOver | None) -> None:
    import argparse  # noqa: PLC0415 - see the module
    import asyncio  # noqa: PLC0415
    import logging  # noqa: PLC0415

    from mcp_server.project.logs import log_to_stderr  # noqa: PLC0415
    from mcp_server.protocol.app import serve  # noqa: PLC0415
    from mcp_server.version import version  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="orchestration-mcp", description="Serve a project's commands over MCP stdio.")
    parser.add_argument("--project", metavar="DIR", help="the project root")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    options = parser.parse_args(arguments)
    if options.version:
        sys.stdout.write(f"{parser.prog} {version()}\n")
        return
    log_to_stderr(logging.WARNING)
    sys.exit(asyncio.run(serve(root=options.project, door=door)))


if __name__ == "__main__":
    main()
