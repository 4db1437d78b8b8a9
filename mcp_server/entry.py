"""Entry points of the programs `orchestrate` and `orchestration-mcp`.

Effects: those of the programs. `--version`, unsupported platforms, status line, completion and monitor are handled
before anything else is imported.
"""

from __future__ import annotations

import gc
import os
import sys

WINDOWS = (
    "orchestration-mcp runs on Linux and macOS. On Windows, install and start it inside WSL "
    "(Windows Subsystem for Linux)."
)


def orchestrate() -> None:
    """Run the command line."""
    _answer_at_once("orchestrate")
    if sys.argv[-2:] == ["status", "--line"]:
        gc.disable()  # so short a process ends before that pays
        from mcp_server.cli.line import shown  # noqa: PLC0415 - see the module

        if shown(sys.argv[1:-2]):
            return
    if sys.argv[1:2] == ["--complete"]:
        gc.disable()
        from mcp_server.cli.completing import answer  # noqa: PLC0415 - see the module

        answer(sys.argv[2:])
        return
    if sys.argv[1:] == ["monitor"]:
        from mcp_server.cli.monitor import run_monitor  # noqa: PLC0415 - see the module

        run_monitor([])
        return
    from mcp_server.cli.app import main  # noqa: PLC0415 - see the module

    main()


def serve() -> None:
    """Run the server over stdio."""
    _answer_at_once("orchestration-mcp")
    if "CLAUDE_PLUGIN_ROOT" in os.environ:
        from mcp_server.twins import announce  # noqa: PLC0415 - before the SDK, which takes long

        announce(os.environ)
    from mcp_server.__main__ import main  # noqa: PLC0415 - see the module

    main()


def _answer_at_once(program: str) -> None:
    if sys.platform == "win32":
        sys.exit(WINDOWS)
    if sys.argv[1:] == ["--version"]:
        from mcp_server.version import version  # noqa: PLC0415 - see the module

        sys.stdout.write(f"{program} {version()}\n")
        sys.exit(0)
