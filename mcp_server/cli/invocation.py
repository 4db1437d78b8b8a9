"""The options of the whole program, which come before a command, and what they chose.

Effects: keeps the choice for the command that follows. `--help` needs all of it, so it
imports little.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mcp_server.version import version

OK = 0

_root: Path | None = None
_wants_json = False


def note_json(value: bool) -> bool:  # noqa: FBT001 - typer's signature
    """Remember whether the result is wanted as JSON; errors are then JSON as well."""
    global _wants_json  # noqa: PLW0603 - errors are printed where the options are not known
    _wants_json = value
    return value


def wants_json() -> bool:
    """Whether the result is wanted as JSON."""
    return _wants_json


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer's signature
    if asked:
        sys.stdout.write(f"orchestrate {version()}\n")
        raise typer.Exit(OK)


ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="Project root (default: the nearest folder with .claude or .git).")
]
VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
]


def choose_project(project: ProjectOption = None, _version: VersionOption = False) -> None:
    """Remember the project of `--project` for the command that follows."""
    note_json(False)  # noqa: FBT003 - typer's parameter
    global _root  # noqa: PLW0603 - typer passes the options of the program to this function only
    _root = project


def named_project() -> Path | None:
    """The value of `--project`; the server finds its project itself, and also starts without one."""
    return _root
