"""Entry points of the programs `orchestrate` and `orchestration-mcp`.

Effects: those of the programs. `--version`, unsupported platforms, status line, completion and monitor are handled
before anything else is imported.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WINDOWS = (
    "orchestration-mcp runs on Linux and macOS. On Windows, install and start it inside WSL "
    "(Windows Subsystem for Linux)."
)

INTERRUPTED = 130
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a full disk, and of a terminal that is gone."""


def orchestrate() -> None:
    """Run the command line. If its result cannot be written, it says so and exits with 2."""
    try:
        _orchestrate()
    except KeyboardInterrupt:  # while it is still importing
        sys.exit(INTERRUPTED)
    except OSError as error:  # of stdout; those of files name the file, or are reported where they are used
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes once more at the exit
        sys.exit(_said(f"error FILE_UNWRITABLE: stdout cannot be written: {error.strerror}"))


def _said(text: str) -> int:
    """The exit code of an error, after *text* was written to stderr if that can be written."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (AttributeError, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return 2


def _orchestrate() -> None:
    _answer_at_once("orchestrate")
    if sys.argv[1:] == ["monitor"]:
        from mcp_server.cli.monitor import run_monitor  # noqa: PLC0415 - see the module

        run_monitor([])
        return
    gc.disable()  # a short process ends before a collection pays; those that wait go on to collect
    if sys.argv[-2:] == ["status", "--line"]:
        from mcp_server.cli.line import shown  # noqa: PLC0415 - see the module

        if shown(sys.argv[1:-2]):
            return
    if sys.argv[1:2] == ["--complete"]:
        from mcp_server.cli.completing import answer  # noqa: PLC0415 - see the module

        answer(sys.argv[2:])
        return
    if not {"runs", "status"}.isdisjoint(sys.argv[1:4]):
        from mcp_server.cli.glance import shown as answered  # noqa: PLC0415 - see the module

        if answered(sys.argv[1:]):
            leaving_at_once(lambda: None)
            return
    if not {"run", "resume"}.isdisjoint(sys.argv[1:4]) and "/review-repo" in sys.argv[2:5]:
        _call_soon()
    from mcp_server.cli.app import main  # noqa: PLC0415 - see the module

    leaving_at_once(main)


def _call_soon() -> None:
    """Start the process that calls the agents of a review: its imports take as long as half of ours."""
    from engine.executors.subprocesses.wardens import start_ahead  # noqa: PLC0415 - see the module
    from registry.packaged.review_repo import CALLED  # noqa: PLC0415

    start_ahead(CALLED)


def leaving_at_once(main: Callable[[], None]) -> None:
    """Call *main* and leave with its exit code, once threads and functions for the exit have had their turn.

    Python would take all modules apart then, which costs a short command a sixth of its time and has no effect.
    """
    codes: list[int] = []
    atexit.register(_leave, codes)  # the first one, so that it is called last
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            codes.append(end.code or 0)
        raise
    codes.append(0)


def _leave(codes: list[int]) -> None:
    if codes:  # else an exception is shown, and decides
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (AttributeError, OSError, ValueError):
            return  # no such stream, or its reader is gone: Python has a code for that
        os._exit(codes[0])


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
